"""A file's recipe from measured divergence: the best type for each tensor under a budget.

What each tensor costs alone, in each format, comes from `quantcore.sensitivity`; the sum over all
tensors is the divergence that is predicted for the whole.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.model.source import Model
from quantcore.recipe.allocate import Allocation, Option, allocate, at_random, front
from quantcore.recipe.budget_text import divergence_asked, read_budget
from quantcore.recipe.contents import contents_of
from quantcore.recipe.of_types import (
    ALIGNMENT,
    matrix_types,
    padded_bytes,
    plan_of_types,
    tensors_bytes,
)
from quantcore.recipe.plan import Plan
from quantcore.recipe.rules import tensor_needs_imatrix
from quantcore.sensitivity.results import Sensitivity


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted:
    """A plan made for a budget, and what it is predicted to cost."""

    plan: Plan
    budget_bytes: int  # of all tensors, padding included
    padded_bytes: int
    predicted_kl_divergence: float | None  # nats a token, on the measurement's text, where known
    gap: float  # share of it by which the optimum can be better; 0 where this is the optimum


# Tensor, format -> cost, None where it is not known. Nats only if it is the measured divergence.
Cost = Callable[[str, str], float | None]


class Budget:
    """The choices that a model has: formats that were measured, tensor by tensor.

    Parameters
    ----------
    formats
        Those to choose from; by default all that were measured, but for those that llama-quantize
        refuses to store without an importance matrix where they were measured without.
    keep_output
        Smallest type for the output (or the embedding that serves as it), such as "Q6_K".
    by_layer
        Whether all matrices of a layer share one type.
    cost, by
        What is to be small, instead of the measured divergence, and how a rule says so.

    Raises
    ------
    ValueError
        If the results are of another model, or a tensor or format was not measured.
    """

    def __init__(
        self,
        model: Model,
        measured: Sensitivity,
        formats: Sequence[str] | None = None,
        *,
        keep_output: str | None = None,
        by_layer: bool = False,
        cost: Cost | None = None,
        by: str = "",
    ) -> None:
        measured.refuse_other_model(model.name, model.fingerprint)
        self.model, self.measured = model, measured
        self._aided = bool(measured.source.imatrix_digest)
        self.formats = _known(formats or storable_formats(measured), measured)
        self._cost, self._by = cost or self._divergence, by
        self._in_nats = cost is None
        keep_output = keep_output and keep_output.upper()
        if keep_output is not None and keep_output not in GGML_TYPES:
            raise ValueError(f"There is no type {keep_output[:40]!r} to keep the output in")
        self._fixed = tensors_bytes(
            (shape, "F32")
            for name, shape in contents_of(model).shapes.items()
            if name not in model.quantizable
        )
        self.members = _groups(model, by_layer)
        self.options = {
            group: self._of_group(names, keep_output) for group, names in self.members.items()
        }

    def bytes_of(self, text: str) -> int:
        """Read a budget: "4.5bpw", "Q4_K_M" (its size by llama-quantize's rules), or "3.9MB".

        Raises
        ------
        ValueError
            If it is none of these.
        """
        return read_budget(self.model, text)

    def within(self, budget_bytes: int) -> Budgeted:
        """Plan the file with the least predicted divergence within a budget.

        Raises
        ------
        ValueError
            If the budget is below the smallest mix.
        """
        return self._budgeted(allocate(self.options, self.spendable(budget_bytes)), budget_bytes)

    def plan_for(self, text: str) -> Budgeted:
        """Plan for a budget as `bytes_of` reads it, or for a divergence, as "kl:0.002".

        Raises
        ------
        ValueError
            If it is neither, if no mix is as small or as near to the original, or as
            `at_divergence`.
        """
        largest = divergence_asked(text)
        return self.within(self.bytes_of(text)) if largest is None else self.at_divergence(largest)

    def spendable(self, budget_bytes: int) -> int:
        """Bytes for what can be chosen."""
        left = budget_bytes - self._fixed
        smallest = sum(min(option.bytes for option in each) for each in self.options.values())
        if left < smallest:
            raise ValueError(
                f"A budget of {budget_bytes:,} bytes is below the smallest mix of these formats, "
                f"{smallest + self._fixed:,} bytes"
            )
        return left

    def at_random(self, budget_bytes: int, seed: int) -> Budgeted:
        """Plan a file that fills a budget by chance: what any way of choosing must beat.

        Raises
        ------
        ValueError
            If the budget is below the smallest mix.
        """
        left = self.spendable(budget_bytes)
        return self._budgeted(at_random(self.options, left, seed), budget_bytes, "was drawn")

    def at_divergence(self, largest: float) -> Budgeted:
        """Plan the smallest file whose predicted divergence is at most this, in nats a token.

        Raises
        ------
        ValueError
            If no mix comes so near to the original, or another cost than the measured divergence
            is to be small, whose sum is not in nats.
        """
        if not self._in_nats:
            raise ValueError(
                f"Only measured divergence can be bounded, as by kl:{largest:g}: choose types by "
                "it, or ask for a size"
            )
        corners = front(self.options)
        if corners[-1].cost > largest:
            raise ValueError(
                f"No mix of these formats diverges as little as {largest:g} nats per token: the "
                f"least is {corners[-1].cost:.2g}"
            )
        at = next(i for i, corner in enumerate(corners) if corner.cost <= largest)
        low, high = corners[max(at - 1, 0)].bytes, corners[at].bytes
        best = allocate(self.options, high)
        while high - low > ALIGNMENT:
            middle = (low + high) // 2
            tried = allocate(self.options, middle)
            low, high, best = (
                (low, tried.bytes, tried) if tried.cost <= largest else (middle, high, best)
            )
        return self._budgeted(best, best.bytes + self._fixed)

    @cached_property
    def corners(self) -> list[tuple[int, float]]:
        """Bytes of all tensors and cost of the best plans, smallest first.

        The cost is the predicted divergence, or the sum of what is to be small instead.
        """
        return [(each.bytes + self._fixed, each.cost) for each in front(self.options)]

    def front(self) -> list[Budgeted]:
        """List the best plans, smallest first; between two neighbours one tensor steps up."""
        return [self._budgeted(each, each.bytes + self._fixed) for each in front(self.options)]

    def predicted(self, types: Plan) -> float | None:
        """Add up what was measured for any plan.

        None where a tensor's type was not measured, or not so: with an importance matrix, or
        without.
        """
        if types.with_imatrix != self._aided:
            return None
        total = 0.0
        for name, type in matrix_types(self.model, types).items():
            cost = self._divergence(name, type)
            if cost is None:
                return None
            total += cost
        return total

    def divergence(self, group: str, option: Option) -> float:
        """Add up what was measured of a group's tensors in an option; 0 where it was not."""
        return sum(self._divergence(n, str(option.name)) or 0.0 for n in self.members[group])

    def _divergence(self, name: str, format_name: str) -> float | None:
        effect = self.measured.effect(name, format_name)
        return None if effect is None else max(effect.mean_kl_divergence, 0.0)

    def _of_group(self, names: Sequence[str], keep_output: str | None) -> list[Option]:
        options = []
        for format_name in self.formats:
            asked = (self._cost(name, format_name) for name in names)
            costs = [cost for cost in asked if cost is not None]
            if len(costs) < len(names) or not self._allowed(names, format_name, keep_output):
                continue
            shapes = ((self.model.tensors[name].shape, format_name) for name in names)
            options.append(Option(format_name, tensors_bytes(shapes), math.fsum(costs)))
        if not options:
            raise ValueError(
                f"Nothing was measured that {names[0]} could be stored in; measure it with python "
                "-m quantcore sensitivity"
            )
        return options

    def _allowed(self, names: Sequence[str], format_name: str, keep_output: str | None) -> bool:
        tied = "output.weight" not in self.model.tensors
        output = "token_embd.weight" if tied else "output.weight"
        if keep_output is None or output not in names:
            return True
        least = GGML_TYPES[keep_output].bits_per_weight
        return GGML_TYPES[format_name].bits_per_weight >= least

    def _budgeted(self, chosen: Allocation[str], budget_bytes: int, why: str = "") -> Budgeted:
        made = self.plan_of(chosen.chosen, why or f"is the best for the budget{self._by}")
        return Budgeted(
            plan=made,
            budget_bytes=budget_bytes,
            padded_bytes=padded_bytes(made),
            predicted_kl_divergence=self.predicted(made),
            gap=chosen.gap,
        )

    def plan_of(self, chosen: Mapping[str, Option], why: str) -> Plan:
        """Plan the file of an option for each group; its rules say "Q4_K {why}"."""
        types = {
            name: str(option.name)
            for group, option in chosen.items()
            for name in self.members[group]
        }
        return plan_of_types(self.model, types, partial(self._rule, why), imatrix=self._aided)

    def chosen_in(self, made: Plan) -> dict[str, Option]:
        """Find the options that a plan of this budget took, by group."""
        types = made.types
        return {
            group: next(
                option for option in options if option.name == types[self.members[group][0]]
            )
            for group, options in self.options.items()
        }

    def _rule(self, why: str, name: str, type: str) -> str:
        cost = self._divergence(name, type)
        alone = "" if cost is None else f", {cost:.2g} nats per token when it alone is quantized"
        return f"{type} {why}{alone}"


def _known(formats: Sequence[str], measured: Sensitivity) -> list[str]:
    names = [name.upper() for name in formats]
    if unknown := [name for name in names if name not in measured.formats]:
        raise ValueError(
            f"{unknown[0]} was not measured: there are {', '.join(measured.formats)}; measure it "
            "with python -m quantcore sensitivity --types"
        )
    return [name for name in names if name in GGML_TYPES]


def storable_formats(measured: Sensitivity) -> list[str]:
    """List the measured formats, without those that llama-quantize refuses to store.

    It refuses some without an importance matrix; where there was one, all are listed.
    """
    aided = bool(measured.source.imatrix_digest)
    usual = "blk.0.ffn_up.weight"
    return [name for name in measured.formats if aided or not tensor_needs_imatrix(usual, name, "")]


def _groups(model: Model, by_layer: bool) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in model.quantizable:
        layer = model.tensors[name].layer
        group = f"layer {layer}" if by_layer and layer is not None else name
        groups.setdefault(group, []).append(name)
    return groups
