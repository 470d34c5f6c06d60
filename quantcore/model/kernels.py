"""The loops of the forward pass that are not matrix products. All float32, rows are independent."""

import numpy as np

from quantcore._jit import kernel

LANES = 16  # sums run in this many lanes, which the compiler keeps in one or two registers


@kernel
def rms_norm(rows, weight, epsilon, out):
    """``out = rows / sqrt(mean(rows**2) + epsilon) * weight``, each row by itself."""
    n_cols = rows.shape[1]
    even = n_cols - n_cols % LANES
    lanes = np.empty(LANES, np.float32)
    for r in range(rows.shape[0]):
        lanes[:] = 0
        for i in range(0, even, LANES):
            for lane in range(LANES):
                lanes[lane] += rows[r, i + lane] * rows[r, i + lane]
        total = lanes.sum()
        for i in range(even, n_cols):
            total += rows[r, i] * rows[r, i]
        scale = np.float32(1) / np.sqrt(total / np.float32(n_cols) + epsilon)
        for i in range(n_cols):
            out[r, i] = rows[r, i] * scale * weight[i]


@kernel
def rotate(heads, cosines, sines, positions, interleaved):
    """Turn each pair of a head by its angle, in place; heads (n_rows, n_heads, head_size).

    A pair is `(i, i + head_size / 2)`, or neighbours `(2 i, 2 i + 1)` when interleaved.
    """
    half = heads.shape[2] // 2
    for r in range(heads.shape[0]):
        for h in range(heads.shape[1]):
            head = heads[r, h]
            cosine, sine = cosines[positions[r]], sines[positions[r]]
            for i in range(half):
                first, second = (2 * i, 2 * i + 1) if interleaved else (i, i + half)
                x, y = head[first], head[second]
                head[first] = x * cosine[i] - y * sine[i]
                head[second] = y * cosine[i] + x * sine[i]


@kernel
def mask_and_shift(scores, n_visible, per_query):
    """Prepare rows of scores for exp: subtract the largest visible one, hide the future.

    Rows come `per_query` at a time (heads that share keys); the first query sees `n_visible` keys,
    each later one another key more. Hidden scores become -200, whose exp is 0 in float32.
    """
    for r in range(scores.shape[0]):
        visible = n_visible + r // per_query
        largest = scores[r, 0]
        for j in range(1, visible):
            largest = max(largest, scores[r, j])
        for j in range(visible):
            scores[r, j] -= largest
        scores[r, visible:] = -200


@kernel
def divide_by_sums(mixed, powers):
    """Divide each row of `mixed` by the sum of its row of `powers`: the end of a softmax."""
    n_cols = powers.shape[1]
    even = n_cols - n_cols % LANES
    lanes = np.empty(LANES, np.float32)
    for r in range(powers.shape[0]):
        lanes[:] = 0
        for i in range(0, even, LANES):
            for lane in range(LANES):
                lanes[lane] += powers[r, i + lane]
        total = lanes.sum()
        for i in range(even, n_cols):
            total += powers[r, i]
        inverse = np.float32(1) / total
        for i in range(mixed.shape[1]):
            mixed[r, i] *= inverse


@kernel
def gate(powers, both):
    """SwiGLU: ``g / (1 + exp(-g)) * up`` for `both` = g and up side by side, in place of `powers`.

    `powers` holds exp(-g) already: numpy's exp is vectorized, a loop's is not.
    """
    n_cols = powers.shape[1]
    for r in range(powers.shape[0]):
        for i in range(n_cols):
            powers[r, i] = both[r, i] / (np.float32(1) + powers[r, i]) * both[r, n_cols + i]
