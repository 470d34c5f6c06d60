"""The Walsh-Hadamard rotation: every number becomes a sum, with signs, of all in its block.

An outlier is spread over the block, so that a scale shared by the block suits all of it.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@cache
def hadamard(n: int) -> Floats:
    """Sylvester's matrix (n, n), n a power of two, divided by sqrt(n): its own inverse.

    >>> bool(np.allclose(hadamard(2) * 2**0.5, [[1, 1], [1, -1]]))
    True
    """
    if n < 1 or n & (n - 1):
        raise ValueError(f"A Hadamard rotation needs a power of two, got {n}")
    signs = np.ones((1, 1), np.float32)
    while len(signs) < n:
        signs = np.block([[signs, signs], [signs, -signs]])
    matrix = signs / np.sqrt(np.float32(n))
    matrix.flags.writeable = False
    return matrix


def rotated(rows: Floats, n: int) -> Floats:
    """Rotate each run of `n` numbers of rows (..., n_cols); n divides n_cols. Twice is none."""
    return (rows.reshape(-1, n) @ hadamard(n)).reshape(rows.shape)


def largest_power_of_two(size: int, unit: int = 1) -> int:
    """Largest ``unit * 2**k`` that divides a size, which `unit` divides.

    >>> largest_power_of_two(192, 64), largest_power_of_two(256, 64)
    (64, 256)
    """
    while size % (2 * unit) == 0:
        unit *= 2
    return unit
