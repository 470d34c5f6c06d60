"""The search of IQ1_S and IQ1_M: three values, shifted up or down by an eighth, and a scale.

    restored = scale * (level - 1 + shift)          level 0, 1 or 2; shift -1/8 or 1/8

With the weights of a sub-block in order, levels are two cuts: below the first lie those of level 0,
above the second those of level 2. All pairs of cuts are tried, each with its best scale, by sums
over the weights up to a cut. Each sub-block has a lane, as in the K-quants. Then runs of eight
weights whose levels are no entry of the codebook get the entry near them whose error is least.

Source: ggml/src/ggml-quants.c, quantize_row_iq1_s_impl and quantize_row_iq1_m_impl.
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined
from quantcore.format import Weights
from quantcore.formats.codebooks import Codebook, codebook
from quantcore.formats.iq_search import LARGEST, LARGEST_BITS, ZERO
from quantcore.formats.k_lanes import CODE, FIRST_FREE, IMPORTANCE, LANES

RANK = CODE  # rows: how many weights of the sub-block come before this one
BEST, WHICH, PEAK = range(FIRST_FREE, FIRST_FREE + 3)
UP, DOWN = np.float32(0.125), np.float32(-0.125)  # shifts
SHIFTED_VALUES = (-1.125, -0.875, -0.125, 0.125, 0.875, 1.125)
ONE = np.float32(1)


def book() -> Codebook:
    """Both formats choose among entries at the three shortest distances."""
    return codebook("iq1", 3)


def shifted_codes(levels: NDArray[np.uint8], down: NDArray[np.integer]) -> NDArray[np.int32]:
    """Count codes of 256 weights in `SHIFTED_VALUES`; `down` says by runs which are shifted so."""
    return (2 * levels.astype(np.int32) + (1 - down.astype(np.int32))).reshape(-1)


def new_sums(n_sums: int, size: int) -> Weights:
    """Make room for `n_sums` sums up to each of the ranks of `size` weights.

    It comes from outside: then the compiler knows that nothing overlaps with it.
    """
    return np.empty((n_sums, size + 1, LANES), np.float32)


@inlined
def rank(board, size):
    """Fill the ranks of weights; of equals the first comes first."""
    for i in range(size):
        for k in range(LANES):
            board[RANK + i, k] = ZERO
    for i in range(size):
        for j in range(i + 1, size):
            for k in range(LANES):
                later = np.float32(board[j, k] < board[i, k])
                board[RANK + i, k] += later
                board[RANK + j, k] += ONE - later
    for k in range(LANES):
        board[PEAK, k] = ZERO
    for i in range(size):
        for k in range(LANES):
            size_here, peak = abs(board[i, k]), board[PEAK, k]
            board[PEAK, k] = size_here if size_here > peak else peak


@inlined
def sum_in_order(board, size, half, sums):
    """Add up importance * weight, and importance, of the weights up to each rank.

    `sums` is (2 * n_parts, size + 1, LANES): weights of each part of `half` have sums of their own.
    """
    n_parts = size // half
    for p in range(2 * n_parts):
        for j in range(size + 1):
            for k in range(LANES):
                sums[p, j, k] = ZERO
    for i in range(size):
        for k in range(LANES):
            weight = board[IMPORTANCE + i, k]
            at = np.uint32(board[RANK + i, k]) + np.uint32(1)
            sums[2 * (i // half), at, k] = weight * board[i, k]
            sums[2 * (i // half) + 1, at, k] = weight
    for p in range(2 * n_parts):
        for j in range(size):
            for k in range(LANES):
                sums[p, j + 1, k] += sums[p, j, k]


@inlined
def start_search(board):
    """Forget what earlier batches found."""
    for k in range(LANES):
        board[BEST, k] = -LARGEST
        board[WHICH, k] = np.float32(-1)


# These return one number each: loops over lanes with pairs in them do not become vectors.
@inlined
def explains_more(best, qx, qq):
    """Whether cuts with these sums explain more than the best so far."""
    return (qq > ZERO) & (qx * qx > best * qq)


@inlined
def number_of(first, second):
    """Return the number of a pair of cuts, to which that of the shifts is added."""
    return np.float32(256 * first + 4 * second)


@inlined
def found_cuts(board, lane):
    """Return both cuts and the number of the shifts."""
    number = np.int32(board[WHICH, lane])
    return number >> 8, number >> 2 & 63, number & 3


@inlined
def take_levels(board, lane, first, second, turned, levels):
    """Fill the levels of a sub-block by its cuts; where the scale was negative, they are turned."""
    for i in range(levels.size):
        place = np.int32(board[RANK + i, lane])
        level = np.int32(place >= first) + np.int32(place >= second)
        levels[i] = np.int32(2) - level if turned else level


@inlined
def value_of(level, shift):
    """Return what a level stands for, in units of the scale."""
    return np.float32(np.float32(level - 1) + shift)


@inlined
def choose_entry(weights, importance, levels, scale, shift, codebook, terms):
    """Return the entry of a run of eight weights, and whether its levels were one.

    Where they were not, `levels` become those of the entry.
    """
    pattern = np.int32(0)
    for i in range(7, -1, -1):
        pattern = 3 * pattern + levels[i]
    place = codebook.places[np.uint32(pattern)]
    if place >= 0:
        return place, True
    for i in range(8):
        for level in range(3):
            miss = np.float32(np.float32(scale * value_of(level, shift)) - weights[i])
            terms[3 * i + level] = np.float32(np.float32(importance[i] * miss) * miss)
    at = _nearest(terms, -1 - place, codebook)
    for i in range(8):
        levels[i] = np.int32(codebook.near_levels[at] >> np.uint32(2 * i) & np.uint32(3))
    return np.int32(codebook.neighbours[at]), False


@inlined
def _nearest(terms, start, codebook):
    """Return the place of the entry with the least error among those near a pattern.

    Errors are not negative, so they sort like their bits; below them stands the place.
    """
    first, count = np.uint32(start + 1), codebook.neighbours[np.uint32(start)]
    best = np.uint64(LARGEST_BITS) << np.uint64(32) | np.uint64(first)
    for n in range(count):
        at = first + np.uint32(n)
        levels = codebook.near_levels[at]
        error = _term(terms, levels, 0) + _term(terms, levels, 1)
        error = error + _term(terms, levels, 2) + _term(terms, levels, 3)
        error = error + _term(terms, levels, 4) + _term(terms, levels, 5)
        error = error + _term(terms, levels, 6) + _term(terms, levels, 7)
        key = np.uint64(np.float32(error).view(np.uint32)) << np.uint64(32) | np.uint64(at)
        best = key if key < best else best
    return np.uint32(best & np.uint64(0xFFFFFFFF))


@inlined
def _term(terms, levels, i):
    low, middle, high = terms[3 * i], terms[3 * i + 1], terms[3 * i + 2]
    level = levels >> np.uint32(2 * i) & np.uint32(3)
    below = middle if level == np.uint32(1) else low
    return high if level == np.uint32(2) else below
