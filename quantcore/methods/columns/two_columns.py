"""GPTQ on two columns, as a picture: the nearest plane of a skewed lattice.

Two weights w and what they may become, s (i, j) with integers i and j, are points of a plane in
which distance is the error of the output: w R, where R R.T is the second moment of the two inputs.
Inputs that go together skew the lattice. Rounding each weight by itself takes the corner of w's
cell; GPTQ takes the nearest line of points, and then the nearest point on it (Babai, 1986).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.methods.columns.factor import Moment

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoColumns:
    """Where two weights lie, and what they are rounded to. Distances are errors of the output."""

    columns: tuple[int, int]  # the first is rounded first
    correlation: float  # of the two inputs, from -1 to 1
    codes: NDArray[np.int64]  # (n_points, 2), around the weights
    points: NDArray[np.float64]  # (n_points, 2), where they lie
    target: Point
    nearest_each: int  # index of the point that plain rounding takes
    nearest_plane: int  # that GPTQ takes
    nearest: int  # the nearest of all

    def distance(self, index: int) -> float:
        """How far a point is from the weights."""
        return float(np.hypot(*(self.points[index] - np.asarray(self.target))))


def closest_columns(moment: Moment) -> tuple[int, int]:
    """Find the two columns whose inputs go together most, either way; both have inputs.

    Raises
    ------
    ValueError
        If fewer than two columns have inputs.
    """
    sizes = np.sqrt(np.diagonal(moment))
    live = np.flatnonzero(sizes > 0)
    if live.size < 2:
        raise ValueError("Fewer than two columns of this matrix have inputs in this text.")
    shares = np.abs(moment[np.ix_(live, live)] / np.outer(sizes[live], sizes[live]))
    np.fill_diagonal(shares, -1)
    first, second = np.unravel_index(int(shares.argmax()), shares.shape)
    return int(live[first]), int(live[second])


def both_ways(
    weights: NDArray, steps: NDArray, moment: Moment
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Round pairs of weights (n, 2), each weight by itself, and as GPTQ does; codes (n, 2) each.

    `steps` are shaped as the weights; `moment` (2, 2) is of the two inputs.
    """
    each = np.rint(weights / steps).astype(np.int64)
    # Once the first is rounded, the second aims at what makes up for it best.
    missed = weights[:, 0] - each[:, 0] * steps[:, 0]
    aims = weights[:, 1] + missed * moment[0, 1] / moment[1, 1]
    plane = np.stack([each[:, 0], np.rint(aims / steps[:, 1]).astype(np.int64)], axis=1)
    return each, plane


def two_columns(
    weights: NDArray, steps: NDArray, moment: Moment, columns: tuple[int, int], reach: int = 3
) -> TwoColumns:
    """Lay out the lattice around two weights of a row.

    Parameters
    ----------
    weights
        The row, (n_cols,).
    steps
        (n_cols,), the distance between two neighbours of each weight's grid.
    moment
        (n_cols, n_cols), second moment of the inputs.
    columns
        Two of them; the first is rounded first.
    reach
        How many points to show on each side of the weights, or as many as it takes.
    """
    pair = list(columns)
    h = np.asarray(moment, np.float64)[np.ix_(pair, pair)]
    root = np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1]  # upper: the first axis is the first's own
    w, step = weights[pair].astype(np.float64), np.asarray(steps, np.float64)[pair]
    middle, babai = (codes[0] for codes in both_ways(w[None], step[None], h))
    reach = max(reach, int(abs(babai - middle).max()) + 1)
    around = np.arange(-reach, reach + 1)
    codes = np.stack(np.meshgrid(around, around, indexing="ij"), -1).reshape(-1, 2) + middle
    points = (codes * step) @ root
    target = w @ root
    return TwoColumns(
        columns=columns,
        correlation=float(h[0, 1] / np.sqrt(h[0, 0] * h[1, 1])),
        codes=codes,
        points=points,
        target=(float(target[0]), float(target[1])),
        nearest_each=_index(codes, middle),
        nearest_plane=_index(codes, babai),
        nearest=int(np.square(points - target).sum(axis=1).argmin()),
    )


def _index(codes: NDArray[np.int64], wanted: NDArray[np.int64]) -> int:
    return int(np.flatnonzero((codes == wanted).all(axis=1))[0])
