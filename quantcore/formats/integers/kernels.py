"""Loops of the INT formats, over groups of weights that share a scale."""

import numpy as np

from quantcore._jit import kernel
from quantcore.formats.shared.magnitudes import lowest_and_highest


@kernel
def find_ranges(bits, ranges):
    """Fill `ranges` (n_groups, 2): least and greatest weight; `bits` are floats as int32."""
    for g in range(bits.shape[0]):
        ranges[g, 0], ranges[g, 1] = lowest_and_highest(bits, g, bits.shape[1])


@kernel
def encode(groups, scales, zero_points, least, most, codes):
    """Fill `codes` uint8 (n_groups, group_length); signed codes as their low eight bits."""
    magic = np.float32(12582912)  # adding 1.5 * 2**23 rounds to an integer, halves to even
    least, most = np.float32(least), np.float32(most)
    for g in range(groups.shape[0]):
        zero = np.float32(zero_points[g])
        for i in range(groups.shape[1]):
            steps = np.float32(groups[g, i] / scales[g])
            steps = min(max(steps, np.float32(-512)), np.float32(512))
            code = np.float32(np.float32(np.float32(steps + magic) - magic) + zero)
            codes[g, i] = np.int32(min(max(code, least), most)) & 0xFF


@kernel
def decode(codes, scales, zero_points, symmetric, out):
    """Fill `out` (n_groups, group_length) with ``scale * (code - zero_point)``."""
    flip = np.int32(128) if symmetric else np.int32(0)  # turns a byte into a signed number
    for g in range(codes.shape[0]):
        zero = np.int32(zero_points[g]) + flip
        for i in range(codes.shape[1]):
            out[g, i] = np.float32((np.int32(codes[g, i]) ^ flip) - zero) * scales[g]
