"""Swaps: where single effects do not add up, a mix is refined by measuring it as a whole.

A swap takes one tensor (or layer, where its matrices share a type) a step up and another a step
down, within the budget; `exchanges` says which to try. What lowers the joint divergence beyond
noise is kept: on the same tokens, the 95 % interval of the change lies below zero. The text is that
of the single effects, so the result must be judged on another one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quantcore import sweep
from quantcore.evaluate.intervals import interval
from quantcore.evaluate.text import Chunks
from quantcore.model.llama import Floats
from quantcore.progress import Progress
from quantcore.recipe.allocate import Option
from quantcore.recipe.of_types import padded_bytes
from quantcore.recipe.plan import Plan
from quantcore.sensitivity.bench import Bench
from quantcore.sensitivity.budget import Budget, Budgeted
from quantcore.sensitivity.cached import RestoredTensors
from quantcore.sensitivity.exchanges import Exchanges, Step, Swap
from quantcore.sensitivity.pieces import entry_of
from quantcore.sensitivity.reading import reading_of

AT_ONCE = 8  # measurements between two decisions, in the order of the forward pass
NEAR = 0.15  # share by which a joint divergence may differ from the sum
Values = NDArray[np.float64]  # (n_chunks, n_scored), nats


class Joint(Protocol):
    """Measures whole mixes."""

    def hold(self, chosen: Mapping[str, Option]) -> None:
        """Take this mix as the one at hand."""

    def whole(self) -> Values:
        """Measure it."""

    def swapped(self, swaps: Sequence[Swap]) -> Iterator[tuple[Swap, Values]]:
        """Measure it with each of some swaps, in any order."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A swap that was measured as a whole; nats a token."""

    swap: Swap
    change: float  # of the divergence of the mix at hand
    change_low: float
    change_high: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Mean:
    """A divergence with its 95 % interval, nats a token."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Values) -> "Mean":
        """Take the mean of values by token."""
        return cls(float(values.mean()), *interval(values))


@dataclass(frozen=True, slots=True)
class SwapResult:
    """What swaps made of a mix so far."""

    chosen: dict[str, Option]
    before: Mean
    after: Mean
    measurements: int = 1
    history: tuple[Tried, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """A plan after swaps, within the budget of the start."""

    plan: Plan
    padded_bytes: int
    predicted_kl_divergence: float | None  # sum of single effects, nats a token
    result: SwapResult


def is_near(predicted: float, joint: Mean) -> bool:
    """Whether a joint divergence is near the sum of the single effects.

    >>> is_near(1.1, Mean(1.0, 0.98, 1.02)), is_near(1.2, Mean(1.0, 0.9, 1.1))
    (True, False)
    """
    return abs(predicted - joint.value) <= NEAR * joint.value or (
        joint.low <= predicted <= joint.high
    )


def swap_steps(
    budget: Budget, start: Budgeted, chunks: Chunks, measurements: int
) -> Iterator[Progress[SwapResult]]:
    """Refine a plan that a budget made; a step a measurement. Stop iterating to cancel.

    Parameters
    ----------
    chunks
        Of the text on which the single effects were measured.
    measurements
        At most; the first is that of the start.

    Raises
    ------
    ValueError
        If there is not even one.
    """
    if measurements < 1:
        raise ValueError(f"{measurements:,} measurements are none: give 1 or more")

    @cache
    def single(step: Step) -> float:
        return budget.divergence(step.group, step.after) - budget.divergence(
            step.group, step.before
        )

    chosen, spare = budget.chosen_in(start.plan), start.budget_bytes - start.padded_bytes
    return search(
        Exchanges(budget.options, chosen, spare, single), _Joint(budget, chunks), measurements
    )


def swapped_plan(budget: Budget, start: Budgeted, result: SwapResult) -> Swapped:
    """Plan the file that swaps made of a start; what was not swapped keeps its rule."""
    made = budget.plan_of(result.chosen, "was swapped in, by measuring the whole mix")
    pairs = zip(start.plan.tensors, made.tensors, strict=True)
    made = replace(made, tensors=tuple(a if a.type == b.type else b for a, b in pairs))
    return Swapped(
        plan=made,
        padded_bytes=padded_bytes(made),
        predicted_kl_divergence=budget.predicted(made),
        result=result,
    )


def search(mix: Exchanges, joint: Joint, measurements: int) -> Iterator[Progress[SwapResult]]:
    """Swap until nothing promises more, or so many measurements are made."""
    yield Progress(0.0, "the mix as a whole")
    joint.hold(mix.chosen)
    at_hand = joint.whole()
    mean = Mean.of(at_hand)
    result = SwapResult(dict(mix.chosen), mean, mean)
    while wanted := mix.wanted(min(AT_ONCE, measurements - result.measurements)):
        measured = {}
        for swap, values in joint.swapped(wanted):
            measured[swap] = values - at_hand
            result = replace(result, measurements=result.measurements + 1)
            stage = " and ".join(f"{step.group} in {step.after.name}" for step in swap)
            yield Progress(result.measurements / measurements, stage, result)
        # In the order of `wanted`, not as they came: the result is the same on any machine.
        tried = [_tried(mix, swap, measured[swap]) for swap in wanted]
        if best := min((each for each in tried if each.kept), key=_change, default=None):
            tried = [each if each is best else replace(each, kept=False) for each in tried]
            mix.keep(best.swap)
            joint.hold(mix.chosen)
            at_hand = at_hand + measured[best.swap]
        chosen, history = dict(mix.chosen), (*result.history, *tried)
        result = replace(result, chosen=chosen, after=Mean.of(at_hand), history=history)
    yield Progress(1.0, "done", result)


def _tried(mix: Exchanges, swap: Swap, change: Values) -> Tried:
    """Sum up what was measured; `kept` says whether it could be."""
    mean = Mean.of(change)
    mix.learn(swap, mean.value)
    fits = sum(step.bytes for step in swap) <= mix.spare_bytes
    return Tried(swap, mean.value, mean.low, mean.high, kept=fits and mean.high < 0)


def _change(tried: Tried) -> float:
    return tried.change


class _Joint:
    """Whole mixes on a bench: tensors are quantized once, states before a swap are shared."""

    def __init__(self, budget: Budget, chunks: Chunks) -> None:
        self._budget, self._model = budget, budget.model
        self._bench = Bench(self._model, reading_of(self._model, chunks))
        self._restored = RestoredTensors(self._model)

    def hold(self, chosen: Mapping[str, Option]) -> None:
        self._chosen = chosen
        self._base = self._bench.with_weights(self._weights(chosen))

    def whole(self) -> Values:
        return self._by_token(self._chosen)

    def swapped(self, swaps: Sequence[Swap]) -> Iterator[tuple[Swap, Values]]:
        with closing(sweep.run(self._one, sorted(swaps, key=self._place))) as outcomes:
            for outcome in outcomes:
                if outcome.result is None:
                    raise ValueError(f"A swap could not be measured: {outcome.problem}")
                yield outcome.piece, outcome.result

    def _one(self, swap: Swap) -> Values:
        return self._by_token(_after(swap))

    def _by_token(self, changed: Mapping[str, Option]) -> Values:
        scores = self._bench.changed(self._weights(changed), self._base)
        return self._bench.reading.of_chunks(scores.kl)

    def _place(self, swap: Swap) -> tuple[int, int]:
        return entry_of(self._model, self._types(_after(swap)))

    def _types(self, chosen: Mapping[str, Option]) -> dict[str, str]:
        members = self._budget.members
        return {name: str(each.name) for group, each in chosen.items() for name in members[group]}

    def _weights(self, chosen: Mapping[str, Option]) -> dict[str, Floats]:
        types = self._types(chosen)
        return {name: self._restored.of(name, type) for name, type in types.items()}


def _after(swap: Swap) -> dict[str, Option]:
    return {step.group: step.after for step in swap}
