"""What can be trusted: sums against joint effects, guides and other results against these."""

import math

import pytest

from quantcore import open_model
from quantcore.sensitivity.compare import (
    GuideOrder,
    correlation_of,
    guide_orders,
    off_the_median_ratio,
    sums_by_format,
    sums_by_group,
)
from quantcore.sensitivity.guides import Guide
from quantcore.sensitivity.results import guide_ranks, shipped
from tests.support.sweep_results import DOWN, K, Q, cost, effect, results


def test_sums_leave_out_what_is_below_zero_and_formats_that_are_not_whole():
    whole = results(effect(Q, 0.03), effect(K, -0.01), effect("all", 0.04, group="all", bytes=200))
    (sums,) = sums_by_format(whole)
    assert sums.total == pytest.approx(0.03) and sums.ratio.value == pytest.approx(0.75)
    assert sums.ratio.low == pytest.approx(0.03 / 0.044)
    part = results(effect(Q, 0.03), effect(K, 0.01), effect("all", 0.04, group="all", bytes=300))
    assert sums_by_format(part) == []


def test_the_shipped_sums_are_those_of_a_budget():
    measured, model = shipped(), open_model()
    sums = sums_by_format(measured)
    assert len(sums) == 8
    for each in sums:
        single = [measured.effect(name, each.name) for name in model.quantizable]
        assert each.total == pytest.approx(sum(max(e.mean_kl_divergence, 0) for e in single))
        assert each.joint.value == measured.effect("all", each.name, "all").mean_kl_divergence
    groups = {each.name: each for each in sums_by_group(measured, model, "Q4_K")}
    for name, members in (("3", "blk.3."), ("ffn_up", ".ffn_up.")):
        assert groups[name].total == pytest.approx(
            sum(measured.effect(n, "Q4_K").mean_kl_divergence for n in model.quantizable
                if members in n)
        )  # fmt: skip
    assert "token_embd" not in groups  # one tensor: nothing to add


def _guided():
    """Make results with a guide that is right, and one that ranks backwards."""
    kl = {Q: 0.001, K: 0.01, DOWN: 0.1}
    guides = [
        Guide(name=name, format="Q4_K", weight_error=1 - i / 10, weighted_error=None,
              output_error=0.1 * i, fisher=value)
        for i, (name, value) in enumerate(kl.items())
    ]  # fmt: skip
    return results(*(effect(name, value) for name, value in kl.items()), guides=guides)


def test_guides_are_ranked_beside_the_measurement():
    by_name = {each.guide: each for each in guide_orders(_guided(), "Q4_K")}
    assert set(by_name) == {"weight_error", "output_error", "fisher"}  # none had an importance
    assert by_name["fisher"].correlation == pytest.approx(1) and not by_name["fisher"].misplaced
    assert by_name["weight_error"].correlation == pytest.approx(-1)
    assert by_name["weight_error"].ranks[DOWN] == (3, 1)
    assert guide_orders(_guided(), "Q8_0") == []


def test_correlations_are_those_of_all_results():
    measured = shipped()
    over_all = guide_ranks(measured)
    for format_name in measured.formats:
        orders = guide_orders(measured, format_name)
        assert {each.guide: each.correlation for each in orders} == pytest.approx(
            guide_ranks(measured, format_name)
        )
        assert {each.guide: each.over_all_formats for each in orders} == pytest.approx(over_all)


def test_tensors_are_misplaced_by_the_distance_of_their_ranks():
    each = GuideOrder("fisher", {}, 0.5, -0.25, {Q: (1, 3), K: (2, 2), DOWN: (3, 1)})
    assert each.misplaced == [DOWN, Q]


def test_two_results_are_compared_over_what_both_have():
    first = {Q: cost(0.001), K: cost(0.01), DOWN: cost(0.1)}
    other = {Q: cost(0.001), K: cost(0.01), DOWN: cost(0.2)}
    assert correlation_of(first, other) == pytest.approx(1)
    back = dict(zip(first, reversed(list(first.values())), strict=True))
    assert correlation_of(first, back) == pytest.approx(-1)
    assert math.isnan(correlation_of(first, {Q: cost(1.0)}))
    assert off_the_median_ratio(first, other)[0] == DOWN
    assert off_the_median_ratio(first, {Q: cost(0.0), K: cost(1.0)}) == [K]
    assert off_the_median_ratio(first, {}) == []
