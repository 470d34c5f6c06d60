"""Incoherence: weights turned so that none stands out, and how far any does.

    W~ = H_m S_V W S_U H_n.T        H~ = H_n S_U H S_U H_n.T, of inputs x~ = H_n S_U x

Both sides are rotations, so y = x W.T is x~ W~.T turned back, and squared errors are the same in
either base. What is rounded is close to a normal distribution, whatever the weights were.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import refuse_non_finite
from quantcore.format import Weights
from quantcore.methods.rotations.hadamard import RandomHadamard


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Incoherence:
    """A rotation of the columns of a matrix, and one of its rows if both sides are turned."""

    columns: RandomHadamard
    rows: RandomHadamard | None

    @classmethod
    def drawn(cls, shape: tuple[int, ...], seed: int) -> "Incoherence":
        """Draw rotations of both sides of weights (n_rows, n_cols)."""
        rng = np.random.default_rng(seed)
        return cls(
            columns=RandomHadamard.drawn(shape[1], rng), rows=RandomHadamard.drawn(shape[0], rng)
        )

    def rotate(self, weights: Weights) -> Weights:
        """Turn weights (n_rows, n_cols).

        Raises
        ------
        ValueError
            If one is a NaN or an infinity, which would spread over all others.
        """
        if not np.isfinite(weights).all():
            refuse_non_finite("A rotation", weights)
        turned = self.columns.rotate(weights)
        return turned if self.rows is None else _turned_over(self.rows.rotate(_turned_over(turned)))

    def rotate_back(self, weights: Weights) -> Weights:
        """Undo `rotate`."""
        if self.rows is not None:
            weights = _turned_over(self.rows.rotate_back(_turned_over(weights)))
        return self.columns.rotate_back(weights)

    def rotate_moment(self, moment: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn a second moment (n_cols, n_cols) of inputs as the inputs are."""
        half = self.columns.rotate(moment)
        return self.columns.rotate(np.ascontiguousarray(half.T))

    @property
    def n_signs(self) -> int:
        """Signs of both sides."""
        return len(self.columns.signs) + (0 if self.rows is None else len(self.rows.signs))


def _turned_over(matrix: Weights) -> Weights:
    """Transpose, rows one after the other in memory."""
    return np.ascontiguousarray(matrix.T)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far single weights stand out of a matrix."""

    largest: float  # of the absolute weights
    root_mean_square: float
    excess_kurtosis: float  # 0 for a normal distribution

    @property
    def mu(self) -> float:
        """Largest weight by the root of the mean square: W is mu-incoherent (Chee et al., 2023)."""
        return self.largest / self.root_mean_square if self.root_mean_square else 0.0


def spread_of(weights: Weights) -> Spread:
    """Measure how far single weights stand out.

    >>> spread_of(np.float32([[3, 0, 0, 0]])).mu
    2.0
    """
    squares = np.square(weights, dtype=np.float64)
    centred = np.square(weights - weights.mean(dtype=np.float64))
    variance = centred.mean()
    kurtosis = np.square(centred).mean() / variance**2 - 3 if variance else 0.0
    return Spread(
        largest=float(np.abs(weights).max()),
        root_mean_square=float(np.sqrt(squares.mean())),
        excess_kurtosis=float(kurtosis),
    )
