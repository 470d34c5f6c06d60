"""What is done to one tensor: rows or columns times factors, heads mapped, states reflected.

Each is one half of a pair that cancels out. Notation: y = x W.T with W (n_rows, n_cols).

    Scaled      W[i, j] * rows[i] * columns[j]; powers of two change no product and no sum
    Reflected   states x become x Q with Q = I - 2 v v.T / (v.T v): W Q reads them, Q W writes them
    Mapped      rows of each KV head become A times them, columns that read them times A^-1
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Change(Protocol):
    """What becomes of a whole tensor, or for `Scaled` of some rows; its float type stays."""

    @property
    def axis(self) -> int:
        """0 where rows change, or elements of a vector; -1 for columns."""

    def __call__(self, weights: Array, rows: slice = slice(None)) -> Array:
        """Return other weights of the same shape; those given, which are `rows`, stay."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """Multiply rows or columns by factors."""

    axis: int
    factors: Array

    @property
    def exact(self) -> bool:
        """Whether all factors are powers of two: then only exponents move."""
        return bool((np.abs(np.frexp(self.factors)[0]) == 0.5).all())

    def __call__(self, weights: Array, rows: slice = slice(None)) -> Array:
        """Multiply rows or columns."""
        by_row = self.axis == 0
        factors = (self.factors[rows] if by_row else self.factors).astype(weights.dtype)
        return weights * (factors[:, None] if by_row and weights.ndim == 2 else factors)


@dataclass(frozen=True, slots=True)
class One:
    """Gains that were folded into the matrices behind them."""

    axis = 0

    def __call__(self, weights: Array, rows: slice = slice(None)) -> Array:
        """Return ones."""
        return np.ones_like(weights)


@dataclass(frozen=True, slots=True, eq=False)
class Reflected:
    """Reflect states: axis -1 for matrices that read them, 0 for those that write them."""

    axis: int
    direction: NDArray[np.float64]  # v above, (hidden_size,)

    def __call__(self, weights: Array, rows: slice = slice(None)) -> Array:
        """Take off twice the part along the direction."""
        v = self.direction.astype(weights.dtype)
        twice = 2 * v / (v @ v)
        if self.axis == 0 and weights.ndim == 2:
            return weights - np.outer(twice, v @ weights)
        return weights - np.multiply.outer(weights @ v, twice)


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """Map each head by a matrix: rows of values by A, columns that read them by its inverse."""

    axis: int
    by_head: NDArray[np.float64]  # (heads, head_size, head_size)

    def __call__(self, weights: Array, rows: slice = slice(None)) -> Array:
        """Multiply the rows of each head by its matrix, or its columns."""
        heads, size, _ = self.by_head.shape
        maps = self.by_head.astype(weights.dtype)
        if self.axis == 0:
            parts = weights.reshape(heads, size, -1)
            return (maps @ parts).reshape(weights.shape)
        parts = weights.reshape(len(weights), heads, size)
        return np.einsum("rhi,hij->rhj", parts, maps).reshape(weights.shape)


def reflection_to_first(direction: Array) -> NDArray[np.float64]:
    """Find the v whose reflection puts a direction on the first axis, (n,).

    >>> v = reflection_to_first(np.array([3.0, 4.0]))
    >>> Reflected(-1, v)(np.array([[3.0, 4.0]])).round(9)
    array([[-5.,  0.]])
    """
    v = np.array(direction, np.float64)
    v[0] += np.copysign(np.linalg.norm(v), v[0])  # away from it: nothing cancels
    return v
