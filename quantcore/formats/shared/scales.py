"""From the scales of sub-blocks to the small integers that a super-block stores of them."""

import numpy as np

from quantcore._jit import inlined
from quantcore.rounding import nearest_int

ZERO, ONE = np.float32(0), np.float32(1)


@inlined
def divide(values, highest, codes):
    """Fill codes from 0 to `highest` for values that are not negative; the value of code 1."""
    largest = ZERO
    for value in values:
        largest = value if value > largest else largest
    inv = np.float32(highest) / largest if largest > ZERO else ZERO
    for j in range(values.size):
        codes[j] = nearest_int(inv * values[j]) & 255  # ggml stores it in a byte
    return largest / np.float32(highest)


@inlined
def signed_largest(values):
    """Return the value of largest magnitude, its sign kept; the first of equals."""
    largest = ZERO
    for value in values:
        largest = value if abs(value) > abs(largest) else largest
    return largest


@inlined
def divide_signed(values, largest, n, codes):
    """Fill codes from -n to n - 1, -n for the largest value; the value of code 1."""
    inv = np.float32(-n) / largest
    for j in range(values.size):
        code = nearest_int(inv * values[j])
        code = np.int32(n - 1) if code > n - 1 else code
        codes[j] = ((code & 255) ^ 128) - 128  # ggml stores it in a signed byte
    return ONE / inv


@inlined
def divide_odd(scales, highest, codes):
    """Fill codes from 0 to `highest` for scales that are stored as 2 * code + 1 steps; the step.

    No scale is negative. The step is zero where all of them are.
    """
    largest = ZERO
    for scale in scales:
        largest = largest if largest > scale else scale
    step = np.float32(largest / np.float32(2 * highest + 1))
    inv_step = ONE / step if largest != ZERO else ZERO
    for j in range(scales.size):
        steps = np.float32(np.float32(inv_step * scales[j]) - ONE)
        code = nearest_int(np.float32(np.float32(0.5) * steps))
        codes[j] = max(np.int32(0), min(np.int32(highest), code))
    return step
