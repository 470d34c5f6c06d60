"""Choose a type for each tensor under a budget: a multiple-choice knapsack.

Of each group of tensors one option is taken, so that the sum of costs is least and the bytes stay
within the budget. Solved by dynamic programming over the bytes that are spent beyond the smallest
choice, in units that all sizes share: that is the optimum. For models so large that there would be
too many units, coarser ones are taken and sizes rounded up; then a price on each byte gives a bound
that no choice can beat. Source: Kellerer, Pferschy and Pisinger, Knapsack Problems (2004), ch. 11.
"""

import math
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np

Group = TypeVar("Group", bound=Hashable)
MOST_UNITS = 250_000  # of the budget; times groups and options that is the work


@dataclass(frozen=True, slots=True)
class Option:
    """One way to store a group of tensors."""

    name: Hashable  # of the type
    bytes: int
    cost: float  # what is to be small: divergence in nats a token


@dataclass(frozen=True, slots=True)
class Allocation(Generic[Group]):
    """One option for each group, and how far from the optimum it can be."""

    chosen: dict[Group, Option]
    bound: float  # no choice within the budget costs less

    @property
    def bytes(self) -> int:
        """Bytes of all groups."""
        return sum(option.bytes for option in self.chosen.values())

    @property
    def cost(self) -> float:
        """Sum of all costs."""
        return sum(option.cost for option in self.chosen.values())

    @property
    def gap(self) -> float:
        """Cost above the bound, as a share of the cost; 0 where this is the optimum."""
        return max(0.0, self.cost - self.bound) / self.cost if self.cost else 0.0


