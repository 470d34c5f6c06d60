"""GPTQ and its relatives from their definitions, in float64, a weight at a time."""

import numpy as np


def nearest(value, grid):
    """Return the entry of a grid that is nearest."""
    return grid[np.abs(grid - value).argmin()]


def gptq(weights, moment, grids):
    """Optimal brain quantization in the given order, by the inverse of H itself.

    Parameters
    ----------
    grids
        What weights of each row can be, (n_rows, n_values).
    """
    weights, inverse = weights.astype(np.float64), np.linalg.inv(moment)
    for i in range(weights.shape[1]):
        for row, grid in zip(weights, grids, strict=True):
            error = row[i] - nearest(row[i], grid)
            row[i:] -= error / inverse[i, i] * inverse[i, i:]
            row[i] = nearest(row[i], grid)
        column = inverse[:, i].copy()
        inverse -= np.outer(column, column) / column[i]  # the inverse of what is left of H
    return weights


def ldlq(weights, moment, grids):
    """QuIP's rounding with linear feedback: H = L D L.T with a lower factor, last column first."""
    lower = np.linalg.cholesky(moment)
    lower = lower / np.diagonal(lower)
    rounded = weights.astype(np.float64)
    for i in reversed(range(weights.shape[1])):
        aim = weights[:, i] + (weights - rounded)[:, i + 1 :] @ lower[i + 1 :, i]
        rounded[:, i] = [nearest(a, grid) for a, grid in zip(aim, grids, strict=True)]
    return rounded


def nearest_plane(target, basis):
    """Babai: the lattice point that is found by rounding one coordinate after the other.

    `basis` has a vector in each row; returns integers, found from the last to the first.
    """
    orthogonal = basis.astype(np.float64).copy()
    for i in range(len(basis)):  # Gram and Schmidt
        for j in range(i):
            against = orthogonal[j] @ orthogonal[j]
            orthogonal[i] -= basis[i] @ orthogonal[j] / against * orthogonal[j]
    rest, integers = target.astype(np.float64).copy(), np.zeros(len(basis))
    for i in reversed(range(len(basis))):
        integers[i] = np.rint(rest @ orthogonal[i] / (orthogonal[i] @ orthogonal[i]))
        rest -= integers[i] * basis[i]
    return integers


def gptaq(weights, moment, drift, alpha, grids):
    """GPTQ's reference with GPTAQ's residual: each column's weight times a row of P.

    `moment` is damped, of the inputs q that are there; `drift` is the mean of (x - q) q.T.
    """
    weights = weights.astype(np.float64)
    upper = np.linalg.cholesky(np.linalg.inv(moment)).T
    pushes = alpha * np.triu(drift @ upper.T, 1) @ upper
    for i in range(weights.shape[1]):
        for row, grid in zip(weights, grids, strict=True):
            value, rounded = row[i], nearest(row[i], grid)
            row[i:] -= (value - rounded) / upper[i, i] * upper[i, i:] - value * pushes[i, i:]
            row[i] = rounded
    return weights


def qronos(weights, moment, cross, added, grids):
    """Qronos as its authors write it: one column, all others, and error diffusion from there.

    `moment` is not damped; `added` goes to its diagonal where it is inverted.
    """
    n_cols, original = weights.shape[1], weights.astype(np.float64)
    now = original.copy()
    aim = original @ cross[:, 0] - now[:, 1:] @ moment[0, 1:]
    now[:, 0] = [nearest(a, grid) for a, grid in zip(aim / moment[0, 0], grids, strict=True)]
    inverse = np.linalg.inv(moment + added * np.eye(n_cols))
    rest = inverse[1:, 1:] - np.outer(inverse[1:, 0], inverse[1:, 0]) / inverse[0, 0]
    damped_cross = cross + added * np.eye(n_cols)
    now[:, 1:] = (original @ damped_cross[:, 1:] - now[:, :1] @ moment[:1, 1:]) @ rest
    now[:, 1:] = gptq(now[:, 1:], np.linalg.inv(rest), grids)
    return now
