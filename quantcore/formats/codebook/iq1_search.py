"""The search of IQ1_S and IQ1_M: three values, shifted up or down by an eighth, and a scale.

    restored = scale * (level - 1 + shift)          level 0, 1 or 2; shift -1/8 or 1/8

With the weights of a sub-block in order, levels are two cuts: below the first lie those of level 0,
above the second those of level 2. All pairs of cuts are tried, each with its best scale, by sums
over the weights up to a cut. Each sub-block has a lane, as in the K-quants. Then runs of eight
weights whose levels are no entry of the codebook get the entry near them whose error is least.

Source: ggml/src/ggml-quants.c, quantize_row_iq1_s_impl and quantize_row_iq1_m_impl.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined
from quantcore.format import Weights
from quantcore.formats.codebook.search import LARGEST, LARGEST_BITS, ONE, ZERO
from quantcore.formats.shared.lanes import CODE, FIRST_FREE, IMPORTANCE, LANES, N_ROWS, SUPER_BLOCK

RANK = CODE  # rows: how many weights of the sub-block come before this one
BEST, WHICH, PEAK = range(FIRST_FREE, FIRST_FREE + 3)
UP, DOWN = np.float32(0.125), np.float32(-0.125)  # shifts


class Cuts(NamedTuple):
    """How a format searches and stores; constants to its kernels."""

    size: int  # weights of a sub-block
    n_parts: int  # of a sub-block, each with its own shift
    tiny: np.float32  # a sub-block with no weight from here on counts as zero
    unit: np.float32  # a sub-scale's code stands for (code + 1/2) * unit scales of scales


class Space(NamedTuple):
    """Where a search works, and what it finds in a super-block.

    It comes from outside the kernel: then the compiler knows that nothing overlaps.
    """

    board: Weights  # (N_ROWS, LANES)
    sums: Weights  # (2 * n_parts, size + 1, LANES): see `sum_in_order`
    terms: Weights  # (24,): the error of eight weights at each level
    counts: Weights  # how much each weight counts
    levels: NDArray[np.int32]  # of each weight
    entries: NDArray[np.int32]  # one for eight weights
    shifts: NDArray[np.int32]  # a number a sub-block: a bit for each part, the last part's lowest
    scales: Weights  # one a sub-block, none negative
    codes: NDArray[np.int32]  # of these scales


def new_space(cuts: Cuts) -> Space:
    """Make room for a search."""
    n_sub_blocks = SUPER_BLOCK // cuts.size
    return Space(
        board=np.zeros((N_ROWS, LANES), np.float32),
        sums=np.empty((2 * cuts.n_parts, cuts.size + 1, LANES), np.float32),
        terms=np.empty(24, np.float32),
        counts=np.empty(SUPER_BLOCK, np.float32),
        levels=np.empty(SUPER_BLOCK, np.int32),
        entries=np.empty(SUPER_BLOCK // 8, np.int32),
        shifts=np.empty(n_sub_blocks, np.int32),
        scales=np.empty(n_sub_blocks, np.float32),
        codes=np.empty(n_sub_blocks, np.int32),
    )


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
def sum_in_order(board, size, n_parts, sums):
    """Add up importance * weight, and importance, of the weights up to each rank.

    Row 2 * p of `sums` holds the first of the two for part p of the sub-block.
    """
    in_part = size // n_parts
    for p in range(2 * n_parts):
        for j in range(size + 1):
            for k in range(LANES):
                sums[p, j, k] = ZERO
    for i in range(size):
        for k in range(LANES):
            weight = board[IMPORTANCE + i, k]
            at = np.uint32(board[RANK + i, k]) + np.uint32(1)
            sums[2 * (i // in_part), at, k] = weight * board[i, k]
            sums[2 * (i // in_part) + 1, at, k] = weight
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
def shift_of(shifts, part, n_parts):
    """Return by how much a part of a sub-block is shifted."""
    return DOWN if shifts >> (n_parts - 1 - part) & 1 else UP


@inlined
def value_of(level, shift):
    """Return what a level stands for, in units of the scale."""
    return np.float32(np.float32(level - 1) + shift)


@inlined
def choose_entry(weights, counts, levels, scale, shift, book, terms):
    """Return the entry of a run of eight weights, and whether its levels were one.

    Where they were not, `levels` become those of the entry.
    """
    pattern = np.int32(0)
    for i in range(7, -1, -1):
        pattern = 3 * pattern + levels[i]
    place = book.places[np.uint32(pattern)]
    if place >= 0:
        return place, True
    for i in range(8):
        for level in range(3):
            miss = np.float32(np.float32(scale * value_of(level, shift)) - weights[i])
            terms[3 * i + level] = np.float32(np.float32(counts[i] * miss) * miss)
    at = _nearest(terms, -1 - place, book)
    for i in range(8):
        levels[i] = np.int32(book.near_levels[at] >> np.uint32(2 * i) & np.uint32(3))
    return np.int32(book.neighbours[at]), False


@inlined
def _nearest(terms, start, book):
    """Return the place of the entry with the least error among those near a pattern.

    Errors are not negative, so they sort like their bits; below them stands the place.
    """
    first, count = np.uint32(start + 1), book.neighbours[np.uint32(start)]
    best = np.uint64(LARGEST_BITS) << np.uint64(32) | np.uint64(first)
    for n in range(count):
        at = first + np.uint32(n)
        levels = book.near_levels[at]
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
