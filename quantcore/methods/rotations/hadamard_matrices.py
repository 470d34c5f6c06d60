"""Hadamard matrices: entries +1 and -1, and rows that are orthogonal, so H H.T = n I.

Those whose order is a power of two are Sylvester's: H of 2n is [[H, H], [H, -H]]. Others:

    Paley I                q + 1       q a prime, 3 more than a multiple of 4
    Paley II               2 (q + 1)   q a prime, 1 more than a multiple of 4
    Goethals and Seidel    4 n         of four circulants: A A.T + B B.T + C C.T + D D.T = 4 n I

Paley's signs are those of squares mod q. The circulants' rows were found by search: they are -1 at
unions of orbits of a group that multiplies places mod n.

Sources: Paley, On Orthogonal Matrices, 1933; Goethals and Seidel, Orthogonal Matrices with Zero
Diagonal, 1967.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Signs = NDArray[np.float32]  # (n, n), of +1 and -1

# n: the group, and for each of four rows one place from each orbit where it is -1.
_CIRCULANT: dict[int, tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]] = {
    13: ((1, 3, 9), ((1, 2, 4), (1, 2, 4), (1, 4), (1, 2))),
    29: (
        (1, 28),
        (
            (1, 7, 11, 13, 14),
            (3, 5, 8, 9, 10, 12),
            (2, 3, 6, 7, 9, 12, 13, 14),
            (3, 4, 7, 9, 12, 13, 14),
        ),
    ),
    39: (
        (1, 16, 22),
        (
            (3, 6, 7, 8, 13, 17),
            (1, 2, 4, 6, 13, 14),
            (1, 7, 12, 13, 14, 17),
            (1, 3, 4, 7, 8, 12, 14),
        ),
    ),
    43: ((1, 4, 11, 16, 21, 35, 41), ((1, 2, 6, 7), (1, 2, 7), (1, 3, 7), (3, 7, 9))),
}


@cache
def hadamard_matrix(order: int) -> Signs | None:
    """Return a Hadamard matrix, read-only, or None where the lab knows no construction.

    >>> hadamard_matrix(2).astype(int).tolist(), hadamard_matrix(6)
    ([[1, 1], [1, -1]], None)
    """
    if order < 1:
        return None
    if order & (order - 1) == 0:
        built = np.ones((1, 1))
        while len(built) < order:
            built = np.kron(np.array([[1, 1], [1, -1]]), built)
    elif order % 4:
        return None  # there is none: three rows cannot be orthogonal
    elif order // 4 in _CIRCULANT:
        built = _goethals_seidel(order // 4)
    elif order % 4 == 0 and _is_prime(order - 1):
        built = _paley_one(order - 1)
    elif order // 2 % 4 == 2 and _is_prime(order // 2 - 1):
        built = _paley_two(order // 2 - 1)
    else:
        return None
    signs = built.astype(np.float32)
    signs.flags.writeable = False
    return signs


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % divisor for divisor in range(2, math.isqrt(n) + 1))


def _legendre(q: int) -> NDArray[np.float64]:
    """Tell squares mod q: (q, q), at (i, j) 1 if i - j is one, -1 if not, 0 where i = j."""
    sign = np.full(q, -1.0)
    sign[np.arange(1, q) ** 2 % q] = 1
    sign[0] = 0
    places = np.arange(q)
    return sign[(places[:, None] - places) % q]


def _bordered(q: int, corner: float) -> NDArray[np.float64]:
    """`_legendre` with a first row of ones, a first column of `corner`, and 0 where they meet."""
    matrix = np.zeros((q + 1, q + 1))
    matrix[0, 1:], matrix[1:, 0], matrix[1:, 1:] = 1, corner, _legendre(q)
    return matrix


def _paley_one(q: int) -> NDArray[np.float64]:
    return np.eye(q + 1) + _bordered(q, -1)  # it is skew: its transpose is its negative


def _paley_two(q: int) -> NDArray[np.float64]:
    conference = _bordered(q, 1)  # it is symmetric
    on_diagonal = np.array([[1, -1], [-1, -1]])
    return np.kron(conference, np.array([[1, 1], [1, -1]])) + np.kron(np.eye(q + 1), on_diagonal)


def _goethals_seidel(n: int) -> NDArray[np.float64]:
    group, rows = _CIRCULANT[n]
    places = np.arange(n)
    matrices = []
    for starts in rows:
        row = np.ones(n)
        row[np.multiply.outer(starts, group) % n] = -1
        matrices.append(row[(places - places[:, None]) % n])
    a, b, c, d = matrices
    turned = np.eye(n)[::-1]
    br, cr, dr = b @ turned, c @ turned, d @ turned
    bt, ct, dt = b.T @ turned, c.T @ turned, d.T @ turned
    return np.block([[a, br, cr, dr], [-br, a, dt, -ct], [-cr, -dt, a, bt], [-dr, ct, -bt, a]])
