"""Four-bit floats, E2M1: what MXFP4 and NVFP4 are made of.

    code      0    1    2    3    4    5    6    7    8 to 15
    value     0   0.5   1   1.5   2    3    4    6    the same, negative

The scale is stored with half its value and the table doubled, so that all of it are integers.
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined
from quantcore.bits import unpack_nibbles
from quantcore.format import Packed, Weights

DOUBLED = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)
N_CODES = 16


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


def grid_of(scale: np.float32) -> Weights:
    """Values of the sixteen codes."""
    return DOUBLED * scale


def codes_of(packed: Packed) -> NDArray[np.int32]:
    """Codes of nibbles: weight j in a low one, weight j + n in the high one of the same byte."""
    return unpack_nibbles(packed).astype(np.int32)
