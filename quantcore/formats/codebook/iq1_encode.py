"""The way that IQ1_S and IQ1_M are encoded: cuts, entries and scales of sub-blocks, then storing.

Source: ggml/src/ggml-quants.c, quantize_row_iq1_s_impl and quantize_row_iq1_m_impl.
"""

import numpy as np

from quantcore._jit import inlined, pasted
from quantcore.formats.codebook.iq1_search import (
    BEST,
    PEAK,
    WHICH,
    choose_entry,
    explains_more,
    found_cuts,
    number_of,
    rank,
    shift_of,
    start_search,
    sum_in_order,
    take_levels,
    value_of,
)
from quantcore.formats.codebook.search import ZERO
from quantcore.formats.shared.lanes import IMPORTANCE, LANES, SUPER_BLOCK, load
from quantcore.formats.shared.scales import divide_odd
from quantcore.formats.shared.symmetric import weigh_by_square
from quantcore.formats.shared.weighted import weigh_super_blocks

HIGHEST = 7  # of a sub-scale's code


@pasted
def encode(blocks, importance, book, space, packed, cuts, sums_of, store):
    """Encode super-blocks; return the number of the first bad one, or -1.

    Parameters
    ----------
    importance
        (blocks a row, 256); without a matrix (1, 0).
    sums_of
        ``(sums, first, second, lane, shifts)`` returns, for a pair of cuts, the sums of
        importance * value * weight and of importance * value^2.
    store
        ``(weights, step, space, block)`` lays entries, shifts and codes of scales, and a scale of
        scales fitted from `step`, into bytes that are zero.
    """
    per_block = SUPER_BLOCK // cuts.size
    n_batch = LANES // per_block
    for start in range(0, blocks.shape[0], n_batch):
        batch = blocks[start : start + n_batch]
        bad = load(batch, cuts.size, space.board)
        if bad >= 0:
            return start + bad
        if importance.shape[1]:
            weigh_super_blocks(batch, importance, start, cuts.size, np.float32(2), space.board)
        else:
            weigh_by_square(space.board, cuts.size)
        rank(space.board, cuts.size)
        sum_in_order(space.board, cuts.size, cuts.n_parts, space.sums)
        _find_cuts(space.board, space.sums, cuts, sums_of)
        for b in range(batch.shape[0]):
            block = packed[start + b]
            _find_super_block(batch[b], per_block * b, book, space, cuts, sums_of)
            block[:] = 0
            store(batch[b], divide_odd(space.scales, HIGHEST, space.codes), space, block)
    return -1


@pasted
def _find_cuts(board, sums, cuts, sums_of):
    """Find the best cuts of every lane, with all shifts of its parts."""
    start_search(board)
    for i in range(cuts.size + 1):
        for j in range(i, cuts.size + 1):
            number = number_of(i, j)
            for k in range(LANES):
                best, which = board[BEST, k], board[WHICH, k]
                for shifts in range(1 << cuts.n_parts):
                    qx, qq = sums_of(sums, i, j, k, shifts)
                    better, explained = explains_more(best, qx, qq), qx / qq * qx
                    which = number + np.float32(shifts) if better else which
                    best = explained if better else best
                board[WHICH, k], board[BEST, k] = which, best


@pasted
def _find_super_block(weights, lane, book, space, cuts, sums_of):
    """Fill the entries, shifts and scales of the block whose first sub-block has this lane."""
    board, size = space.board, cuts.size
    for j in range(SUPER_BLOCK // size):
        here = slice(size * j, size * (j + 1))
        counts, levels = space.counts[here], space.levels[here]
        entries = space.entries[size // 8 * j : size // 8 * (j + 1)]
        for i in range(size):
            counts[i] = board[IMPORTANCE + i, lane + j]
        if board[PEAK, lane + j] < cuts.tiny or board[WHICH, lane + j] < ZERO:
            entries[:] = 0
            levels[:] = 0  # those of the first entry
            space.shifts[j] = 0
            space.scales[j] = ZERO
            continue
        first, second, shifts = found_cuts(board, lane + j)
        qx, qq = sums_of(space.sums, first, second, lane + j, shifts)
        scale, turned = np.float32(abs(qx / qq)), qx / qq < ZERO
        take_levels(board, lane + j, first, second, turned, levels)
        shifts = np.int32((1 << cuts.n_parts) - 1) - shifts if turned else shifts
        missed = False
        for g in range(size // 8):
            run = slice(8 * g, 8 * g + 8)
            shift = shift_of(shifts, 8 * g * cuts.n_parts // size, cuts.n_parts)
            entries[g], exact = choose_entry(
                weights[here][run], counts[run], levels[run], scale, shift, book, space.terms
            )
            missed |= not exact
        if missed:
            scale = _fit(weights[here], counts, levels, shifts, cuts, scale)
        space.shifts[j], space.scales[j] = shifts, scale


@inlined
def _fit(weights, counts, levels, shifts, cuts, scale):
    """Return the scale that fits the levels best, or that given where it would be negative."""
    qx = qq = ZERO
    for i in range(cuts.size):
        shift = shift_of(shifts, i * cuts.n_parts // cuts.size, cuts.n_parts)
        value = value_of(levels[i], shift)
        weighted = np.float32(counts[i] * value)
        qx = np.float32(qx + np.float32(weighted * weights[i]))
        qq = np.float32(qq + np.float32(weighted * value))
    return np.float32(qx / qq) if qx > ZERO and qq > ZERO else scale
