"""The way that IQ2 and IQ3 are encoded: signs, entries and scales of sub-blocks, then storing.

Source: ggml/src/ggml-quants.c, quantize_row_iq3_xxs_impl and its relatives.
"""

import numpy as np

from quantcore._jit import inlined, pasted
from quantcore.bits import store_half
from quantcore.formats.codebook.search import (
    ALWAYS,
    FOUND,
    INV_SCALE,
    MISSED,
    MISSED_AND_OTHERS,
    MISSED_ONLY,
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
from quantcore.formats.shared.lanes import SUPER_BLOCK
from quantcore.formats.shared.magnitudes import holds_nan_or_inf
from quantcore.formats.shared.scales import divide_odd
from quantcore.formats.shared.weighted import sum_of_squares

HIGHEST = 15  # of a sub-scale's code


@pasted
def encode(blocks, importance, book, space, packed, search, start, store):
    """Encode super-blocks; return the number of the first bad one, or -1.

    Parameters
    ----------
    importance
        (blocks a row, 256); without a matrix (1, 0).
    start
        ``(space, search, peak)`` returns the scale that counts where none explains anything, and
        the weight that the scale in the middle of the search puts on the highest level.
    store
        ``(space, block)`` lays entries, signs and codes of scales into bytes that are zero.
    """
    for b in range(blocks.shape[0]):
        if holds_nan_or_inf(blocks[b]):
            return b
        row, block = importance[b % importance.shape[0]], packed[b]
        _find_super_block(blocks[b], row, book, space, search, start)
        step = divide_odd(space.scales, HIGHEST, space.codes)
        if search.even_signs and step == ZERO:  # ggml stores nothing but zeros then
            space.entries[:] = 0
            space.signs[:] = 0
        block[:] = 0
        store_half(np.float32(step * search.stretch), block)
        store(space, block)
    return -1


@pasted
def plain_start(space, search, peak):
    """Put the largest weight on the highest level."""
    return np.float32(peak / np.float32(2 * search.n_levels - 1)), peak


@pasted
def _find_super_block(weights, importance, book, space, search, start):
    size, n_runs, n_signs = search.size, search.size // search.run, search.size // 8
    total = np.float32(search.times * sum_of_squares(weights))
    mean = np.float32(total / np.float32(SUPER_BLOCK))
    for j in range(SUPER_BLOCK // size):
        here = weights[size * j : size * (j + 1)]
        importance_here = importance[size * j : size * (j + 1)]
        _weigh(here, importance_here, mean, search.alone, space.counts, space.roots)
        signs = space.signs[n_signs * j : n_signs * (j + 1)]
        _take_signs(here, space.counts, search.even_signs, space.sizes, signs)
        entries = space.entries[n_runs * j : n_runs * (j + 1)]
        scale, is_zero = _find_best(book, space, search, start, entries)
        if is_zero:
            entries[:] = 0
            signs[:] = 0
        elif scale < ZERO:
            scale = -scale
            for g in range(n_signs):
                signs[g] = ~signs[g] & 255
        space.scales[j], space.is_zero[j] = scale, is_zero


@inlined
def _weigh(weights, importance, mean, alone, counts, roots):
    """Fill how much each weight counts."""
    for i in range(counts.size):
        x = weights[i]
        if importance.size:
            counts[i] = importance[i] * np.sqrt(np.float32(mean + np.float32(x * x)))
        else:
            counts[i] = np.float32(alone * mean) + np.float32(x * x)
        roots[i] = np.sqrt(counts[i])


@inlined
def _take_signs(weights, counts, even, sizes, signs):
    """Fill magnitudes, and a byte of signs for each eight weights.

    Where the number of minus signs must be even, the weight that counts least may get the wrong
    sign: its magnitude becomes negative.
    """
    for g in range(signs.size):
        byte, n_minus = np.int32(0), np.int32(0)
        least, at = ZERO, 0
        for i in range(8 * g, 8 * g + 8):
            x = weights[i]
            minus = not x >= ZERO
            sizes[i] = -x if minus else x
            byte |= np.int32(minus) << (i - 8 * g)
            n_minus += np.int32(minus)
            square = np.float32(np.float32(counts[i] * x) * x)
            at = i if i == 8 * g or square < least else at
            least = square if at == i else least
        if even and n_minus & 1:
            sizes[at] = -sizes[at]
            byte ^= np.int32(1) << (at - 8 * g)
        signs[g] = byte


@pasted
def _find_best(book, space, search, start, entries):
    """Fill the entries of a sub-block's runs; return its scale, and whether it counts as zero."""
    board, terms, sizes, roots = space.board, space.terms, space.sizes, space.roots
    peak = sizes[0]
    for x in sizes[1:]:
        peak = peak if peak > x else x
    if peak < search.tiny or peak == ZERO:
        return ZERO, True
    scale, peak = start(space, search, peak)
    if peak <= ZERO:
        return ZERO, True
    middle, top = np.float32(search.n_tries // 2), np.float32(2 * search.n_levels - 1)
    for k in range(search.n_lanes):
        inv_scale = (top + (np.float32(k) - middle) * search.step) / peak
        board[INV_SCALE, k] = inv_scale
        board[SCALE, k] = ONE / inv_scale
    find_patterns(board, sizes, search.n_lanes, search)
    for g in range(entries.size):
        run = slice(search.run * g, search.run * (g + 1))
        make_terms(board, terms, sizes[run], roots[run], search.n_lanes, search)
        find_entries(board, terms, g, search.n_lanes, book, search)
    sum_up(board, sizes, space.counts, search.n_lanes, book, search)
    scale, lane = best_try(board, scale, search.n_tries)
    n_missed = 0
    for g in range(entries.size):
        pattern = np.int32(board[PATTERN + g, max(lane, 0)])
        missed = book.places[pattern] < 0 if lane >= 0 else search.improve == MISSED_AND_OTHERS
        entries[g] = np.int32(board[FOUND + g, lane]) if lane >= 0 else 0
        board[MISSED, g] = np.float32(missed)
        n_missed += np.int32(missed)
    if scale > ZERO and (n_missed > 0 or search.improve == ALWAYS):
        scale = _improve(scale, book, space, search, entries)
    return scale, False


@pasted
def _improve(scale, book, space, search, entries):
    """Choose entries once more by the best scale, and fit the scale to them."""
    board, terms, sizes, roots = space.board, space.terms, space.sizes, space.roots
    one = np.int64(1)  # lane; of a plain 1 numba would make types, and compile all once more for it
    board[INV_SCALE, 0] = ONE / scale
    board[SCALE, 0] = scale
    find_patterns(board, sizes, one, search)
    for g in range(entries.size):
        if search.improve != MISSED_ONLY or board[MISSED, g] != ZERO:
            run = slice(search.run * g, search.run * (g + 1))
            make_terms(board, terms, sizes[run], roots[run], one, search)
            place = book.places[np.int32(board[PATTERN + g, 0])]
            if place < 0:
                entries[g] = nearest_entry(terms, -1 - place, book, search)
            else:
                entries[g] = place
        board[FOUND + g, 0] = np.float32(entries[g])
    sum_up(board, sizes, space.counts, one, book, search)
    qx, qq = board[SUM_QX, 0], board[SUM_QQ, 0]
    return np.float32(qx / qq) if qq > ZERO else scale
