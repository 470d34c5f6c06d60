"""Rounding exactly as ggml's C does it."""

import numpy as np

from quantcore._jit import inlined


@inlined
def round_half_away(value):
    """Round a float32 to the nearest integer, halves away from zero, as C's roundf.

    The largest float32 below one half is added, then the fraction cut off: with one half itself,
    0.49999997 would become 1. Returns int32; magnitudes from 2**23 on are not handled.
    """
    half = np.float32(0.49999997)
    return np.int32(value + (half if value > np.float32(0) else -half))


@inlined
def nearest_int(value):
    """Round a float32 to the nearest integer, halves to even, by ggml's trick on the bits.

    Adding 1.5 * 2**23 leaves the integer in the low bits of the mantissa. Beyond 2**22 it wraps,
    as in ggml. Returns int32.
    """
    bits = np.float32(value + np.float32(12582912.0)).view(np.int32)
    return np.int32((bits & np.int32(0x007FFFFF)) - np.int32(0x00400000))
