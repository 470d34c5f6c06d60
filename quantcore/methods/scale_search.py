"""A narrower range for integers: what is beyond it is cut off, and all others get a finer step."""

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked

SHARES = np.arange(100, 29, -1, dtype=np.float32) / np.float32(100)  # of the plain range


def quantize_narrowed(
    fmt: IntegerFormat, weights: Weights, importance: Weights | None = None
) -> IntegerPacked:
    """Quantize with the shares of each range that leave the least squared error.

    Every share from 100 % down to 30 % is tried for each scale; of equals the widest is taken.

    Parameters
    ----------
    importance
        What the squared error of each column counts, (n_cols,); all the same by default.
    """
    low, high = fmt.ranges(weights)
    best_error = np.full(low.shape, np.inf)
    best_share = np.ones_like(low)
    for share in SHARES:
        packed = fmt.quantize_within(weights, share * low, share * high)
        error = _errors(fmt, weights, fmt.dequantize(packed), importance, low.size)
        better = error < best_error
        best_error[better], best_share[better] = error[better], share
    return fmt.quantize_within(weights, best_share * low, best_share * high)


def _errors(
    fmt: IntegerFormat,
    weights: Weights,
    restored: Weights,
    importance: Weights | None,
    n_scales: int,
) -> NDArray[np.float64]:
    """Squared error of whatever shares a scale, (n_scales,)."""
    squares = np.square(restored - weights)
    if importance is not None:
        squares *= importance
    by_group = squares.reshape(-1, fmt.block_length(weights.shape[1])).sum(axis=1, dtype=np.float64)
    return by_group.reshape(n_scales, -1).sum(axis=1)
