"""Column after column: rounded, and its error pushed on to those that come after it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Format, Weights
from quantcore.methods.columns.factor import Factor
from quantcore.methods.columns.filling import joined, start_filling, unit_of
from quantcore.methods.columns.work import MIN_ROWS, Filling, Work
from quantcore.model.blas import one_thread
from quantcore.pool import over_rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """How columns are gone through."""

    order: NDArray[np.intp]  # (n_cols,)
    block_size: int  # columns between two products that gather the errors of all before them
    static_scales: bool  # whether scales are chosen from the target, before anything is rounded
    searched: bool = False  # whether ranges of integers are narrowed, see `scale_search`
    importance: Weights | None = None  # (n_cols,), for formats that choose scales by it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pushed:
    """What came of it."""

    packed: Any  # of the format
    aimed: Weights  # (n_rows, n_cols), in the weights' order: what each weight was when rounded
    restored: Weights  # (n_rows, n_cols)


def push_through(
    target: Weights,
    fmt: Format,
    factor: Factor,
    plan: Plan,
    *,
    pushes: NDArray[np.float32] | None = None,
    first_aim: Weights | None = None,
    scales_from: Weights | None = None,
) -> Pushed:
    """Round weights (n_rows, n_cols) with feedback.

    Parameters
    ----------
    factor
        Of the second moment, in the plan's order.
    pushes
        (n_cols, n_cols) in the plan's order, strictly upper: what each aim adds to later targets.
    first_aim
        (n_rows,): what the first column of the order is rounded instead of its target.
    scales_from
        (n_rows, n_cols): what scales are chosen from that are found for all columns at once, by
        default the target.
    """
    run = _Run(target, fmt, factor, plan, pushes)
    return run.through(target if scales_from is None else scales_from, first_aim)


class _Run:
    """The state of `push_through`: arrays of all columns, in the plan's order."""

    def __init__(
        self,
        target: Weights,
        fmt: Format,
        factor: Factor,
        plan: Plan,
        pushes: NDArray[np.float32] | None,
    ) -> None:
        self.fmt, self.factor, self.plan, self.pushes = fmt, factor, plan, pushes
        self.n_cols = target.shape[1]
        self.target: Weights = np.ascontiguousarray(target[:, plan.order])
        self.aimed = np.zeros_like(self.target)
        self.errors = np.zeros_like(self.target)
        self.unit = self.n_cols if plan.static_scales else unit_of(fmt, self.n_cols)
        self.parts: dict[int, Filling] = {}  # by the first column of the unit

    def through(self, scales_from: Weights, first_aim: Weights | None) -> Pushed:
        step = self.plan.block_size
        if self.unit == self.n_cols:
            self._choose_scales(0, scales_from)
        else:
            step = max(1, step // self.unit) * self.unit
        for start in range(0, self.n_cols, step):
            block = slice(start, min(start + step, self.n_cols))
            self._gather(slice(0, start), block, self.target[:, block].copy())
            if start == 0 and first_aim is not None:
                self.aimed[:, 0] = first_aim
            self._through_block(block)
        packed = joined([self.parts[start].packed() for start in sorted(self.parts)])
        aimed = np.empty_like(self.aimed)
        aimed[:, self.plan.order] = self.aimed
        return Pushed(packed=packed, aimed=aimed, restored=self.fmt.dequantize(packed))

    def _through_block(self, block: slice) -> None:
        """Go through the columns of a block, in runs that have their scales from one unit."""
        unit_at = self.plan.order[block] // self.unit
        edges = np.flatnonzero(np.diff(unit_at)) + 1
        for run in np.split(np.arange(block.start, block.stop), edges):
            here = slice(int(run[0]), int(run[-1]) + 1)
            if here.start > block.start:
                self._gather(slice(block.start, here.start), here, self.aimed[:, here].copy())
            self._round(here)

    def _gather(self, before: slice, here: slice, base: Weights) -> None:
        """Let columns aim at `base` and the errors of earlier columns."""
        feedback = self.factor.feedback[before, here]
        pushes = None if self.pushes is None else self.pushes[before, here]

        def work(start: int, stop: int) -> None:
            rows = slice(start, stop)
            aimed = base[rows] + self.errors[rows, before] @ feedback
            if pushes is not None:
                pushed = self.aimed[rows, before] @ pushes
                self.target[rows, here] += pushed
                aimed += pushed
            self.aimed[rows, here] = aimed

        with one_thread():
            over_rows(work, len(base), MIN_ROWS)

    def _round(self, here: slice) -> None:
        columns = self.plan.order[here]
        start = int(columns[0]) // self.unit * self.unit
        if start not in self.parts:
            unit = np.empty((len(self.target), self.unit), np.float32)
            unit[:, columns - start] = self._moved(here)
            self._choose_scales(start, unit)
        pushes = None if self.pushes is None else np.ascontiguousarray(self.pushes[here, here])
        work = Work(
            places=columns - start,
            target=np.ascontiguousarray(self.target[:, here]),
            aimed=np.ascontiguousarray(self.aimed[:, here]),
            feedback=np.ascontiguousarray(self.factor.feedback[here, here]),
            root=np.ascontiguousarray(self.factor.root[here, here], np.float32),
            pushes=pushes,
        )
        restored = self.parts[start].round(work)
        self.aimed[:, here] = work.aimed
        self.target[:, here] = work.target
        self.errors[:, here] = work.target - restored

    def _moved(self, here: slice) -> Weights:
        """Find where errors so far have moved columns that none was rounded of: the best reals.

        Each of them moves less than it aims at, for those before it have moved as well.
        """
        feedback = self.factor.feedback[here, here].astype(np.float64)
        with one_thread():
            inverse: Weights = np.linalg.inv(feedback).astype(np.float32)
            target = self.target[:, here]
            missed: Weights = target - self.aimed[:, here]
            return target - missed @ inverse

    def _choose_scales(self, start: int, weights: Weights) -> None:
        importance = self.plan.importance
        if importance is not None:
            importance = importance[start : start + self.unit]
        self.parts[start] = start_filling(
            self.fmt, weights, importance, searched=self.plan.searched
        )
