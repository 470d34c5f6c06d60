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
    return interval_of_sums(block_sums(values), values.shape[1])


def block_sums(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sum values (n_chunks, n_tokens) by block, (n_chunks, n_blocks): all that an interval needs.

    >>> block_sums(np.ones((1, 40))).tolist()
    [[32.0, 8.0]]
    """
    starts = np.arange(0, values.shape[1], BLOCK_TOKENS)
    return np.add.reduceat(np.asarray(values, np.float64), starts, axis=1)


def interval_of_sums(sums: NDArray[np.float64], n_tokens: int) -> tuple[float, float]:
    """95 % interval of the mean of values whose `block_sums` are given; `n_tokens` is of a chunk.

    Sums of differences give the interval of the mean difference.
    """
    sizes = np.diff([*range(0, n_tokens, BLOCK_TOKENS), n_tokens])
    counts = _draws(sums.size)
    means = (counts @ sums.ravel()) / (counts @ np.tile(sizes, len(sums)))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draws(n_blocks: int) -> NDArray[np.float64]:
    """How often each block is drawn, (DRAWS, n_blocks)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), DRAWS).astype(np.float64)
