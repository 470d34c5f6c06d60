"""One sub-block at many scales at once: the search of IQ2 and IQ3.

    restored = scale * (2 * level + 1), signs apart          levels by runs of 4 or 8 weights

For each of up to 31 scales, ggml rounds each weight to a level. Where the levels of a run are no
entry of the codebook, it takes the entry near them whose weighted error is least. The scale that
explains most is kept: the largest sum of importance * value * weight, squared, over that of
importance * value^2.

Here each scale has a lane, a column of a board of float32 rows. Neighbouring scales mostly round to
the same levels: their lanes look through the same entries together. The error of a run is a sum of
terms, one a weight, and a term has only as many values as there are levels: they are made once for
all scales, and looking at an entry is no more than adding up.

Source: ggml/src/ggml-quants.c, quantize_row_iq3_xxs_impl and its relatives.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined
from quantcore.format import Weights
from quantcore.formats.codebook.codebooks import LANES
from quantcore.formats.shared.lanes import SUPER_BLOCK, nearest_code

HALF_LANES = LANES // 2  # a vector of most CPUs, or two
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
LARGEST = np.float32(3.4028235e38)  # what the first error of a search has to stay below
LARGEST_BITS = 0x7F7FFFFF

# Rows 0 to 7 hold the patterns of all runs, 8 to 15 their entries.
PATTERN, FOUND = 0, 8
SCALE, INV_SCALE, SUM_QX, SUM_QQ, BEST, WHICH, LEVELS, MISSED = range(16, 24)
N_ROWS = 24
N_TERMS = 32  # levels of all weights of a run

MISSED_ONLY, MISSED_AND_OTHERS, ALWAYS = range(3)  # runs whose entries the last pass chooses again


class Search(NamedTuple):
    """How a format searches and stores; constants to its kernels."""

    size: int  # weights of a sub-block
    run: int  # weights of a codebook's entry
    n_levels: int
    n_tries: int  # scales, the plain one in the middle
    step: np.float32  # of the inverse scale, in units of half a level
    tiny: np.float32  # a sub-block with no weight from here on counts as zero
    even_signs: bool  # of the signs of eight weights, the last follows from the others
    improve: int  # one of the three above
    unit: np.float32  # a sub-scale's code stands for (code + 1/2) * unit scales of scales
    times: np.float32 = np.float32(2)  # mean squares of the super-block in the importance
    alone: np.float32 = ZERO  # of that mean again, where there is no matrix
    stretch: np.float32 = ONE  # by which the scale of scales is stored larger
    n_lanes: int = LANES  # all of them: with fewer, whole vectors do not fit, and it takes longer


class Space(NamedTuple):
    """Where a search works, and what it finds in a super-block.

    It comes from outside the kernel: then the compiler knows that nothing overlaps.
    """

    board: Weights  # (N_ROWS, LANES)
    terms: Weights  # (N_TERMS * LANES,)
    sizes: Weights  # of a sub-block's weights; negative where an even number of signs demands it
    counts: Weights  # how much they count
    roots: Weights  # of that
    entries: NDArray[np.int32]  # one a run
    signs: NDArray[np.int32]  # a byte for eight weights
    scales: Weights  # one a sub-block, none negative
    codes: NDArray[np.int32]  # of these scales; before, room for a search
    is_zero: NDArray[np.bool_]  # sub-blocks that count as zero


def new_space(search: Search) -> Space:
    """Make room for a search.

    Terms begin with a line of the cache: a row that lies in two costs twice as much to read.
    """
    terms = np.zeros(N_TERMS * LANES + 16, np.float32)
    start = -terms.ctypes.data % 64 // 4
    return Space(
        board=np.zeros((N_ROWS, LANES), np.float32),
        terms=terms[start : start + N_TERMS * LANES],
        sizes=np.zeros(search.size, np.float32),
        counts=np.zeros(search.size, np.float32),
        roots=np.zeros(search.size, np.float32),
        entries=np.zeros(SUPER_BLOCK // search.run, np.int32),
        signs=np.zeros(SUPER_BLOCK // 8, np.int32),
        scales=np.zeros(SUPER_BLOCK // search.size, np.float32),
        codes=np.zeros(32, np.int32),
        is_zero=np.zeros(SUPER_BLOCK // search.size, np.bool_),
    )


@inlined
def find_patterns(board, weights, lanes, search):
    """Round weights to levels, and number the patterns of runs."""
    for g in range(search.size // search.run):
        for k in range(lanes):
            board[PATTERN + g, k] = ZERO
        for i in range(search.run - 1, -1, -1):
            x = weights[search.run * g + i]
            for k in range(lanes):
                level = nearest_code(HALF * (board[INV_SCALE, k] * x - ONE), 0, search.n_levels - 1)
                before = board[PATTERN + g, k] * np.float32(search.n_levels)
                board[PATTERN + g, k] = before + level


@inlined
def make_terms(board, terms, weights, roots, lanes, search):
    """Fill the errors of each weight of a run at each level."""
    for i in range(search.run):
        for level in range(search.n_levels):
            value = np.float32(2 * level + 1)
            for k in range(lanes):
                miss = board[SCALE, k] * value - weights[i]
                terms[LANES * (search.n_levels * i + level) + k] = roots[i] * miss * miss


@inlined
def find_entries(board, terms, group, lanes, book, search):
    """Fill a row of `FOUND`: for each lane the number of an entry."""
    start = 0
    while start < search.n_tries:  # lanes of one pattern at a time
        pattern, stop = board[PATTERN + group, start], start + 1
        while stop < search.n_tries and board[PATTERN + group, stop] == pattern:
            stop += 1
        place = book.places[np.int32(pattern)]
        if place < 0:
            # Half the lanes at a time, and how many as an argument: as a constant here, LLVM would
            # unroll their loop before it could become vectors (measured: twice as slow).
            for first in range(start // HALF_LANES * HALF_LANES, stop, HALF_LANES):
                _find_nearest(board, terms, -1 - place, first, min(lanes, HALF_LANES), book, search)
        for k in range(start, stop):
            board[FOUND + group, k] = board[WHICH, k] if place < 0 else np.float32(place)
        start = stop


@inlined
def _find_nearest(board, terms, start, lane, lanes, book, search):
    """Look through the entries near a pattern; of equals the first."""
    neighbours, rows = book.neighbours, book.rows
    lane = np.uint32(lane)
    for k in range(lanes):
        board[BEST, lane + np.uint32(k)] = LARGEST
        board[WHICH, lane + np.uint32(k)] = np.float32(neighbours[start + 1])
    for at in range(start + 1, start + 1 + neighbours[start]):
        entry = neighbours[np.uint32(at)]
        number, at_rows = np.float32(entry), entry * np.uint32(search.run)
        r0, r1 = rows[at_rows] + lane, rows[at_rows + np.uint32(1)] + lane
        r2, r3 = rows[at_rows + np.uint32(2)] + lane, rows[at_rows + np.uint32(3)] + lane
        if search.run == 8:
            r4, r5 = rows[at_rows + np.uint32(4)] + lane, rows[at_rows + np.uint32(5)] + lane
            r6, r7 = rows[at_rows + np.uint32(6)] + lane, rows[at_rows + np.uint32(7)] + lane
        else:
            r4 = r5 = r6 = r7 = r0
        for i in range(lanes):
            k = lane + np.uint32(i)
            n = np.uint32(i)
            error = terms[r0 + n] + terms[r1 + n] + terms[r2 + n] + terms[r3 + n]
            if search.run == 8:
                error = error + terms[r4 + n] + terms[r5 + n]
                error = error + terms[r6 + n] + terms[r7 + n]
            best, which = board[BEST, k], board[WHICH, k]
            board[WHICH, k] = number if error < best else which
            board[BEST, k] = error if error < best else best


@inlined
def nearest_entry(terms, start, book, search):
    """Look through the entries near a pattern, for the scale of the first lane.

    Errors are not negative, so they sort like their bits; below them stands the place in the run.
    """
    neighbours = book.neighbours
    best = np.uint64(LARGEST_BITS) << np.uint64(32) | np.uint64(start + 1)
    for at in range(start + 1, start + 1 + neighbours[start]):
        rows, first = book.rows, neighbours[np.uint32(at)] * np.uint32(search.run)
        error = terms[rows[first]]
        for i in range(1, search.run):
            error = error + terms[rows[first + np.uint32(i)]]
        key = np.uint64(np.float32(error).view(np.uint32)) << np.uint64(32) | np.uint64(at)
        best = key if key < best else best
    return neighbours[np.uint32(best & np.uint64(0xFFFFFFFF))]


@inlined
def sum_up(board, weights, counts, lanes, book, search):
    """Add up importance * value * weight, and importance * value * value."""
    for k in range(lanes):
        board[SUM_QX, k] = board[SUM_QQ, k] = ZERO
    bits = 2 if search.run == 8 else 3
    for g in range(search.size // search.run):
        for k in range(lanes):
            board[LEVELS, k] = book.levels[np.uint32(board[FOUND + g, k])]
        for i in range(search.run):
            at = search.run * g + i
            weight, weighted = counts[at], counts[at] * weights[at]
            for k in range(lanes):
                level = np.int32(board[LEVELS, k]) >> np.int32(bits * i) & np.int32((1 << bits) - 1)
                value = np.float32(2 * level + 1)
                board[SUM_QX, k] += weighted * value
                board[SUM_QQ, k] += weight * value * value


@inlined
def best_try(board, scale, n_tries):
    """Return the scale that explains most and its lane, or the scale given and -1."""
    best, lane = ZERO, -1
    for k in range(n_tries):
        qx, qq = board[SUM_QX, k], board[SUM_QQ, k]
        if qq > ZERO and np.float32(qx * qx) > np.float32(best * qq):
            scale = np.float32(qx / qq)
            best = np.float32(scale * qx)
            lane = k
    return scale, lane
