"""The search of IQ4_NL and IQ4_XS: sixteen values that are not evenly spaced, and a scale.

    restored = scale * value of code

The values lie closer together around zero, where most weights are. ggml tries fifteen scales around
the plain one, which puts the weight of largest magnitude on -127, and keeps the one that explains
most: the largest sum of importance * value * weight, squared, over that of importance * value^2.

Source: ggml/src/ggml-quants.c, quantize_row_iq4_nl_impl.
"""

import numpy as np

from quantcore._jit import inlined
from quantcore.formats.shared.lanes import FIRST_FREE, IMPORTANCE, LANES, SCALE

VALUES = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)
MIDDLES = (VALUES[:-1] + VALUES[1:]) / np.float32(2)  # from here on the upper of two is nearer
WIDEST_STEP = 24.0  # from 89 to 113
SIZE = 32  # weights of a sub-block
N_TRIES = 7  # on either side
ZERO = np.float32(0)
TINY = np.float32(1e-15)  # a sub-block with no weight from here on counts as zero
PEAK, INV_SCALE, SUM_QX, SUM_QQ, BEST = range(FIRST_FREE, FIRST_FREE + 5)


@inlined
def nearest_value(x):
    """Return the value nearest to x; halfway between two, the upper."""
    value = np.float32(VALUES[0])
    for i in range(15):
        value = value if x < np.float32(MIDDLES[i]) else np.float32(VALUES[i + 1])
    return value


@inlined
def nearest_index(x):
    """Return the number, 0 to 15, of the value nearest to x; halfway between two, the upper."""
    index = np.int32(0)
    for i in range(15):
        index += np.int32(not x < np.float32(MIDDLES[i]))
    return index


@inlined
def find_scale(board):
    """Fill the row `SCALE` from weights and importance."""
    _find_peak(board)
    for step in range(-N_TRIES - 1, N_TRIES + 1):
        plain = step < -N_TRIES
        for k in range(LANES):
            peak = board[PEAK, k]
            around = (np.float32(step) + VALUES[0]) / peak
            board[INV_SCALE, k] = np.float32(1) / (-peak / VALUES[0]) if plain else around
        _sum_up(board)
        _keep_better(board, plain)
    for k in range(LANES):
        board[SCALE, k] = ZERO if abs(board[PEAK, k]) < TINY else board[SCALE, k]


@inlined
def _find_peak(board):
    """Find the weight of largest magnitude, the first of equals."""
    peak = board[PEAK]
    for k in range(LANES):
        peak[k] = ZERO
    for i in range(SIZE):
        for k in range(LANES):
            x = board[i, k]
            peak[k] = x if abs(x) > abs(peak[k]) else peak[k]


@inlined
def _sum_up(board):
    """Add up importance * value * weight, and importance * value * value."""
    inv_scale, sum_qx, sum_qq = board[INV_SCALE], board[SUM_QX], board[SUM_QQ]
    for k in range(LANES):
        sum_qx[k] = sum_qq[k] = ZERO
    for i in range(SIZE):
        for k in range(LANES):
            x = board[i, k]
            value = nearest_value(inv_scale[k] * x)
            weighted = board[IMPORTANCE + i, k] * value
            sum_qx[k] += weighted * x
            sum_qq[k] += weighted * value


@inlined
def _keep_better(board, first):
    """Take the scale of these sums if it is the first, or where it explains more than the best."""
    scale, best = board[SCALE], board[BEST]
    for k in range(LANES):
        qx, qq = board[SUM_QX, k], board[SUM_QQ, k]
        better = first | ((qq > ZERO) & (qx * qx > best[k] * qq))
        fitted = qx / qq if qq > ZERO else ZERO
        scale[k] = fitted if better else scale[k]
        best[k] = fitted * qx if better else best[k]
