"""The knapsack: brute force finds nothing better, and a bound is a bound."""

import itertools
import random

import pytest

from quantcore.recipe import allocate as knapsack
from quantcore.recipe.allocate import Option, allocate, at_random, front

BITS = {"Q2_K": 2.625, "Q3_K": 3.4375, "Q4_K": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625, "Q8_0": 8.5}


def _groups(n: int, seed: int) -> dict[int, list[Option]]:
    """Matrices of a few sizes whose divergence falls fourfold a bit, more or less."""
    chance = random.Random(seed)
    groups = {}
    for group in range(n):
        size, scale = chance.choice([65_536, 131_072, 196_608, 524_288]), chance.uniform(-5, -1)
        groups[group] = [
            Option(name, int(size * bits / 8), 10**scale * 4**-bits * chance.uniform(0.5, 1.5))
            for name, bits in BITS.items()
        ]
    return groups


def _budgets(groups, count: int) -> list[int]:
    least = sum(min(option.bytes for option in each) for each in groups.values())
    most = sum(max(option.bytes for option in each) for each in groups.values())
    return [least + (most - least) * i // (count - 1) for i in range(count)]


@pytest.mark.parametrize("seed", range(12))
def test_brute_force_on_five_tensors_finds_nothing_better(seed):
    groups = _groups(5, seed)
    every = [(sum(o.bytes for o in c), sum(o.cost for o in c)) for c in
             itertools.product(*groups.values())]  # fmt: skip
    for budget in _budgets(groups, 9):
        allocation = allocate(groups, budget)
        assert allocation.bytes <= budget
        assert allocation.gap == 0
        assert allocation.cost == pytest.approx(
            min(c for size, c in every if size <= budget), rel=1e-12
        )


@pytest.mark.parametrize("units", [200, 3_000])
def test_with_coarse_units_the_gap_is_told(units, monkeypatch):
    groups = _groups(20, 3)
    exact = [allocate(groups, budget) for budget in _budgets(groups, 7)]
    monkeypatch.setattr(knapsack, "MOST_UNITS", units)
    for budget, best in zip(_budgets(groups, 7), exact, strict=True):
        coarse = allocate(groups, budget)
        assert coarse.bytes <= budget
        assert coarse.bound <= best.cost * (1 + 1e-12) <= coarse.cost * (1 + 2e-12)


def test_the_front_runs_from_the_smallest_choice_to_the_best_and_each_is_an_optimum():
    groups = _groups(8, 5)
    allocations = front(groups)
    assert allocations[0].bytes == _budgets(groups, 2)[0]
    assert allocations[-1].cost == pytest.approx(
        sum(min(o.cost for o in g) for g in groups.values())
    )
    for small, large in itertools.pairwise(allocations):
        assert small.bytes < large.bytes
        assert small.cost > large.cost
    for each in allocations[::7]:
        assert allocate(groups, each.bytes).cost == pytest.approx(each.cost)


def test_an_option_that_costs_more_and_is_larger_is_never_taken():
    groups = {"a": [Option("worse", 10, 5.0), Option("good", 8, 1.0), Option("small", 4, 2.0)]}
    assert {allocate(groups, n).chosen["a"].name for n in (4, 8, 9, 10, 99)} == {"small", "good"}


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"A budget of 3 bytes is below the smallest mix of 4"):
        allocate({"a": [Option("x", 4, 1.0)]}, 3)
    with pytest.raises(ValueError, match=r"No type is allowed for a"):
        allocate({"a": []}, 3)


@pytest.mark.parametrize("seed", range(6))
def test_at_random_fills_the_budget_and_is_no_better_than_the_best(seed):
    groups = _groups(20, 7)
    for budget in _budgets(groups, 6)[1:-1]:
        random, best = at_random(groups, budget, seed), allocate(groups, budget)
        assert random.bytes <= budget
        next_up = (
            min((o.bytes for o in options if o.bytes > random.chosen[g].bytes), default=None)
            for g, options in groups.items()
        )
        steps = [up - random.chosen[g].bytes for g, up in zip(groups, next_up, strict=True) if up]
        assert not steps or min(steps) > budget - random.bytes
        assert random.cost >= best.cost
        assert random.bound <= best.cost * (1 + 1e-12)
        assert at_random(groups, budget, seed).chosen == random.chosen
    assert at_random(groups, budget, seed).chosen != at_random(groups, budget, seed + 1).chosen
    with pytest.raises(ValueError, match="below the smallest mix"):
        at_random(groups, 10, seed)
