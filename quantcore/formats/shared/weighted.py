"""With an importance matrix: how much each weight counts, and what the searches do with it.

ggml weighs a weight x by ``importance * sqrt(mean + x * x)``, where `mean` is that of x * x over
a row, a super-block (twice that) or a block, as the format has it; Q6_K takes the importance as it
is.

Source: ggml/src/ggml-quants.c, quantize_row_*_impl and make_qp_quants.
"""

import numpy as np

from quantcore._jit import inlined
from quantcore.formats.shared.lanes import IMPORTANCE, LANES, SUPER_BLOCK, TOTAL
from quantcore.formats.shared.magnitudes import holds_nan_or_inf
from quantcore.rounding import nearest_int

FIRST, STEP, N_STEPS = np.float32(-0.9), np.float32(0.05), 36  # candidates of the affine search
ZERO, ONE = np.float32(0), np.float32(1)
TINY = np.float32(1e-15)
N_SWEEPS = 5


@inlined
def sum_of_squares(weights):
    """Add up x * x from left to right."""
    total = ZERO
    for x in weights:
        total = np.float32(total + np.float32(x * x))
    return total


@inlined
def weigh_super_blocks(batch, importance, first, size, times, board):
    """Fill the importance of a batch of super-blocks; the first one is block `first` of a chunk.

    `importance` is (blocks a row, 256). The mean of x * x over the super-block counts `times`.
    """
    per_block = SUPER_BLOCK // size
    n_blocks = importance.shape[0]
    for b in range(batch.shape[0]):
        mean = np.float32(np.float32(times * sum_of_squares(batch[b])) / np.float32(SUPER_BLOCK))
        row = importance[(first + b) % n_blocks]
        for j in range(per_block):
            for i in range(size):
                x = batch[b, size * j + i]
                spread = np.sqrt(np.float32(mean + np.float32(x * x)))
                board[IMPORTANCE + i, per_block * b + j] = row[size * j + i] * spread


@inlined
def load_weighted_blocks(blocks, start, stop, importance, means, board):
    """Fill lanes with blocks `start` to `stop` of 32 weights and their importance.

    `means` has room for the mean of x * x over the row of each lane; a row that began in an earlier
    batch finds its mean in the last place. Return the index of the first bad block, or -1.
    """
    n_blocks = importance.shape[0]
    mean = means[LANES - 1]
    for k in range(stop - start):
        b = start + k
        if holds_nan_or_inf(blocks[b]):
            return b
        if b % n_blocks == 0:
            total = ZERO
            for x in blocks[b : b + n_blocks].reshape(-1):
                total = np.float32(total + np.float32(x * x))
            mean = np.float32(total / np.float32(n_blocks * 32))
        means[k] = mean
        for i in range(32):
            board[i, k] = blocks[b, i]
    means[LANES - 1] = mean
    for k in range(stop - start):
        row = importance[(start + k) % n_blocks]
        for i in range(32):
            x = board[i, k]
            spread = np.sqrt(np.float32(means[k] + np.float32(x * x)))
            board[IMPORTANCE + i, k] = row[i] * spread
    return -1


@inlined
def weigh_blocks(board, importance, first, times):
    """Fill the importance of lanes that hold a block of 32 each; the first is block `first`."""
    n_blocks = importance.shape[0]
    for k in range(LANES):
        total = ZERO
        for i in range(32):
            total = np.float32(total + np.float32(board[i, k] * board[i, k]))
        mean = np.float32(total * np.float32(times / np.float32(32)))
        row = importance[(first + k) % n_blocks]
        for i in range(32):
            x = board[i, k]
            board[IMPORTANCE + i, k] = row[i] * np.sqrt(np.float32(mean + np.float32(x * x)))


@inlined
def take_importance(batch, importance, first, size, board):
    """Fill the importance of a batch of super-blocks as it is given."""
    per_block = SUPER_BLOCK // size
    n_blocks = importance.shape[0]
    for b in range(batch.shape[0]):
        row = importance[(first + b) % n_blocks]
        for j in range(per_block):
            for i in range(size):
                board[IMPORTANCE + i, per_block * b + j] = row[size * j + i]


@inlined
def sum_importance(board, size):
    """Fill the row `TOTAL`: the importance of each lane, added up from its first weight on."""
    sums = board[TOTAL]
    for k in range(LANES):
        sums[k] = ZERO
    for i in range(size):
        for k in range(LANES):
            sums[k] += board[IMPORTANCE + i, k]


