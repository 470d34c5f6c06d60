"""How far results can be trusted: sums beside joint effects, guides and other results beside these.

sums        what single effects add up to, beside the effect of the same tensors at once
guides      the order in which a cheap guide puts the tensors, beside the measured one
results     the same pieces in two results, by rank and by ratio
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from quantcore.model.source import Model
from quantcore.sensitivity.costs import Cost, costs, formats_by_size, joint_cost
from quantcore.sensitivity.guides import GUIDES, rank_correlation
from quantcore.sensitivity.results import Sensitivity, guide_ranks


@dataclass(frozen=True, slots=True)
class Sum:
    """Single effects added up beside the measured effect of the same tensors at once; nats."""

    name: str  # of the format; or the layer's number, or the role
    total: float  # of single effects, those below zero taken as zero, as a budget does
    joint: Cost

    @property
    def ratio(self) -> Cost:
        """The sum as a multiple of the joint effect; 1 where effects add up."""
        ends = [self.total / max(end, 1e-300) for end in (self.joint.high, self.joint.low)]
        return Cost(self.total / max(self.joint.value, 1e-300), *ends)

    @classmethod
    def of(cls, name: str, single: Iterable[Cost], joint: Cost) -> "Sum":
        """Add up single effects."""
        return cls(name, sum(max(cost.value, 0.0) for cost in single), joint)


def sums_by_format(results: Sensitivity) -> list[Sum]:
    """Add up all tensors in each format whose joint effect was measured, fewest bits first."""
    return results.concluded("sums_by_format", lambda: _sums_by_format(results))


def _sums_by_format(results: Sensitivity) -> list[Sum]:
    sums = []
    for format_name in formats_by_size(results):
        effect, joint = results.effect("all", format_name, "all"), joint_cost(results, format_name)
        single = costs(results, format_name)
        if effect is None or joint is None or len(single) < 2 or joint.value <= 0:
            continue
        of_tensors = [results.effect(name, format_name) for name in single]
        if sum(each.bytes for each in of_tensors if each) == effect.bytes:  # every tensor is there
            sums.append(Sum.of(format_name, single.values(), joint))
    return sums


def sums_by_group(results: Sensitivity, model: Model, format_name: str) -> list[Sum]:
    """Add up the tensors of each layer and of each role, where that was measured too."""
    single, sums = costs(results, format_name), []
    for name, joint in costs(results, format_name, group="layer").items():
        members = [each for each in single if str(model.tensors[each].layer) == name]
        if len(members) > 1 and joint.value > 0:
            sums.append(Sum.of(name, [single[each] for each in members], joint))
    for name, joint in costs(results, format_name, group="role").items():
        members = [each for each in single if model.tensors[each].role == name]
        if len(members) > 1 and joint.value > 0:
            sums.append(Sum.of(name, [single[each] for each in members], joint))
    return sums


@dataclass(frozen=True, slots=True)
class GuideOrder:
    """How a guide orders the tensors in a format, beside the measurement."""

    guide: str  # one of `GUIDES`
    points: Mapping[str, tuple[float, Cost]]  # by tensor: what the guide says, and what it costs
    correlation: float  # Spearman's, nan where there is no order
    over_all_formats: float  # Spearman's over the tensors in every format
    ranks: Mapping[str, tuple[int, int]]  # by the guide and by the measurement; 1 is the most

    @property
    def misplaced(self) -> list[str]:
        """Tensors whose two ranks lie farthest apart, the farthest first."""
        gap = {name: abs(first - second) for name, (first, second) in self.ranks.items()}
        return sorted((n for n in gap if gap[n]), key=lambda n: (-gap[n], self.ranks[n][1]))


def guide_orders(results: Sensitivity, format_name: str) -> list[GuideOrder]:
    """Hold each guide against the measured divergence of tensors in a format.

    Guides that know fewer than three of the tensors are left out.
    """
    return results.concluded(
        ("guide_orders", format_name), lambda: _guide_orders(results, format_name)
    )


def _guide_orders(results: Sensitivity, format_name: str) -> list[GuideOrder]:
    single, correlations = costs(results, format_name), guide_ranks(results)
    orders = []
    for guide in GUIDES:
        points = {}
        for name, cost in single.items():
            known = results.guide(name, format_name)
            value = None if known is None else getattr(known, guide)
            if value is not None:
                points[name] = (value, cost)
        if len(points) > 2:
            guessed = [value for value, _ in points.values()]
            measured = [cost.value for _, cost in points.values()]
            ranks = {
                name: (_rank(value, guessed), _rank(cost.value, measured))
                for name, (value, cost) in points.items()
            }
            correlation = rank_correlation(guessed, measured)
            over_all = correlations.get(guide, correlation)
            orders.append(GuideOrder(guide, points, correlation, over_all, ranks))
    return orders


def _rank(value: float, values: list[float]) -> int:
    return 1 + sum(other > value for other in values)


def correlation_of(first: Mapping[str, Cost], second: Mapping[str, Cost]) -> float:
    """Rank correlation of two results over the pieces that both have; nan below three."""
    shared = [name for name in first if name in second]
    if len(shared) < 3:
        return math.nan
    return rank_correlation(*[[each[name].value for name in shared] for each in (first, second)])


def off_the_median_ratio(first: Mapping[str, Cost], second: Mapping[str, Cost]) -> list[str]:
    """List the pieces of both results, those farthest from the others' ratio first.

    Pieces that cost nothing in either have no ratio, and are left out.
    """
    shared = [n for n in first if n in second and first[n].size and second[n].size]
    ratios = {name: math.log(second[name].size / first[name].size) for name in shared}
    middle = median(ratios.values()) if ratios else 0.0
    return sorted(shared, key=lambda name: -abs(ratios[name] - middle))
