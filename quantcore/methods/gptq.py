"""GPTQ: round column after column, and let the columns still to come make up for each error.

It minimizes the squared error of a layer's output over the calibration text,

    tr((W - Q) H (W - Q).T)        H: second moment of the inputs

exactly for what is still free: once a column is rounded, the best that real weights after it could
do is to move by its error times a row of H's factor. It is Babai's nearest plane for the lattice of
a root of H. Weights are further from the originals than rounded ones; outputs are nearer.

The grid is that of any format. Integers, NF4 and small floats, Q4_0 and its like round one weight
at a time; K-quants and IQ4 get the scales of a super-block from the format's own search, of the
weights as changed so far; in IQ1 to IQ3, a codebook's run of weights is one wide column.

As in the reference, columns that no token reaches are set to 0. Unlike there, scales of a group are
always found from weights that all errors so far have reached.

Source: Frantar et al., GPTQ, 2022; Chen et al., The Geometry of LLM Quantization, 2025.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Format, Weights
from quantcore.formats.codebook.blocks import CodebookFormat
from quantcore.methods.columns.factor import Order, ShareOf, damped, factored, order_of
from quantcore.methods.columns.filling import unit_of
from quantcore.methods.columns.grids import grid_of
from quantcore.methods.columns.pushing import Plan, Pushed, push_through
from quantcore.methods.method import Chosen, LayerInputs, Statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class Gptq:
    """GPTQ with its settings.

    Parameters
    ----------
    damping
        What is added to H's diagonal, as a share of its mean, or else of its largest eigenvalue.
    order
        In which order columns are rounded: "group", "act" or "natural", see `factor.order_of`.
        "act" takes scales from the original weights.
    static_scales
        Whether scales are chosen from the original weights, before any is rounded.
    searched
        Whether ranges of integers are narrowed to the least squared error.
    weighted
        Whether ggml's formats choose scales by importance too.
    block_size
        Columns between two matrix products; results depend on it by rounding only.
    """

    damping: float = 0.01
    damping_of: ShareOf = "mean"
    order: Order = "group"
    static_scales: bool = False
    searched: bool = False
    weighted: bool = True
    block_size: int = 128
    name: str = "gptq"
    title: str = "GPTQ"
    needs: frozenset[Statistic] = frozenset({"second_moment"})
    source: str = "Frantar et al., GPTQ, 2022"

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if the format cannot store this shape, or has no codes to choose."""
        fmt.check(shape)
        if not isinstance(fmt, CodebookFormat):
            grid_of(fmt)
        elif self.order == "act":
            raise ValueError(
                f"{fmt.name} stores patterns of weights side by side, so columns cannot go in the "
                'order of their inputs: choose order "group" or "natural".'
            )

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Choose codes for weights (n_rows, n_cols); see the top of this file."""
        self.check(weights.shape, fmt)
        task = prepare(self, weights, fmt, inputs)
        return task.chosen(self.push(task, inputs))

    def push(self, task: "Task", inputs: LayerInputs) -> Pushed:
        """Round column after column; what variants do otherwise."""
        return push_through(task.weights, task.fmt, factored(task.moment), task.plan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A matrix and its second moment, made ready: dead columns, damping, order."""

    fmt: Format
    weights: Weights  # (n_rows, n_cols), 0 in dead columns
    moment: NDArray[np.float64]  # damped, in the plan's order
    added: float  # to the moment's diagonal
    plan: Plan
    n_dead: int
    n_tokens: int

    def chosen(self, pushed: Pushed) -> Chosen:
        """Make the result, with a note on dead columns."""
        return Chosen(
            format=self.fmt,
            packed=pushed.packed,
            restored=pushed.restored,
            stored_bytes=self.fmt.stored_bytes(self.weights.shape),
            note=" ".join(filter(None, [dead_columns(self.n_dead), self._few_tokens()])),
        )

    def _few_tokens(self) -> str:
        n_cols = self.weights.shape[1]
        if self.n_tokens >= n_cols:
            return ""
        return (
            f"{self.n_tokens:,} tokens say little of {n_cols:,} inputs: calibrate on a longer text."
        )


def prepare(method: Gptq, weights: Weights, fmt: Format, inputs: LayerInputs) -> Task:
    """Damp the second moment, and decide on the order of columns.

    Raises
    ------
    ValueError
        If the moment is not there, not that of such a matrix, or not finite.
    """
    given, n_cols = inputs.second_moment, weights.shape[1]
    if given is None or given.shape != (n_cols, n_cols):
        raise ValueError(
            f"{method.title} needs the second moment of {n_cols:,} inputs: calibrate this matrix."
        )
    ready = damped(given, method.damping, method.damping_of)
    if ready.dead.any():
        weights = np.where(ready.dead, np.float32(0), weights)
    order = _order(method, fmt, np.diagonal(ready.moment))
    plan = Plan(
        order=order,
        block_size=method.block_size,
        static_scales=method.static_scales or method.order == "act",
        searched=method.searched,
        importance=inputs.mean_square if method.weighted or fmt.needs_importance else None,
    )
    return Task(
        fmt=fmt,
        weights=weights,
        moment=ready.moment[np.ix_(order, order)],
        added=ready.added,
        plan=plan,
        n_dead=int(ready.dead.sum()),
        n_tokens=inputs.n_tokens,
    )


def cross_moment_of(inputs: LayerInputs, order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Moment across the original's inputs and those that are there, in an order of columns.

    Raises
    ------
    ValueError
        If it was not measured.
    """
    if inputs.cross_moment is None:
        raise ValueError(
            "Inputs of the original model are needed beside those of the quantized one: calibrate "
            "this matrix with both."
        )
    if not np.isfinite(inputs.cross_moment).all():
        raise ValueError("The inputs of this matrix are not finite; calibrate with the original.")
    return inputs.cross_moment[np.ix_(order, order)]


def _order(method: Gptq, fmt: Format, diagonal: NDArray[np.float64]) -> NDArray[np.intp]:
    unit = unit_of(fmt, len(diagonal))
    order = order_of(diagonal, method.order, unit)
    if method.order == "group" and isinstance(fmt, CodebookFormat):
        groups = order[::unit] // unit  # patterns keep their places within a super-block
        return (unit * groups[:, None] + np.arange(unit)).reshape(-1)
    return order


def dead_columns(n: int) -> str:
    """Say that columns had no input.

    >>> dead_columns(2)
    '2 columns without input in this text are set to 0; a longer one may reach them.'
    >>> dead_columns(0)
    ''
    """
    if n == 0:
        return ""
    if n == 1:
        return "One column without input in this text is set to 0; a longer one may reach it."
    return f"{n:,} columns without input in this text are set to 0; a longer one may reach them."
