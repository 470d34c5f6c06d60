"""A super-block of IQ2 and IQ3: the signs, entries and scales of its sub-blocks."""

import numpy as np

from quantcore._jit import inlined
from quantcore.formats.iq_search import (
    ALWAYS,
    FOUND,
    HALF,
    INV_SCALE,
    LANES,
    MISSED,
    MISSED_AND_OTHERS,
    MISSED_ONLY,
    N_ROWS,
    N_TERMS,
    ONE,
    PATTERN,
    SCALE,
    SUM_QQ,
    SUM_QX,
    ZERO,
    best_try,
    find_entries,
    find_patterns,
    make_terms,
    nearest_entry,
    sum_up,
)
from quantcore.formats.k_lanes import SUPER_BLOCK
from quantcore.formats.weighted import divide_weighted, sum_of_squares
from quantcore.rounding import nearest_int


@inlined
def new_space():
    """Return what a search works in: the board, the terms, rows of weights, and codes.

    Terms begin with a line of the cache: a row that lies in two costs twice as much to read.
    """
    board, terms = np.zeros((N_ROWS, LANES), np.float32), np.zeros(N_TERMS * LANES + 16, np.float32)
    start = -terms.ctypes.data % 64 // 4
    terms = terms[start : start + N_TERMS * LANES]
    return board, terms, np.zeros((3, 32), np.float32), np.zeros(32, np.int32)


