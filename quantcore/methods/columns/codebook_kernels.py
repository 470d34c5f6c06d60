"""Loops of GPTQ where a codebook says which values a run of weights can have together."""

import numpy as np

from quantcore._jit import inlined, kernel

ZERO = np.float32(0)
EIGHTH = np.float32(0.125)
SIGNED, SIGNED_EVENLY = 0, 1  # a sign for each weight; only an even number of minus signs in eight
FIXED_SHIFT, SHIFTED = 2, 3  # all eight up or down by an eighth: as it was, or chosen here


@inlined
def _find_points(aims, targets, feedback, first, last, points):
    """Fill where each of some columns would be if those before it among them were no integers.

    Then the cost of values q in their place is ``|(points - q) R|^2``.
    """
    for k in range(first, last):
        points[k - first] = aims[k]
    for i in range(first, last):
        for k in range(i + 1, last):
            points[k - first] += (targets[i] - points[i - first]) * feedback[i, k]


@inlined
def _find_entry(points, factors, table, root, first, scratch):
    """Return the entry for a run whose values are `factors` times it; ``scratch[0]`` has costs."""
    run, n_entries = table.shape
    costs, missed = scratch[0], scratch[1]
    for e in range(n_entries):
        costs[e] = ZERO
    for k in range(run):
        wanted = ZERO
        for i in range(k + 1):
            wanted += points[i] * root[first + i, first + k]
        for e in range(n_entries):
            missed[e] = wanted
        for i in range(k + 1):
            factor, values = factors[i] * root[first + i, first + k], table[i]
            for e in range(n_entries):
                missed[e] -= factor * values[e]
        for e in range(n_entries):
            costs[e] += missed[e] * missed[e]
    best = 0
    for e in range(1, n_entries):
        best = e if costs[e] < costs[best] else best
    return best


@inlined
def _take_signs(points, root, first, even):
    """Return a byte of signs; where their number must be even, what costs least is turned over."""
    byte, n_minus, at = np.int32(0), np.int32(0), 0
    least = np.float32(np.inf)
    for i in range(points.size):
        minus = np.int32(points[i] < ZERO)
        byte |= minus << i
        n_minus += minus
        cost = points[i] * root[first + i, first + i]
        at = i if cost * cost < least else at
        least = min(least, np.float32(cost * cost))
    return byte ^ np.int32(1) << at if even and n_minus & 1 else byte


@inlined
def _push(aims, targets, values, first, last, matrices):
    """Give errors of columns that have values to the aims of those after the run."""
    feedback, pushes = matrices
    for i in range(first, last):
        error = targets[i] - values[i]
        for j in range(last, aims.size):
            aims[j] += error * feedback[i, j]
        if pushes.size:
            for j in range(last, aims.size):
                targets[j] += aims[i] * pushes[i, j]
                aims[j] += aims[i] * pushes[i, j]


@kernel
def round_eights(arrays, factors, book, matrices):
    """Choose entries and signs, or shifts, of eight columns after the other.

    Parameters
    ----------
    arrays
        Targets and aims, both changed; what they are restored as (n_rows, k); entries
        (n_rows, k / 8, runs in eight) and signs or shifts (n_rows, k / 8): filled.
    factors
        Scales (n_rows, n_scales), and which of them each eight columns have, (k / 8,).
    book
        Values of the entries, (weights of a run, n_entries), and `SIGNED` or another kind.
    matrices
        Feedback and root (k, k), and what each aim adds to later targets, (k, k) or empty.
    """
    target, aimed, restored, entries, signs = arrays
    scales, which = factors
    table, kind = book
    feedback, root, pushes = matrices
    run, n_entries = table.shape
    scratch = np.empty((2, n_entries), np.float32)
    points, times, tried = np.empty(8, np.float32), np.empty(8, np.float32), np.empty(8, np.float32)
    for r in range(aimed.shape[0]):
        aims, targets, values = aimed[r], target[r], restored[r]
        for n in range(which.size):
            scale, byte = scales[r, which[n]], signs[r, n]
            if kind == SIGNED or kind == SIGNED_EVENLY:
                _find_points(aims, targets, feedback, 8 * n, 8 * n + 8, points)
                byte = _take_signs(points, root, 8 * n, kind == SIGNED_EVENLY)
                for g in range(8 // run):
                    first, last = 8 * n + run * g, 8 * n + run * (g + 1)
                    _find_points(aims, targets, feedback, first, last, points)
                    for i in range(run):
                        times[i] = -scale if byte >> (run * g + i) & 1 else scale
                    entry = _find_entry(points, times, table, root, first, scratch)
                    entries[r, n, g] = entry
                    for i in range(run):
                        values[first + i] = times[i] * table[i, entry]
                        aims[first + i] = points[i]
                    _push(aims, targets, values, first, last, (feedback, pushes))
            else:
                first = 8 * n
                _find_points(aims, targets, feedback, first, first + 8, points)
                least, entry, chosen = np.float32(np.inf), 0, byte
                for down in range(2):
                    if kind == FIXED_SHIFT and down != byte:
                        continue
                    shift = -EIGHTH if down else EIGHTH
                    for i in range(8):
                        times[i] = scale
                        tried[i] = points[i] - scale * shift
                    at = _find_entry(tried, times, table, root, first, scratch)
                    if scratch[0, at] < least:
                        least, entry, chosen = scratch[0, at], at, np.int32(down)
                byte = chosen
                entries[r, n, 0] = entry
                shift = -EIGHTH if byte else EIGHTH
                for i in range(8):
                    values[first + i] = scale * np.float32(table[i, entry] + shift)
                    aims[first + i] = points[i]
                _push(aims, targets, values, first, first + 8, (feedback, pushes))
            signs[r, n] = byte