@inlined
def divide_weighted(values, importance, highest, codes):
    """Fill codes from 0 to `highest` for values that are hardly negative; return that of code 1.

    Codes are bytes, as in ggml: -1 counts as 255 once it is stored. Nine scales are tried, then
    each code in turn is moved to where the best scale for all others would put it, until a sweep
    changes nothing.
    """
    largest = ZERO
    for value in values:
        largest = value if value > largest else largest
    if largest < TINY:
        codes[: values.size] = 0
        return ZERO
    inv_scale = _best_of_nine(values, importance, highest, largest, codes)
    wlx = wll = ZERO
    for j in range(values.size):
        code = min(np.int32(highest), nearest_int(np.float32(inv_scale * values[j])))
        codes[j] = code & 255
        weighted = np.float32(importance[j] * values[j])
        wlx = np.float32(wlx + np.float32(weighted * np.float32(code)))
        wll = np.float32(wll + _squared(importance[j], code))
    for _ in range(N_SWEEPS):
        changed = False
        for j in range(values.size):
            weighted = np.float32(importance[j] * values[j])
            others_wlx = np.float32(wlx - np.float32(weighted * np.float32(codes[j])))
            others_wll = np.float32(wll - _squared(importance[j], codes[j]))
            if not (others_wlx > ZERO and others_wll > ZERO):
                continue
            ideal = np.float32(np.float32(values[j] * others_wll) / others_wlx)
            code = min(np.int32(highest), nearest_int(ideal))
            if code == codes[j]:
                continue
            new_wlx = np.float32(others_wlx + np.float32(weighted * np.float32(code)))
            new_wll = np.float32(others_wll + _squared(importance[j], code))
            explains = np.float32(np.float32(new_wlx * new_wlx) * wll)
            if explains > np.float32(np.float32(wlx * wlx) * new_wll):
                codes[j] = code & 255
                wlx, wll = new_wlx, new_wll
                changed = True
        if not changed:
            break
    return np.float32(wlx / wll) if wll > ZERO else ZERO


@inlined
def _squared(importance, code):
    code = np.float32(code)
    return np.float32(np.float32(importance * code) * code)


@inlined
def _best_of_nine(values, importance, highest, largest, codes):
    """Return the inverse scale with the smallest weighted error, the plain one first."""
    best_inv_scale = np.float32(np.float32(highest) / largest)
    best = ZERO
    for step in range(-5, 5):
        plain = step == -5
        if step == 0:
            continue
        around = np.float32(
            np.float32(np.float32(np.float32(0.1) * np.float32(step)) + np.float32(highest))
            / largest
        )
        inv_scale = best_inv_scale if plain else around
        scale = np.float32(ONE / inv_scale)
        error = ZERO
        for j in range(values.size):
            code = nearest_int(np.float32(inv_scale * values[j]))
            code = code & 255 if plain else min(np.int32(highest), code)
            miss = np.float32(values[j] - np.float32(scale * np.float32(code)))
            error = np.float32(error + np.float32(np.float32(importance[j] * miss) * miss))
        if plain or error < best:
            best = error
            best_inv_scale = inv_scale
    return best_inv_scale


@inlined
def divide_signed_weighted(values, importance, n, codes):
    """Fill codes from -n to n - 1 for values of both signs; return the value of code 1.

    The same search as that of Q6_K's sub-blocks, for the sixteen scales of one block.
    """
    peak = ZERO
    for value in values:
        peak = value if abs(value) > abs(peak) else peak
    if abs(peak) < TINY:
        codes[: values.size] = -n
        return ZERO
    best_scale = best = ZERO
    for step in range(-10, 10):
        plain = step == -10
        if step == 0:
            continue
        tenths = ZERO if plain else np.float32(np.float32(0.1) * np.float32(step))
        inv_scale = np.float32(-np.float32(np.float32(n) + tenths) / peak)
        wlx = wll = ZERO
        for j in range(values.size):
            code = _clipped(np.float32(inv_scale * values[j]), n)
            weighted = np.float32(importance[j] * values[j])
            wlx = np.float32(wlx + np.float32(weighted * np.float32(code)))
            wll = np.float32(wll + _squared(importance[j], code))
        squared = np.float32(wlx * wlx)
        if plain or (wll > ZERO and squared > np.float32(best * wll)):
            best_scale = np.float32(wlx / wll) if wll != ZERO else ZERO
            best = np.float32(best_scale * wlx)
            for j in range(values.size):
                codes[j] = _clipped(np.float32(inv_scale * values[j]), n)
    return best_scale


@inlined
def _clipped(value, n):
    return max(np.int32(-n), min(np.int32(n - 1), nearest_int(value)))
