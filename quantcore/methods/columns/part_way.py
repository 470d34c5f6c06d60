"""GPTQ stopped after some columns: what is rounded, and where the rest of a row has moved.

With errors e of the rounded columns, those that are still free make the output's error least at

    moved = w + e H_fr inverse(H_rr)        f: rounded, r: free

of which the first is what GPTQ rounds next. The closed form, not the loop: a slider asks for any
place at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.methods.columns.factor import Moment, factored
from quantcore.model.blas import one_thread


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartWay:
    """A row of weights with some of its columns rounded; arrays are (n_cols,), as columns stand."""

    weights: Weights
    rounded: NDArray[np.bool_]
    now: Weights  # restored where rounded, moved where not
    next_column: int | None  # that is rounded next; None at the end
    output_error: float  # relative root mean square of this row's output, were it left like this
    rounding_error: float  # the same with plain rounding of these columns, and nothing moved


def part_way(
    weights: Weights,
    restored: Weights,
    plain: Weights,
    moment: Moment,
    order: NDArray[np.intp],
    n_done: int,
) -> PartWay:
    """Stop after `n_done` columns.

    Parameters
    ----------
    weights, restored, plain
        A row (n_cols,): the original, as GPTQ restores it, and as plain rounding does.
    moment
        (n_cols, n_cols), the second moment that GPTQ used, damped.
    order
        (n_cols,), of the columns.

    Raises
    ------
    ValueError
        If there are not so many columns.
    """
    n_cols = len(weights)
    if not 0 <= n_done <= n_cols:
        raise ValueError(f"There are 0 to {n_cols:,} columns to round, not {n_done:,}.")
    done, free = order[:n_done], order[n_done:]
    error = np.zeros(n_cols)
    error[done] = weights[done].astype(np.float64) - restored[done]
    if n_done and free.size:
        with one_thread():
            push = np.linalg.solve(moment[np.ix_(free, free)], moment[np.ix_(free, done)])
        error[free] = -push @ error[done]
    now = (weights - error).astype(np.float32)
    now[done] = restored[done]
    alone = np.zeros(n_cols)
    alone[done] = weights[done].astype(np.float64) - plain[done]
    rounded = np.zeros(n_cols, bool)
    rounded[done] = True
    return PartWay(
        weights=weights,
        rounded=rounded,
        now=now,
        next_column=int(free[0]) if free.size else None,
        output_error=_relative(error, weights, moment),
        rounding_error=_relative(alone, weights, moment),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """Relative output error of a row after 0, 1, ... n_cols rounded columns, (n_cols + 1,) each."""

    pushed: NDArray[np.float64]  # by GPTQ, with the rest moved to where the error is least
    alone: NDArray[np.float64]  # by plain rounding of the same columns


def course(
    weights: Weights, restored: Weights, plain: Weights, moment: Moment, order: NDArray[np.intp]
) -> Course:
    """Follow the error from the first column to the last; arguments as for `part_way`."""
    signal = float(weights @ moment @ weights) or 1.0
    turned = moment[np.ix_(order, order)]
    factor = factored(turned)
    pushed = (weights.astype(np.float64) - restored)[order]
    aims = pushed @ factor.feedback  # ones on its diagonal: a column's own error, and those before
    alone = (weights.astype(np.float64) - plain)[order]
    with one_thread():
        before = alone @ np.triu(turned, 1)
    steps = factor.diagonal * aims**2, alone * (2 * before + np.diagonal(turned) * alone)
    sums = [np.concatenate([[0.0], np.cumsum(each)]) for each in steps]
    ends = (np.sqrt(np.clip(each, 0, None) / signal) for each in sums)
    return Course(pushed=next(ends), alone=next(ends))


def _relative(error: NDArray, weights: Weights, moment: Moment) -> float:
    signal = float(weights @ moment @ weights)
    return float(np.sqrt(max(error @ moment @ error, 0.0) / signal)) if signal else 0.0
