"""Confidence intervals of means over tokens, by bootstrap.

Neighbouring tokens are alike, so whole blocks of them are drawn with replacement. The draws are the
same for everything measured on the same tokens: intervals of two formats move together.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BLOCK_TOKENS = 32
DRAWS = 2000
LEVEL = 0.95


def interval(values: NDArray[np.floating]) -> tuple[float, float]:
    """95 % interval of the mean of values (n_chunks, n_tokens), blocks staying inside a chunk.

    >>> interval(np.full((2, 64), 3.0))
    (3.0, 3.0)
    """
    values = np.asarray(values, np.float64)
    starts = np.arange(0, values.shape[1], BLOCK_TOKENS)
    sums = np.add.reduceat(values, starts, axis=1).ravel()
    sizes = np.tile(np.diff([*starts, values.shape[1]]), len(values))
    counts = _draws(sums.size)
    means = (counts @ sums) / (counts @ sizes)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draws(n_blocks: int) -> NDArray[np.float64]:
    """How often each block is drawn, (DRAWS, n_blocks)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), DRAWS).astype(np.float64)
