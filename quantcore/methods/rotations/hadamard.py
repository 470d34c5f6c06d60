"""Orthonormal Hadamard transforms of rows, of any length for which a Hadamard matrix is known.

    y = H x / sqrt(n)        H = H_K (x) H_2 (x) H_2 ..., the Kronecker product

Every output is a sum of all inputs with signs + and -: one large entry is spread over all places,
and lengths stay. Powers of two are Sylvester's fast transform, here in steps of up to 64 so that
each is a matrix product; 768 = 12 * 64 and its like take one dense factor K (`hadamard_matrices`).
Where no factor is known, as for 2 * 125, runs of 2^k places are mixed apart: `mixed_length` tells.
"""

from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from quantcore.methods.rotations.hadamard_matrices import Signs, hadamard_matrix

Reals = TypeVar("Reals", NDArray[np.float32], NDArray[np.float64])

LARGEST_STEP = 64  # of a power of two, in one matrix product
LARGEST_FACTOR = 1024  # the largest K that is tried: larger ones are no fast transform


@cache
def mixed_length(n: int) -> int:
    """Places that a transform of n places mixes with each other: n, or the largest 2^k in it.

    >>> mixed_length(256), mixed_length(768), mixed_length(11008), mixed_length(250)
    (256, 768, 11008, 2)
    """
    odd = n // (n & -n)
    return n if odd == 1 or _dense_factor(n) else n & -n


def _dense_factor(n: int) -> int | None:
    """Find the smallest K = odd part of n times 4, 8, ... that divides n and has a matrix."""
    factor = n // (n & -n) * 4
    while n % factor == 0 and factor <= LARGEST_FACTOR:
        if hadamard_matrix(factor) is not None:
            return factor
        factor *= 2
    return None


@cache
def _factors(length: int) -> tuple[Signs, ...]:
    """Matrices whose Kronecker product is the transform of a mixed length."""
    dense = 1 if length & (length - 1) == 0 else _dense_factor(length)
    assert dense is not None  # by `mixed_length`
    sizes, rest = [dense] * (dense > 1), length // dense
    while rest > 1:
        sizes.append(min(rest, LARGEST_STEP))
        rest //= sizes[-1]
    matrices = [hadamard_matrix(size) for size in sizes]
    return tuple(matrix for matrix in matrices if matrix is not None)


def hadamard(rows: Reals, *, inverse: bool = False) -> Reals:
    """Transform each row of (n_rows, n), float32 or float64; the inverse undoes it.

    >>> hadamard(np.float32([[2, 0, 0, 0]])).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    length = mixed_length(rows.shape[1])
    mixed = rows
    after = 1
    for matrix in reversed(_factors(length)):
        step = matrix.T if inverse else matrix
        step = (step / np.sqrt(len(step))).astype(rows.dtype)
        if after == 1:
            mixed = mixed.reshape(-1, len(step)) @ step.T
        else:
            mixed = step @ mixed.reshape(-1, len(step), after)
        after *= len(step)
    return np.array(mixed.reshape(rows.shape), copy=after == 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomHadamard:
    """A rotation of rows: y = H S x, with S a diagonal of signs drawn with a seed.

    The signs make it random, so no weights can be made for which it is a bad one. With a `run`,
    only so many places next to each other are mixed, as beside formats with small blocks.
    """

    signs: NDArray[np.float32]  # (n,), of +1 and -1
    run: int

    @classmethod
    def drawn(
        cls, n: int, rng: np.random.Generator | None, run: int | None = None
    ) -> "RandomHadamard":
        """Draw the signs of n places; without a generator all are +1.

        Raises
        ------
        ValueError
            If n places do not divide into runs.
        """
        if run is not None and (run < 1 or n % run):
            raise ValueError(f"A row of {n} weights does not divide into Hadamard runs of {run}.")
        both = np.array([1, -1], np.float32)
        signs = np.ones(n, np.float32) if rng is None else rng.choice(both, n)
        return cls(signs=signs, run=run or n)

    def rotate(self, rows: Reals) -> Reals:
        """Rotate each row of (n_rows, n)."""
        signed = (rows * self.signs.astype(rows.dtype)).reshape(-1, self.run)
        return hadamard(signed).reshape(rows.shape)

    def rotate_back(self, rows: Reals) -> Reals:
        """Undo `rotate`."""
        back = hadamard(rows.reshape(-1, self.run), inverse=True).reshape(rows.shape)
        return back * self.signs.astype(rows.dtype)
