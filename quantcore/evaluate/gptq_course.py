"""A matrix as GPTQ goes through it: beside plain rounding, row by row and column by column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Format, Weights
from quantcore.methods.columns.factor import Moment, damped, factored
from quantcore.methods.columns.part_way import Course, PartWay, course, part_way
from quantcore.methods.columns.pushing import push_through
from quantcore.methods.columns.two_columns import (
    TwoColumns,
    both_ways,
    closest_columns,
    two_columns,
)
from quantcore.methods.gptq import Gptq, prepare
from quantcore.methods.method import LayerInputs
from quantcore.methods.rtn import RoundToNearest

GROUPS = 16  # of columns, from those that matter least to those that matter most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GptqCourse:
    """What GPTQ and plain rounding made of a matrix, and in which order GPTQ went."""

    weights: Weights  # (n_rows, n_cols)
    restored: Weights
    plain: Weights
    moment: Moment  # (n_cols, n_cols), damped
    order: NDArray[np.intp]  # (n_cols,)
    steps: Weights  # (n_rows, n_cols): scales of plain rounding; neighbours' distance on even grids
    origins: Weights | None  # (n_rows, n_cols): what code 0 stands for; None where that is 0

    def at(self, row: int, n_done: int) -> PartWay:
        """Stop after so many columns of a row."""
        return part_way(*self._row(row), self.moment, self.order, n_done)

    def of(self, row: int) -> Course:
        """Follow the error of a row's output through all columns."""
        return course(*self._row(row), self.moment, self.order)

    def closest(self) -> tuple[int, int]:
        """Find the two columns whose inputs go together most, in the order that GPTQ goes."""
        place = np.argsort(self.order)
        first, second = sorted(closest_columns(self.moment), key=place.__getitem__)
        return first, second

    def pair(self, row: int, columns: tuple[int, int]) -> TwoColumns:
        """Lay out two weights of a row and what they may become."""
        lies = 0.0 if self.origins is None else self.origins[row]
        return two_columns(self.weights[row] - lies, self.steps[row], self.moment, columns)

    def rows_that_differ(self, columns: tuple[int, int]) -> list[int]:
        """List the rows in which plain rounding and GPTQ take other codes for two columns."""
        pair = list(columns)
        weights = self.weights[:, pair].astype(np.float64)
        weights -= 0.0 if self.origins is None else self.origins[:, pair]
        steps = self.steps[:, pair].astype(np.float64)
        live = np.all(steps > 0, axis=1)
        moment = self.moment[np.ix_(pair, pair)]
        each, plane = both_ways(weights, np.where(live[:, None], steps, 1.0), moment)
        return np.flatnonzero(live & np.any(each != plane, axis=1)).tolist()

    def _row(self, row: int) -> tuple[Weights, Weights, Weights]:
        return self.weights[row], self.restored[row], self.plain[row]


def follow_gptq(weights: Weights, fmt: Format, inputs: LayerInputs) -> GptqCourse:
    """Let GPTQ and plain rounding store a matrix, with their usual settings.

    Raises
    ------
    ValueError
        If GPTQ cannot store it in this format.
    """
    method = Gptq()
    method.check(weights.shape, fmt)
    task = prepare(method, weights, fmt, inputs)
    pushed = push_through(task.weights, fmt, factored(task.moment), task.plan)
    plain = RoundToNearest().choose(weights, fmt, inputs)
    factors = fmt.scale_factors(plain.packed)
    assert inputs.second_moment is not None  # else `prepare` refused
    return GptqCourse(
        weights=weights,
        restored=pushed.restored,
        plain=plain.restored,
        moment=damped(inputs.second_moment, method.damping).moment,
        order=task.plan.order,
        steps=_by_weight(np.abs(factors.scales), weights.shape),
        origins=None if factors.minimums is None else _by_weight(-factors.minimums, weights.shape),
    )


def _by_weight(factors: Weights, shape: tuple[int, int]) -> Weights:
    """Give every weight the scale, or the minimum, that it shares with others."""
    wide = np.broadcast_to(factors, (shape[0], factors.shape[1]))
    return np.repeat(wide, shape[1] // factors.shape[1], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorByImportance:
    """Where errors lie: columns in groups of equal size, from those that matter least."""

    importance: NDArray[np.float64]  # (n_groups,), mean squared input of a group, over the mean
    errors: dict[str, NDArray[np.float64]]
    """Mean squared error of the weights of each group, by method, over plain rounding's mean."""


def error_by_importance(
    weights: Weights, restored: dict[str, Weights], mean_square: Weights, plain: str
) -> ErrorByImportance:
    """Sort columns by their inputs, and see how far each method moves their weights.

    Parameters
    ----------
    restored
        (n_rows, n_cols) by method, `plain` among them.
    mean_square
        (n_cols,), of the inputs.
    """
    groups = np.array_split(np.argsort(mean_square, kind="stable"), min(GROUPS, len(mean_square)))
    squares = {
        name: np.square(each.astype(np.float64) - weights).mean(axis=0)
        for name, each in restored.items()
    }
    usual = squares[plain].mean() or 1.0
    mean = float(mean_square.mean(dtype=np.float64)) or 1.0
    return ErrorByImportance(
        importance=np.array([mean_square[group].mean() / mean for group in groups]),
        errors={
            name: np.array([each[group].mean() / usual for group in groups])
            for name, each in squares.items()
        },
    )
