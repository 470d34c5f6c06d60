"""The largest and the least of some weights, in one pass that also finds what is no number."""

import numpy as np

from quantcore._jit import inlined


@inlined
def largest_magnitude(weights):
    """Return the largest magnitude of some weights; NaN or infinity if there is one among them."""
    bits = np.int32(0)
    for weight in weights:
        bits = max(bits, np.int32(np.float32(weight).view(np.int32) & np.int32(0x7FFFFFFF)))
    return np.int32(bits).view(np.float32)


@inlined
def holds_nan_or_inf(weights):
    """Whether any exponent is all ones: positive floats sort like their bits."""
    largest = np.int32(0)
    for weight in weights:
        magnitude = np.int32(np.float32(weight).view(np.int32) & 0x7FFFFFFF)
        largest = magnitude if magnitude > largest else largest
    return largest >= 0x7F800000


@inlined
def lowest_and_highest(bits, b, n):
    """Return the least and greatest of the `n` weights of block `b`; `bits` are floats as int32.

    A NaN or an infinity anywhere in the block makes one of them NaN or infinite. Of zeros of both
    signs, the least one is the first, as in C.
    """
    low = np.int32(0x7FFFFFFF)
    high = np.int32(-0x80000000)
    for i in range(n):
        # Flipping the lower bits of negative floats makes all floats sort like integers.
        key = np.int32(bits[b, i] ^ np.int32((bits[b, i] >> 31) & np.int32(0x7FFFFFFF)))
        low = min(low, key)
        high = max(high, key)
    if low == np.int32(-1):  # -0.0 sorts below 0.0 here, but C finds them equal
        for i in range(n - 1, -1, -1):
            if bits[b, i] & 0x7FFFFFFF == 0:
                low = np.int32(bits[b, i] >> 31)
    lowest = np.int32(low ^ np.int32((low >> 31) & np.int32(0x7FFFFFFF))).view(np.float32)
    highest = np.int32(high ^ np.int32((high >> 31) & np.int32(0x7FFFFFFF))).view(np.float32)
    return lowest, highest
