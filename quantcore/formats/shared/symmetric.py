"""The searches with codes on both sides of zero: Q6_K and Q3_K, Q5_0 and Q4_0 with a matrix.

    restored = scale * code          -n <= code < n

The scale's sign is chosen so that the largest weight lands on -n, the one code without a mirror
image. Without an importance matrix a weight w counts w * w. The row `MINIMUM` stays zero.

Source: ggml/src/ggml-quants.c, make_qx_quants and make_q3_quants.
"""

import numpy as np

from quantcore._jit import inlined
from quantcore.formats.shared.lanes import CODE, FIRST_FREE, IMPORTANCE, LANES, SCALE, nearest_code

ZERO = np.float32(0)
TINY = np.float32(1e-15)  # a sub-block with no weight from here on counts as zero
TENTHS = (0, *range(-9, 0), *range(1, 10))  # of a step, by which candidates differ from the plain
N_SWEEPS = 5
PEAK, INV_SCALE, KEPT_INV_SCALE, SUM_WLX, SUM_WLL, BEST = range(FIRST_FREE, FIRST_FREE + 6)


@inlined
def weigh_by_square(board, size):
    """Let the importance of a weight be its square."""
    for i in range(size):
        for k in range(LANES):
            board[IMPORTANCE + i, k] = board[i, k] * board[i, k]


@inlined
def find_scale(board, size, n):
    """Fill the rows `SCALE` and `CODE`: of 19 scales keep the one that explains most."""
    _find_peak(board, size)
    for tenths in TENTHS:
        n_grid_steps = np.float32(n) + np.float32(0.1) * np.float32(tenths)
        for k in range(LANES):
            board[INV_SCALE, k] = -n_grid_steps / board[PEAK, k]
        _choose_codes(board, size, n)
        _keep_better(board, tenths == 0)
    for k in range(LANES):
        board[INV_SCALE, k] = board[KEPT_INV_SCALE, k]
    _choose_codes(board, size, n)
    _silence_tiny(board, size, n)


@inlined
def improve_codes(board, size, n):
    """Fill the rows `SCALE` and `CODE`: improve the plain codes one by one, in sweeps.

    ggml stops after a sweep without a change; further sweeps would not change anything either.
    """
    _find_peak(board, size)
    for k in range(LANES):
        board[INV_SCALE, k] = np.float32(-n) / board[PEAK, k]
    _choose_codes(board, size, n)
    for _ in range(N_SWEEPS):
        _sweep(board, size, n)
    for k in range(LANES):
        wlx, wll = board[SUM_WLX, k], board[SUM_WLL, k]
        board[SCALE, k] = wlx / wll if wll > ZERO else ZERO
    _silence_tiny(board, size, n)


@inlined
def _find_peak(board, size):
    """Find the weight of largest magnitude, the first of equals."""
    peak = board[PEAK]
    for k in range(LANES):
        peak[k] = ZERO
    for i in range(size):
        for k in range(LANES):
            x = board[i, k]
            peak[k] = x if abs(x) > abs(peak[k]) else peak[k]


@inlined
def _choose_codes(board, size, n):
    """Codes for `INV_SCALE`; sums of importance * code * weight and importance * code * code."""
    inv_scale, sum_wlx, sum_wll = board[INV_SCALE], board[SUM_WLX], board[SUM_WLL]
    for k in range(LANES):
        sum_wlx[k] = sum_wll[k] = ZERO
    for i in range(size):
        for k in range(LANES):
            x = board[i, k]
            code = nearest_code(inv_scale[k] * x, -n, n - 1)
            board[CODE + i, k] = code
            w = board[IMPORTANCE + i, k]
            sum_wlx[k] += w * x * code
            sum_wll[k] += w * code * code


@inlined
def _keep_better(board, first):
    """Take the candidate if it is the first, or where it explains more than the best so far."""
    scale, best, kept_inv_scale = board[SCALE], board[BEST], board[KEPT_INV_SCALE]
    for k in range(LANES):
        wlx, wll = board[SUM_WLX, k], board[SUM_WLL, k]
        better = first | ((wll > ZERO) & (wlx * wlx > best[k] * wll))
        fitted = wlx / wll if wll != ZERO else ZERO
        scale[k] = fitted if better else scale[k]
        best[k] = fitted * wlx if better else best[k]
        kept_inv_scale[k] = board[INV_SCALE, k] if better else kept_inv_scale[k]


@inlined
def _sweep(board, size, n):
    """Move each code in turn to where the best scale for all others would put it."""
    sum_wlx, sum_wll = board[SUM_WLX], board[SUM_WLL]
    for i in range(size):
        for k in range(LANES):
            x, code = board[i, k], board[CODE + i, k]
            w = board[IMPORTANCE + i, k]
            wlx = sum_wlx[k] - w * x * code  # the sums without this weight
            wll = sum_wll[k] - w * code * code
            new = nearest_code(x * wll / wlx, -n, n - 1)
            new_wlx = wlx + w * x * new
            new_wll = wll + w * new * new
            explains_more = new_wlx * new_wlx * sum_wll[k] > sum_wlx[k] * sum_wlx[k] * new_wll
            better = (wlx > ZERO) & (new != code) & (new_wll > ZERO) & explains_more
            board[CODE + i, k] = new if better else code
            sum_wlx[k] = new_wlx if better else sum_wlx[k]
            sum_wll[k] = new_wll if better else sum_wll[k]


@inlined
def _silence_tiny(board, size, n):
    """Give a sub-block that counts as zero the scale 0 and, as ggml does, the code -n."""
    peak = board[PEAK]
    for k in range(LANES):
        board[SCALE, k] = ZERO if abs(peak[k]) < TINY else board[SCALE, k]
    for i in range(size):
        for k in range(LANES):
            code = board[CODE + i, k]
            board[CODE + i, k] = np.float32(-n) if abs(peak[k]) < TINY else code