@inlined
def new_result(search):
    """Return room for entries of the codebook, bytes of signs, and scales of a super-block."""
    entries, signs = np.zeros(SUPER_BLOCK // search.run, np.int32), np.zeros(32, np.int32)
    return entries, signs, np.zeros(SUPER_BLOCK // search.size, np.float32)


@inlined
def encode_super_block(weights, importance, space, codebook, search, result):
    """Fill the result; no scale is negative. Without a matrix, `importance` is empty."""
    size, n_runs, n_signs = search.size, search.size // search.run, search.size // 8
    entries, signs, scales = result
    counts, roots, magnitudes = space[2][0, :size], space[2][1, :size], space[2][2, :size]
    total = np.float32(search.times * sum_of_squares(weights))
    mean = np.float32(total / np.float32(SUPER_BLOCK))
    for j in range(SUPER_BLOCK // size):
        here = weights[size * j : size * (j + 1)]
        weigh(here, importance[size * j : size * (j + 1)], mean, search.alone, counts)
        bytes_here = signs[n_signs * j : n_signs * (j + 1)]
        runs = entries[n_runs * j : n_runs * (j + 1)]
        take_signs(here, counts, search.even_signs, magnitudes, bytes_here)
        for i in range(size):
            roots[i] = np.sqrt(counts[i])
        scale, is_zero = find_best(magnitudes, counts, roots, space, codebook, search, runs)
        if is_zero:
            runs[:] = 0
            bytes_here[:] = 0
        elif scale < ZERO:
            scale = -scale
            for g in range(n_signs):
                bytes_here[g] = ~bytes_here[g] & 255
        scales[j] = scale


@inlined
def weigh(weights, importance, mean, alone, counts):
    """Fill how much each weight counts."""
    if importance.size:
        for i in range(counts.size):
            x = weights[i]
            counts[i] = importance[i] * np.sqrt(np.float32(mean + np.float32(x * x)))
    else:
        for i in range(counts.size):
            counts[i] = np.float32(alone * mean) + np.float32(weights[i] * weights[i])


@inlined
def take_signs(weights, importance, even, magnitudes, signs):
    """Fill magnitudes, and a byte of signs for each eight weights.

    Where the number of minus signs must be even, the weight that counts least may get the wrong
    sign: its magnitude becomes negative.
    """
    for g in range(signs.size):
        byte, n_minus = np.int32(0), np.int32(0)
        for i in range(8):
            x = weights[8 * g + i]
            minus = not x >= ZERO
            magnitudes[8 * g + i] = -x if minus else x
            byte |= np.int32(minus) << i
            n_minus += np.int32(minus)
        if even and n_minus & 1:
            least, at = _square(weights, importance, 8 * g), 0
            for i in range(1, 8):
                square = _square(weights, importance, 8 * g + i)
                at = i if square < least else at
                least = square if square < least else least
            magnitudes[8 * g + at] = -magnitudes[8 * g + at]
            byte ^= np.int32(1) << at
        signs[g] = byte


@inlined
def _square(weights, importance, i):
    return np.float32(np.float32(importance[i] * weights[i]) * weights[i])


@inlined
def find_best(weights, importance, roots, space, codebook, search, found):
    """Fill the entries of a sub-block's runs; return its scale, and whether it counts as zero."""
    board, terms = space[0], space[1]
    top, middle = np.float32(2 * search.n_levels - 1), np.float32(search.n_tries // 2)
    peak = weights[0]
    for x in weights[1:]:
        peak = peak if peak > x else x
    if peak < search.tiny or peak == ZERO:
        return ZERO, True
    scale = np.float32(peak / top)
    if search.fitted:
        scale = divide_weighted(weights, importance, search.n_levels + 1, space[3])
        peak = np.float32(scale * np.float32(search.n_levels))
        if peak <= ZERO:
            return ZERO, True
    for k in range(LANES):
        inv_scale = (top + (np.float32(k) - middle) * search.step) / peak
        board[INV_SCALE, k] = inv_scale
        board[SCALE, k] = ONE / inv_scale
    find_patterns(board, weights, LANES, search)
    for g in range(found.size):
        find_entries(board, terms, weights, roots, g, LANES, search.n_tries, codebook, search)
    sum_up(board, weights, importance, LANES, codebook, search)
    scale, lane = best_try(board, scale, search.n_tries)
    n_missed = 0
    for g in range(found.size):
        pattern = np.int32(board[PATTERN + g, max(lane, 0)])
        missed = codebook.places[pattern] < 0 if lane >= 0 else search.improve == MISSED_AND_OTHERS
        found[g] = np.int32(board[FOUND + g, lane]) if lane >= 0 else 0
        board[MISSED, g] = np.float32(missed)
        n_missed += np.int32(missed)
    if scale > ZERO and (n_missed > 0 or search.improve == ALWAYS):
        scale = _improve(weights, importance, roots, scale, space, codebook, search, found)
    return scale, False


@inlined
def _improve(weights, importance, roots, scale, space, codebook, search, found):
    """Choose entries once more by the best scale, and fit the scale to them."""
    board, terms = space[0], space[1]
    board[INV_SCALE, 0] = ONE / scale
    board[SCALE, 0] = scale
    find_patterns(board, weights, 1, search)
    for g in range(found.size):
        if search.improve != MISSED_ONLY or board[MISSED, g] != ZERO:
            make_terms(board, terms, weights, roots, g, 1, search)
            place = codebook.places[np.int32(board[PATTERN + g, 0])]
            near = (
                nearest_entry(terms, -1 - place, codebook, search)
                if place < 0
                else np.uint32(place)
            )
            found[g] = near
        board[FOUND + g, 0] = np.float32(found[g])
    sum_up(board, weights, importance, 1, codebook, search)
    qx, qq = board[SUM_QX, 0], board[SUM_QQ, 0]
    return np.float32(qx / qq) if qq > ZERO else scale


@inlined
def largest_of(scales):
    """Return the largest scale; none is negative."""
    largest = ZERO
    for scale in scales:
        largest = largest if largest > scale else scale
    return largest


@inlined
def scale_code(scale, inv_step, highest):
    """Return the code of a scale that is stored as 2 * code + 1 steps."""
    code = nearest_int(np.float32(HALF * np.float32(np.float32(inv_step * scale) - ONE)))
    return max(np.int32(0), min(np.int32(highest), code))
