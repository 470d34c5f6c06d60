"""What the slow twins of all formats with a codebook share: entries near a pattern, and fits."""

from functools import cache

import numpy as np

from quantcore.formats.codebook.codebooks import levels_of
from tests.twins.naive import F32
from tests.twins.naive_k_search import clamp, nearest_int, total

SHELLS = {"iq3_xxs": 2, "iq3_s": 3, "iq2_xxs": 2, "iq2_xs": 2, "iq2_s": 1, "iq1": 3}
LARGEST = F32(3.4028235e38)


@cache
def candidates(book, pattern):
    """Entries that may take the place of a pattern of levels, the nearest first."""
    levels = levels_of(book).astype(int)
    distance = ((levels - np.array(pattern)) ** 2).sum(axis=1)
    if not distance.min():
        return [int(distance.argmin())]
    shells = np.unique(distance)[: SHELLS[book]]
    return [int(i) for shell in shells for i in np.flatnonzero(distance == shell)]


def choose(book, pattern, values, weights, counts, scale):
    """Return the number of the entry with the least error; of equals the first."""
    near = candidates(book, tuple(pattern))
    if len(near) == 1:
        return near[0]
    best, nearest = LARGEST, near[0]
    for entry in near:
        misses = [
            F32(scale * values[level]) - x
            for level, x in zip(levels_of(book)[entry], weights, strict=True)
        ]
        error = total(F32(F32(w * m) * m) for w, m in zip(counts, misses, strict=True))
        if error < best:
            best, nearest = error, entry
    return nearest


def on_grid(book, pattern):
    return bool((levels_of(book) == np.array(pattern)).all(axis=1).any())


def weigh(block, importance, times, alone):
    mean = F32(F32(F32(times) * total(F32(x * x) for x in block)) / F32(256))
    if importance is None:
        return [F32(F32(F32(alone) * mean) + F32(x * x)) for x in block]
    return [
        F32(q * np.sqrt(F32(mean + F32(x * x)))) for q, x in zip(importance, block, strict=True)
    ]


def code_of(scale, inverse, most):
    code = nearest_int(F32(F32(0.5) * F32(F32(inverse * scale) - F32(1))))
    return clamp(code, 0, most)
