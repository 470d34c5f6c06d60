"""Four-bit floats, E2M1: what MXFP4 and NVFP4 are made of.

    code      0    1    2    3    4    5    6    7    8 to 15
    value     0   0.5   1   1.5   2    3    4    6    the same, negative

The scale is stored with half its value and the table doubled, so that all of it are integers.
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined, kernel
from quantcore.bits import unpack_nibbles
from quantcore.format import Packed, Weights

DOUBLED = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)
VALUES: Weights = DOUBLED / np.float32(2)
N_CODES = 16
WIDEST_STEP = 2.0  # from 4 to 6


@inlined
def choose_codes(weights, scale, errors, codes):
    """Fill the nearest code of each weight, the lowest of equals, as ggml does.

    `errors` is room for a float32 a weight.
    """
    n = weights.size
    for i in range(n):
        codes[i] = 0
        errors[i] = abs(weights[i])
    for code in range(1, N_CODES):
        value = np.float32(DOUBLED[code] * scale)
        for i in range(n):
            error = abs(np.float32(value - weights[i]))
            nearer = error < errors[i]
            codes[i] = np.int32(code) if nearer else codes[i]
            errors[i] = error if nearer else errors[i]


@inlined
def _to_e2m1(value):
    """Round a float32 that is no NaN to nearest, ties to even; beyond 6, to 6."""
    size = np.float32(min(abs(value), np.float32(6)))
    # Steps of a half up to 2, of 1 up to 4, of 2 up to 6.
    small, middle = size < np.float32(2), size < np.float32(4)
    per_value = np.float32(2) if small else np.float32(1) if middle else np.float32(0.5)
    first = np.uint32(0) if small else np.uint32(2) if middle else np.uint32(4)
    # Adding 1.5 * 2**23 leaves the integer in the low bits.
    steps = np.float32(size * per_value + np.float32(12582912)).view(np.uint32)
    sign = np.uint32(np.float32(value).view(np.uint32) >> np.uint32(28)) & np.uint32(8)
    return np.uint32(np.uint32(steps & np.uint32(7)) + first) | sign


@kernel
def encode_e2m1(groups, scales, codes):
    """Fill `codes` (n_groups, group_size / 2), the first of two in the low half of a byte.

    Ties go to even, beyond 6 times the scale lies 6.
    """
    rounded = np.empty(groups.shape[1], np.uint32)
    for g in range(groups.shape[0]):
        for i in range(groups.shape[1]):
            rounded[i] = _to_e2m1(np.float32(groups[g, i] / scales[g]))
        for i in range(codes.shape[1]):
            codes[g, i] = rounded[2 * i] | rounded[2 * i + 1] << np.uint32(4)


def grid_of(scale: np.float32) -> Weights:
    """Values of the sixteen codes."""
    return DOUBLED * scale


def codes_of(packed: Packed) -> NDArray[np.int32]:
    """Codes of nibbles: weight j in a low one, weight j + n in the high one of the same byte."""
    return unpack_nibbles(packed).astype(np.int32)
