"""The search for a scale and an offset: Q2_K, Q4_K and Q5_K, Q5_1 and Q4_1 with a matrix.

    restored = scale * code + offset          0 <= code <= highest, offset = -minimum <= 0

ggml tries a row of scales around the plain one. Each gives codes; for these codes a weighted
least-squares fit gives the best scale and offset; the fit with the smallest weighted error wins.
A subtlety that bytes depend on: the offset of the best fit so far is the one from which the next
candidate computes its codes.

Source: ggml/src/ggml-quants.c, make_qkx2_quants.
"""

import numpy as np

from quantcore._jit import inlined
from quantcore.formats.shared.lanes import (
    CODE,
    FIRST_FREE,
    IMPORTANCE,
    LANES,
    MINIMUM,
    SCALE,
    nearest_code,
)

ZERO = np.float32(0)
LARGEST, SUM_W, SUM_WX, SUM_WL, SUM_WLL, SUM_WLX = range(FIRST_FREE, FIRST_FREE + 6)
ERROR, INV_SCALE, FIT_SCALE, FIT_OFFSET, FIT_ERROR = range(FIRST_FREE + 6, FIRST_FREE + 11)
OFFSET, KEPT_INV_SCALE, KEPT_OFFSET = range(FIRST_FREE + 11, FIRST_FREE + 14)


@inlined
def weigh_by_size(board, size):
    """Let the importance of a weight be its magnitude."""
    for i in range(size):
        for k in range(LANES):
            board[IMPORTANCE + i, k] = abs(board[i, k])


@inlined
def weigh_by_size_and_spread(board, size):
    """Let the importance of a weight be its magnitude plus the sub-block's root mean square."""
    spread = board[ERROR]  # free until the search begins
    for k in range(LANES):
        spread[k] = ZERO
    for i in range(size):
        for k in range(LANES):
            spread[k] += board[i, k] * board[i, k]
    for k in range(LANES):
        spread[k] = np.sqrt(spread[k] / np.float32(size))
    for i in range(size):
        for k in range(LANES):
            board[IMPORTANCE + i, k] = spread[k] + abs(board[i, k])


@inlined
def find_scale_and_offset(board, size, highest, first, step, n_steps, absolute):
    """Fill the rows `SCALE`, `MINIMUM` and `CODE` for sub-blocks of `size` weights.

    The plain scale divides the way from offset to largest weight into `highest` steps, candidate s,
    from 0 to `n_steps`, into ``first + step * s + highest``. `absolute` compares absolute instead
    of squared errors.
    """
    _measure(board, size)
    inv_scale, largest, offset = board[INV_SCALE], board[LARGEST], board[OFFSET]
    for s in range(-1, n_steps + 1):
        plain = s < 0
        more = np.float32(0) if plain else first + step * np.float32(s)
        for k in range(LANES):
            inv_scale[k] = (more + np.float32(highest)) / (largest[k] - offset[k])
        _choose_codes(board, size, highest)
        _fit(board, plain)
        _sum_errors(board, size, absolute)
        _keep_better(board, plain)
    _finish(board, size, highest)


@inlined
def _measure(board, size):
    """Smallest (at most zero) and largest weight, sums of importance and of importance * weight."""
    smallest, largest, sum_w, sum_wx = board[OFFSET], board[LARGEST], board[SUM_W], board[SUM_WX]
    for k in range(LANES):
        smallest[k] = largest[k] = board[0, k]
        sum_w[k] = board[IMPORTANCE, k]
        sum_wx[k] = board[IMPORTANCE, k] * board[0, k]
    for i in range(1, size):
        for k in range(LANES):
            x, w = board[i, k], board[IMPORTANCE + i, k]
            smallest[k] = x if x < smallest[k] else smallest[k]
            largest[k] = x if x > largest[k] else largest[k]
            sum_w[k] += w
            sum_wx[k] += w * x
    for k in range(LANES):
        smallest[k] = ZERO if smallest[k] > ZERO else smallest[k]


@inlined
def _choose_codes(board, size, highest):
    """Codes for `INV_SCALE`, and the sums that the fit needs (l stands for the code)."""
    sum_wl, sum_wll, sum_wlx = board[SUM_WL], board[SUM_WLL], board[SUM_WLX]
    inv_scale, offset = board[INV_SCALE], board[OFFSET]
    for k in range(LANES):
        sum_wl[k] = sum_wll[k] = sum_wlx[k] = ZERO
    for i in range(size):
        for k in range(LANES):
            x = board[i, k]
            code = nearest_code(inv_scale[k] * (x - offset[k]), 0, highest)
            w_code = board[IMPORTANCE + i, k] * code
            board[CODE + i, k] = code
            sum_wl[k] += w_code
            sum_wll[k] += w_code * code
            sum_wlx[k] += w_code * x


@inlined
def _fit(board, plain):
    """Weighted least squares; where it has no answer, the error starts at infinity.

    The plain scale is taken as it is; it is zero where all weights are equal and not positive.
    """
    for k in range(LANES):
        w, wx, wl = board[SUM_W, k], board[SUM_WX, k], board[SUM_WL, k]
        wll, wlx = board[SUM_WLL, k], board[SUM_WLX, k]
        determinant = w * wll - wl * wl
        scale = (w * wlx - wx * wl) / determinant
        offset = (wll * wx - wl * wlx) / determinant
        scale = wlx / wll if offset > ZERO else scale
        offset = ZERO if offset > ZERO else offset
        board[FIT_SCALE, k] = np.float32(1) / board[INV_SCALE, k] if plain else scale
        board[FIT_OFFSET, k] = board[OFFSET, k] if plain else offset
        fits = plain | (determinant > ZERO)
        board[FIT_ERROR, k] = ZERO if fits else np.float32(np.inf)


@inlined
def _sum_errors(board, size, absolute):
    """Add up what the codes of the fit miss."""
    scale, offset, error = board[FIT_SCALE], board[FIT_OFFSET], board[FIT_ERROR]
    for i in range(size):
        for k in range(LANES):
            miss = scale[k] * board[CODE + i, k] + offset[k] - board[i, k]
            error[k] += board[IMPORTANCE + i, k] * (abs(miss) if absolute else miss * miss)


@inlined
def _keep_better(board, plain):
    """Take the fit where it misses less than the best so far; the plain scale comes first."""
    best, scale, offset = board[ERROR], board[SCALE], board[OFFSET]
    kept_inv_scale, kept_offset = board[KEPT_INV_SCALE], board[KEPT_OFFSET]
    for k in range(LANES):
        better = plain | (board[FIT_ERROR, k] < best[k])
        best[k] = board[FIT_ERROR, k] if better else best[k]
        scale[k] = board[FIT_SCALE, k] if better else scale[k]
        kept_inv_scale[k] = board[INV_SCALE, k] if better else kept_inv_scale[k]
        kept_offset[k] = offset[k] if better else kept_offset[k]
        offset[k] = board[FIT_OFFSET, k] if better else offset[k]


@inlined
def _finish(board, size, highest):
    """Choose the codes of the best fit again, from the offset that it was found with."""
    inv_scale, offset = board[KEPT_INV_SCALE], board[KEPT_OFFSET]
    for i in range(size):
        for k in range(LANES):
            value = inv_scale[k] * (board[i, k] - offset[k])
            board[CODE + i, k] = nearest_code(value, 0, highest)
    for k in range(LANES):
        board[MINIMUM, k] = -board[OFFSET, k]
