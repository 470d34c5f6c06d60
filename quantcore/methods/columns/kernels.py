"""Loops of GPTQ: rows are independent, columns come one after the other."""

import numpy as np

from quantcore._jit import inlined, kernel

ZERO = np.float32(0)


@inlined
def _nearest(x, values, even):
    """Return the number of the value nearest to x; of evenly spaced ones ties go to even."""
    last = values.size - 1
    if even:
        steps = min(max(np.float32(x - values[0]), ZERO), np.float32(last))
        return np.int32(np.rint(steps))
    low, high = 0, last  # the nearest is one of these
    while high - low > 1:
        middle = (low + high) // 2
        if x < values[middle]:
            high = middle
        else:
            low = middle
    return np.int32(high if np.float32(values[high] - x) <= np.float32(x - values[low]) else low)


@kernel
def round_columns(arrays, factors, grid, matrices):
    """Round columns to the nearest of a grid; each column's errors change the aims of later ones.

    Parameters
    ----------
    arrays
        Targets and aims, both changed; what they are restored as, and the numbers of values, both
        filled: all (n_rows, k).
    factors
        Scales and minimums (n_rows, n_scales), and which of them each column has, (k,).
    grid
        Values, ascending, and whether they are a step of 1 apart.
    matrices
        Feedback (k, k), and what each aim adds to later targets, (k, k) or empty.
    """
    target, aimed, restored, numbers = arrays
    scales, minimums, which = factors
    values, even = grid
    feedback, pushes = matrices
    n_rows, n_cols = aimed.shape
    for r in range(n_rows):
        aims, targets = aimed[r], target[r]
        for i in range(n_cols):
            scale, minimum = scales[r, which[i]], minimums[r, which[i]]
            x = np.float32((aims[i] + minimum) / scale) if scale != ZERO else ZERO
            number = _nearest(x, values, even)
            value = np.float32(np.float32(scale * values[number]) - minimum)
            numbers[r, i] = number
            restored[r, i] = value
            error = np.float32(targets[i] - value)
            for j in range(i + 1, n_cols):
                aims[j] += error * feedback[i, j]
            if pushes.size:
                aim = aims[i]
                for j in range(i + 1, n_cols):
                    targets[j] += aim * pushes[i, j]
                    aims[j] += aim * pushes[i, j]