def allocate(groups: Mapping[Group, Sequence[Option]], budget_bytes: int) -> Allocation[Group]:
    """Choose an option for each group, so that costs are least within the budget.

    Raises
    ------
    ValueError
        If a group has no option, or the smallest choice is above the budget.

    Examples
    --------
    >>> few, many = Option("Q4_K", 4, 3.0), Option("Q8_0", 8, 1.0)
    >>> best = allocate({"a": [few, many], "b": [few, Option("Q8_0", 8, 0.5)]}, 12)
    >>> {group: option.name for group, option in best.chosen.items()}, best.cost, best.gap
    ({'a': 'Q4_K', 'b': 'Q8_0'}, 3.5, 0.0)
    """
    useful = {group: _undominated(group, options) for group, options in groups.items()}
    smallest = _smallest(useful, budget_bytes)
    steps = [option.bytes - each[0].bytes for each in useful.values() for option in each[1:]]
    spare = min(budget_bytes - smallest, sum(e[-1].bytes - e[0].bytes for e in useful.values()))
    shared = math.gcd(*steps) or 1
    unit = max(shared, -(-spare // MOST_UNITS))
    chosen = _fill(useful, spare // unit, unit)
    cost = sum(option.cost for option in chosen.values())
    bound = cost if unit == shared else min(cost, _bound(useful, budget_bytes))
    return Allocation(chosen, bound)


def front(groups: Mapping[Group, Sequence[Option]]) -> list[Allocation[Group]]:
    """List the choices that are best at some price of a byte, smallest first.

    Each is the optimum for its own size; between two neighbours lie one group's steps.

    Raises
    ------
    ValueError
        If a group has no option.
    """
    hulls = {group: _hull(_undominated(group, options)) for group, options in groups.items()}
    chosen = {group: hull[0] for group, hull in hulls.items()}
    choices = [chosen]
    for _, group, option in _steps(hulls):
        chosen = chosen | {group: option}
        choices.append(chosen)
    return [Allocation(each, sum(option.cost for option in each.values())) for each in choices]


def at_random(
    groups: Mapping[Group, Sequence[Option]], budget_bytes: int, seed: int
) -> Allocation[Group]:
    """Step up from the smallest choice, a group drawn at a time, until no step fits the budget.

    Raises
    ------
    ValueError
        If a group has no option, or the smallest choice is above the budget.
    """
    rng = random.Random(seed)
    by_size = {
        group: sorted(each, key=lambda option: option.bytes) for group, each in groups.items()
    }
    useful = {group: _undominated(group, options) for group, options in groups.items()}
    chosen = {group: options[0] for group, options in by_size.items()}
    left = budget_bytes - _smallest(useful, budget_bytes)
    able = list(groups)
    while able:
        group = rng.choice(able)
        options, now = by_size[group], chosen[group]
        up = next((option for option in options if option.bytes > now.bytes), now)
        if up is now or up.bytes - now.bytes > left:
            able.remove(group)
            continue
        left -= up.bytes - now.bytes
        chosen[group] = up
    return Allocation(chosen, _bound(useful, budget_bytes))


def _size(option: Option) -> int:
    return option.bytes


def _smallest(useful: Mapping[Group, list[Option]], budget_bytes: int) -> int:
    smallest = sum(options[0].bytes for options in useful.values())
    if smallest > budget_bytes:
        raise ValueError(
            f"A budget of {budget_bytes:,} bytes is below the smallest mix of {smallest:,} bytes"
        )
    return smallest


def _undominated(group: Hashable, options: Sequence[Option]) -> list[Option]:
    """Keep the options that no smaller one equals, smallest first."""
    if not options:
        raise ValueError(f"No type is allowed for {group}")
    kept: list[Option] = []
    for option in sorted(options, key=lambda option: (option.bytes, option.cost)):
        if not kept or option.cost < kept[-1].cost:
            kept.append(option)
    return kept


def _hull(options: list[Option]) -> list[Option]:
    """Keep the options on the lower convex hull of cost over bytes."""
    kept: list[Option] = []
    for option in options:
        while len(kept) > 1 and _saving(kept[-2], kept[-1]) <= _saving(kept[-2], option):
            kept.pop()
        kept.append(option)
    return kept


def _saving(small: Option, large: Option) -> float:
    """Cost saved by each further byte."""
    return (small.cost - large.cost) / (large.bytes - small.bytes)


def _steps(hulls: Mapping[Group, list[Option]]) -> list[tuple[float, Group, Option]]:
    """List all steps up the hulls, those that save most by the byte first."""
    steps = [
        (_saving(small, large), group, large)
        for group, hull in hulls.items()
        for small, large in pairwise(hull)
    ]
    return sorted(steps, key=lambda step: -step[0])


def _fill(useful: dict[Group, list[Option]], n_units: int, unit: int) -> dict[Group, Option]:
    """Spend at most so many units beyond the smallest choice, best."""
    least = np.zeros(n_units + 1)  # cost with so many units at hand
    taken = []
    for options in useful.values():
        next_least = least + options[0].cost
        which = np.zeros(n_units + 1, np.int8)
        for at, option in enumerate(options[1:], 1):
            more = -(-(option.bytes - options[0].bytes) // unit)
            if more > n_units:
                break
            cost = least[: n_units + 1 - more] + option.cost
            better = cost < next_least[more:]
            next_least[more:][better] = cost[better]
            which[more:][better] = at
        least = next_least
        taken.append(which)
    chosen, left = {}, n_units
    for (group, options), which in zip(reversed(useful.items()), reversed(taken), strict=True):
        option = chosen[group] = options[which[left]]
        left -= -(-(option.bytes - options[0].bytes) // unit)
    return {group: chosen[group] for group in useful}


def _bound(useful: Mapping[Group, list[Option]], budget_bytes: int) -> float:
    """Cost if a step up could be taken in part: no choice within the budget costs less."""
    hulls = {group: _hull(options) for group, options in useful.items()}
    cost = sum(hull[0].cost for hull in hulls.values())
    left = budget_bytes - sum(hull[0].bytes for hull in hulls.values())
    sizes = {group: hull[0].bytes for group, hull in hulls.items()}
    for saving, group, option in _steps(hulls):
        spent = min(left, option.bytes - sizes[group])
        cost -= saving * spent
        left -= spent
        sizes[group] = option.bytes
    return cost
