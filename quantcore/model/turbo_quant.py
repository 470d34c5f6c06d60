"""TurboQuant: a vector as its length and, after a random rotation, one small code a number.

    restored = length * rotated back (centroid of code)

Random signs and a Hadamard rotation make the numbers of any vector look like draws from one normal
distribution, whose best 2**b values are known beforehand: Lloyd's and Max's. So nothing but the
length, in float16, is stored besides b bits a number; no block has a scale.

Source: Zandieh et al., arXiv 2504.19874 (the variant for least squared error); the values by the
iteration of Lloyd, Least squares quantization in PCM, and Max, Quantizing for minimum distortion.
"""

from functools import cache
from math import erf, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from quantcore.model.hadamard import rotated

Floats = NDArray[np.float32]
BITS = (1, 2, 3, 4)
LENGTH_BYTES = 2
SEED = 0  # of the signs, which all vectors share


@cache
def lloyd_max(bits: int) -> NDArray[np.float64]:
    """Return the 2**bits values that restore a normal distribution with the least squared error.

    Each is the mean of what lies nearer to it than to the others.

    >>> lloyd_max(2).round(4)
    array([-1.5104, -0.4528,  0.4528,  1.5104])
    """
    n = 2**bits
    values: NDArray[np.float64] = np.linspace(-2, 2, n)
    for _ in range(10_000):
        edges = [-np.inf, *(values[:-1] + values[1:]) / 2, np.inf]
        heights = [exp(-edge * edge / 2) / sqrt(2 * pi) for edge in edges]
        below = [(1 + erf(edge / sqrt(2))) / 2 for edge in edges]
        means = -np.diff(heights) / np.diff(below)
        if np.abs(means - values).max() < 1e-12:
            break
        values = means
    return values


def round_trip(rows: Floats, bits: int) -> Floats:
    """Store vectors (n_rows, size), size a power of two, in so many bits a number; restore them."""
    size = rows.shape[1]
    signs = _signs(size)
    length = np.sqrt(np.einsum("rc,rc->r", rows, rows, dtype=np.float64))
    inverse = np.divide(np.sqrt(size), length, out=np.zeros_like(length), where=length > 0)
    turned = rotated(rows * signs, size) * inverse[:, None].astype(np.float32)
    values = lloyd_max(bits).astype(np.float32)
    codes = np.searchsorted((values[:-1] + values[1:]) / 2, turned)
    stored = length.astype(np.float16).astype(np.float32) / np.float32(np.sqrt(size))
    return rotated(values[codes], size) * signs * stored[:, None]


def stored_bytes(size: int, bits: int) -> int:
    """Bytes of one vector: its codes, and its length in float16.

    >>> stored_bytes(128, 4)
    66
    """
    return size * bits // 8 + LENGTH_BYTES


@cache
def _signs(size: int) -> Floats:
    return np.random.default_rng(SEED).choice(np.array([-1, 1], np.float32), size)
