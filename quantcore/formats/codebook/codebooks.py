"""The codebooks of the IQ formats: the few patterns of levels that a run of weights can have.

Four weights (IQ3) of 8 levels could have 4,096 patterns, eight weights (IQ2, IQ1) of 3 levels
6,561. A codebook holds 256 to 2,048 of them; a block stores the number of an entry instead of the
levels. Where the levels that weights ask for are no entry, quantizing chooses among the entries
around them: those at the shortest distance, at the next one, and in some formats at the third.

`codebooks.npz` holds facts from ggml (MIT): ggml/src/ggml-quants.c, iq2xs_init_impl and
iq3xs_init_impl, commit 0c1e57098. A number is one entry, two bits a level (IQ3: three), the first
weight in the lowest.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("codebooks.npz")
LANES = 32  # scales that a search tries at once
ROWS_AT_A_TIME = 512  # patterns whose distances to all entries are held at once


class Codebook(NamedTuple):
    """What takes the place of every pattern of levels, sum(level of weight i * n_levels ** i)."""

    # Unsigned where a kernel uses them as an index: it need not ask then whether they are negative.
    places: NDArray[np.int32]  # by pattern: the number of an entry, or -1 - start of its neighbours
    neighbours: NDArray[np.uint32]  # runs: how many, then the entries, the nearest first
    rows: NDArray[np.uint32]  # by entry and weight: where the search keeps the errors of its level
    levels: NDArray[np.int32]  # (n_entries,), all levels of an entry as in the file
    near_levels: NDArray[np.uint32]  # those of the neighbours, at the same places


@cache
def levels_of(name: str) -> NDArray[np.uint8]:
    """Levels of each entry of a codebook: "iq1", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s".

    >>> levels_of("iq3_xxs")[:3].tolist()
    [[0, 0, 0, 0], [2, 0, 0, 0], [4, 0, 0, 0]]
    """
    bits, n_weights = (3, 4) if name.startswith("iq3") else (2, 8)
    shifted = _numbers(name)[:, None] >> bits * np.arange(n_weights)
    return _frozen(shifted & (1 << bits) - 1, np.uint8)


@cache
def grid(name: str, values: tuple[float, ...]) -> NDArray[np.float32]:
    """Values of each entry, from what each level stands for; what decoding looks up."""
    return _frozen(np.asarray(values)[levels_of(name)], np.float32)


def _numbers(name):
    with np.load(FILE) as stored:
        return stored[name]


@cache
def codebook(name: str, n_shells: int) -> Codebook:
    """Make the tables that quantizing needs, with entries at the `n_shells` shortest distances."""
    levels = levels_of(name)
    n_levels, n_weights = int(levels.max()) + 1, levels.shape[1]
    powers = n_levels ** np.arange(n_weights)
    patterns = np.arange(n_levels**n_weights)[:, None] // powers % n_levels
    places = np.full(len(patterns), -1)
    places[levels @ powers] = np.arange(len(levels))
    missing = np.flatnonzero(places < 0)
    runs, start = [], 0
    for first in range(0, len(missing), ROWS_AT_A_TIME):
        here = missing[first : first + ROWS_AT_A_TIME]
        for pattern, run in zip(here, _nearest(patterns[here], levels, n_shells), strict=True):
            places[pattern] = -1 - start
            runs.append(run)
            start += len(run)
    near, numbers = np.concatenate(runs), _numbers(name)
    return Codebook(
        places=_frozen(places, np.int32),
        neighbours=_frozen(near, np.uint32),
        rows=_frozen(LANES * (n_levels * np.arange(n_weights) + levels).reshape(-1), np.uint32),
        levels=_frozen(numbers, np.int32),
        near_levels=_frozen(numbers[np.minimum(near, len(numbers) - 1)], np.uint32),
    )


def _nearest(patterns, levels, n_shells):
    """For each pattern how many entries are near, and then which; of equally near the first."""
    a, b = patterns.astype(np.float32), levels.astype(np.float32)
    distance = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T  # small integers: exact
    reach = distance.min(1)
    for _ in range(n_shells - 1):
        reach = np.where(distance > reach[:, None], distance, np.inf).min(1)
    which, entry = np.nonzero(distance <= reach[:, None])
    entry = entry[np.lexsort((entry, distance[which, entry], which))]
    counts = np.bincount(which, minlength=len(patterns))
    runs = np.split(entry, np.cumsum(counts)[:-1])
    return [np.concatenate([[count], run]) for count, run in zip(counts, runs, strict=True)]


def _frozen(array, dtype):
    array = array.astype(dtype)
    array.flags.writeable = False
    return array
