"""Costs and sentences of the page Sensitivity follow the numbers, each case with its own."""

import math
from dataclasses import replace

import pytest

from pages.sensitivity import costs as figures
from pages.sensitivity import run_words, two_words, words
from pages.sensitivity import skills as sensitivity_skills
from pages.sensitivity import trust_words as trust
from pages.sensitivity.costs import Cost, Followed, Sum
from pages.sensitivity.setup import Plan
from pages.shared import (
    shipped,
)
from quantcore import open_model
from quantcore.sensitivity.effect import Effect, SkillChange
from quantcore.sensitivity.guides import Guide
from quantcore.sensitivity.results import Sensitivity, Source, guide_ranks

SOURCE = Source(
    model="toy", fingerprint="f", text="river.txt", text_digest="d", context=64, tokens=4096,
    tokens_scored=2016, questions=0, imatrix_digest="",
)  # fmt: skip
Q, K, DOWN = "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.1.ffn_down.weight"


def _effect(name, kl, *, fmt="Q4_K", group="tensor", how="alone", bytes=100, **more):
    given = dict(
        group=group, name=name, how=how, format=fmt, bytes=bytes, mean_kl_divergence=kl,
        kl_low=0.9 * kl, kl_high=1.1 * kl, perplexity=2.0, perplexity_ratio=1.0,
        ratio_low=1.0, ratio_high=1.0, same_top_token=1.0,
    )  # fmt: skip
    return Effect(**given | more)


def _results(*effects, guides=()):
    found = Sensitivity(SOURCE)
    for effect in effects:
        found.add(effect)
    for guide in guides:
        found.add_guide(guide)
    return found


def _exact(value):
    return Cost(value, 0.9 * value, 1.1 * value)


MEASURES = figures.measures(_results())
KL, PPL, TOP = (MEASURES[name] for name in ("divergence", "perplexity", "top token"))


def test_the_headline_says_worst_median_and_share():
    found = {Q: _exact(0.001), K: _exact(0.002), DOWN: _exact(0.017)}
    said = words.headline("Q4_K", found, KL, "alone", None, "tensors")
    assert said == (
        "In **Q4_K**, **layer 1 ffn_down** alone costs 0.017 nats a token: 8.5 times the median "
        "and **85\u202f%** of the sum over all 3."
    )


@pytest.mark.parametrize(
    ("found", "measure", "part"),
    [
        ({Q: Cost(0.0, 0.0, 0.0)}, KL, "none of the tensors moves the model"),
        ({Q: _exact(0.1)}, KL, "nothing else is measured yet"),
        ({Q: Cost(-0.02, -0.03, -0.01), K: _exact(0.01)}, PPL, "moves perplexity by −2"),
        ({Q: Cost(0.02, -0.03, 0.05), K: _exact(0.01)}, PPL, "even that may be chance"),
        ({Q: Cost(0.02, 0.02, 0.02), K: _exact(0.01)}, TOP, "changes 2\u202f% of the first"),
        ({Q: _exact(0.1), K: Cost(0, 0, 0), DOWN: Cost(0, 0, 0)}, KL, "the median is zero"),
    ],
)
def test_the_headline_has_a_sentence_for_each_case(found, measure, part):
    assert part in words.headline("Q4_K", found, measure, "alone", None, "tensors")


@pytest.mark.parametrize(
    ("left", "whole", "part"),
    [
        (0.02, Cost(0.1, 0.09, 0.11), "leaves 0.020 of 0.10 nats a token: it takes away **80"),
        (0.095, Cost(0.1, 0.09, 0.11), "no single one saves the model"),
        (0.02, None, "leaves least: 0.020 nats a token."),
    ],
)
def test_keeping_one_is_held_against_the_joint_effect(left, whole, part):
    found = {Q: _exact(left), K: _exact(0.1)}
    assert part in words.headline("Q4_K", found, KL, "kept", whole, "tensors")


def test_what_is_saved_is_the_joint_effect_less_what_is_left():
    found = {Q: _exact(0.02), K: _exact(0.12)}
    assert figures.weights_of(found, "kept", _exact(0.1)) == {
        Q: pytest.approx(0.08),
        K: pytest.approx(0.00008),  # more than the whole by chance: nothing is saved
    }
    texts = words.cells(found, KL, "kept", _exact(0.1), 1e-3)
    assert texts == {Q: "80 %", K: "−20 %"}


def test_cells_count_parts_that_fit_the_middle():
    found = {Q: _exact(2.5e-7), K: _exact(3e-6), DOWN: _exact(4.19e-4)}
    factor, part = words.unit(found.values(), KL)
    texts = words.cells(found, KL, "alone", None, factor)
    assert part == "millionths" and texts == {Q: "0.25", K: "3.0", DOWN: "419"}
    moved = {Q: Cost(-2e-6, -3e-6, 1e-6), K: _exact(3e-6)}
    assert words.cells(moved, PPL, "alone", None, 1e-6) == {Q: "(−2.0)", K: "+3.0"}
    assert words.unit([Cost(0.1, 0.1, 0.1)], TOP) == (0.01, "percent")


def test_curves_say_how_many_bits_buy_the_same():
    heavy = {"Q2_K": (2.6, _exact(0.1)), "Q4_K": (4.5, _exact(0.01)), "Q8_0": (8.5, _exact(1e-4))}
    light = {"Q2_K": (2.6, _exact(0.02)), "Q4_K": (4.5, _exact(1e-3)), "Q8_0": (8.5, _exact(1e-6))}
    said = words.curves({DOWN: heavy, Q: light}, KL)
    assert "needs **Q4_K** to cost as little as layer 0 attn_q does in Q2_K: 4.5 bits" in said
    tiny = {name: (bits, _exact(cost.value / 1e6)) for name, (bits, cost) in light.items()}
    assert words.curves({DOWN: heavy, Q: tiny}, KL).startswith("Even in Q8_0")
    alone = words.curves({DOWN: heavy}, KL)
    assert "1,000 times less" in alone and f"**{1000 ** (1 / 5.9):.1f}**" in alone
    assert "in Q2_K only" in words.curves({DOWN: {"Q2_K": (2.6, _exact(0.1))}}, KL)
    worse = {"Q2_K": (2.6, _exact(0.1)), "Q4_K": (4.5, _exact(0.2))}
    assert "do not make" in words.curves({DOWN: worse}, KL)


def test_where_it_may_be_chance_curves_compare_nothing():
    line = {"Q2_K": (2.6, _exact(0.01)), "Q4_K": (4.5, Cost(-1e-3, -2e-3, 1e-3))}
    said = words.curves({DOWN: line, Q: {"Q2_K": (2.6, _exact(0.005))}}, PPL)
    assert said == (
        "**Layer 1 ffn_down** in Q2_K moves perplexity by +1\u202f%; from **Q4_K** on it may be "
        "chance."
    )
    found = {"0": _exact(0.01), "1": Cost(-1e-3, -2e-3, 1e-3)}
    assert words.depth(found, {}, "Q4_K", PPL).endswith("1 of 2 layers may be chance.")
    assert words.roles(found, PPL).endswith("1 of 2 roles may be chance.")


def test_depth_names_the_layer_and_the_end_that_costs_more():
    layers = {"0": _exact(0.01), "1": _exact(0.04)}
    said = words.depth(layers, {"token_embd": _exact(0.2)}, "Q4_K", KL)
    assert said == (
        "Over depth, **layer 1** costs most: **4.0 times** layer 0; the embedding costs 5.0 times "
        "as much as that."
    )
    assert "about the same" in words.depth({"0": _exact(0.01), "1": _exact(0.011)}, {}, "Q4_K", KL)
    assert "costs most of the layers" in words.depth({"0": _exact(0.01)}, {}, "Q4_K", KL)


def test_roles_name_the_worst_within_the_layers():
    found = {"token_embd": _exact(1.0), "attn_q": _exact(0.1), "ffn_down": _exact(0.5)}
    said = words.roles(found, KL)
    assert "the **embedding** costs most" in said and "**ffn_down** does, and attn_q least" in said
    del found["token_embd"]
    assert words.roles(found, KL) == "By role, **ffn_down** costs most and attn_q least."


def _guided():
    """Make results with a guide that is right, and one that ranks backwards."""
    kl = {Q: 0.001, K: 0.01, DOWN: 0.1}
    guides = [
        Guide(name=name, format="Q4_K", weight_error=1 - i / 10, weighted_error=None,
              output_error=0.1 * i, fisher=value)
        for i, (name, value) in enumerate(kl.items())
    ]  # fmt: skip
    return _results(*(_effect(name, value) for name, value in kl.items()), guides=guides)


def test_guides_that_lie_are_named_with_the_tensor():
    results = _guided()
    found = figures.followed(results, "Q4_K", guide_ranks(results))
    by_name = {each.guide: each for each in found}
    assert set(by_name) == {"weight_error", "output_error", "fisher"}  # none had an importance
    assert by_name["fisher"].correlation == pytest.approx(1) and not by_name["fisher"].astray
    assert by_name["weight_error"].correlation == pytest.approx(-1)
    assert by_name["weight_error"].places[DOWN] == (3, 1)
    said = trust.guides(found, "Q4_K")
    assert "rank correlation **1.00**" in said and "**Weight error** does not (−1.00)" in said
    assert "it ranks layer 1 ffn_down 3rd of 3, in truth it is 1st" in said


def test_ranks_are_those_of_the_engine():
    results = shipped.sensitivity()
    for format_name in results.formats:
        expected = guide_ranks(results, format_name)
        found = figures.followed(results, format_name, guide_ranks(results))
        assert {each.guide: each.correlation for each in found} == pytest.approx(expected)


def test_sums_leave_out_what_is_below_zero_and_formats_that_are_not_whole():
    whole = _results(
        _effect(Q, 0.03), _effect(K, -0.01), _effect("all", 0.04, group="all", bytes=200)
    )
    (found,) = figures.sums_by_format(whole)
    assert found.total == pytest.approx(0.03) and found.ratio.value == pytest.approx(0.75)
    assert found.ratio.low == pytest.approx(0.03 / 0.044)
    part = _results(_effect(Q, 0.03), _effect(K, 0.01), _effect("all", 0.04, group="all",
                                                                bytes=300))  # fmt: skip
    assert figures.sums_by_format(part) == []


def test_the_shipped_sums_are_those_of_a_budget():
    results, model = shipped.sensitivity(), open_model()
    for found in figures.sums_by_format(results):
        single = [results.effect(name, found.label) for name in model.quantizable]
        assert found.total == pytest.approx(sum(max(e.mean_kl_divergence, 0) for e in single))
        assert found.joint.value == results.effect("all", found.label, "all").mean_kl_divergence
    layers = figures.sums_by_group(results, model, "Q4_K")
    mine = next(each for each in layers if each.label == "layer 3")
    assert mine.total == pytest.approx(
        sum(results.effect(n, "Q4_K").mean_kl_divergence for n in model.quantizable
            if n.startswith("blk.3."))
    )  # fmt: skip
    assert not any(each.label == "embedding" for each in layers)  # one tensor: nothing to add


@pytest.mark.parametrize(
    ("joint", "part"),
    [
        (Cost(0.1, 0.09, 0.12), "**within the interval**"),
        (Cost(0.2, 0.18, 0.22), "**48\u202f% less** than the truth"),
        (Cost(0.05, 0.04, 0.06), "**110\u202f% more** than the truth"),
    ],
)
def test_additivity_says_whether_it_may_be_added(joint, part):
    assert part in trust.additivity([Sum("Q4_K", 0.105, joint)], "Q4_K")
    assert part in trust.sums([Sum("Q4_K", 0.105, joint)], "Q4_K")[0]


def test_additivity_within_names_what_misses_most():
    found = [Sum("layer 0", 0.1, Cost(0.1, 0.09, 0.11)), Sum("ffn_up", 0.1, Cost(0.4, 0.3, 0.5))]
    said = trust.sums(found, "Q4_K")[0]
    assert "In 1 of 2 layers and roles" in said and "**ffn_up** misses most, with **0.25" in said


def test_two_results_agree_or_do_not():
    first = {Q: _exact(0.001), K: _exact(0.01), DOWN: _exact(0.1)}
    other = {Q: _exact(0.001), K: _exact(0.01), DOWN: _exact(0.2)}
    rank = figures.correlation(first, other)
    said = two_words.beside(first, other, rank, ("here", "there"))
    assert rank == pytest.approx(1) and "agree on the order: rank correlation **1.00**" in said
    assert said.endswith("; every tensor has the same place in both.")
    assert two_words.apart(first, other)[0] == DOWN
    twice = {name: _exact(2 * cost.value) for name, cost in first.items()}
    assert "costs 2.0 times as much in b" in two_words.beside(first, twice, 1.0, ("a", "b"))
    assert "costs 2.0 times as much in a" in two_words.beside(twice, first, 1.0, ("a", "b"))
    back = dict(zip(first, reversed(list(first.values())), strict=True))
    said = two_words.beside(first, back, figures.correlation(first, back), ("a", "b"))
    assert "do not agree" in said
    assert "**Layer 0 attn_q** changes its place most: number 3 in a, number 1 in b." in said
    assert math.isnan(figures.correlation(first, {Q: _exact(1.0)}))
    assert "in common" in two_words.beside(first, {}, math.nan, ("a", "b"))


def test_skills_are_measures_where_they_were_asked():
    asked = SkillChange(skill="facts", level="hard", total=8, original_correct=7, correct=5,
                        log_probability_change=-0.5, change_low=-0.8, change_high=-0.1)  # fmt: skip
    results = _results(_effect(Q, 0.1, skills=(asked,)))
    assert list(MEASURES) == ["divergence", "perplexity", "top token"]
    measure = figures.measures(results)["hard facts"]
    assert measure.of(results.effects[0]) == Cost(0.5, 0.1, 0.8)
    said = words.headline("Q4_K", figures.costs(results, "Q4_K", measure), measure, "alone", None,
                          "tensors")  # fmt: skip
    assert "takes 0.50 nats from right answers on hard facts" in said


def test_pieces_stand_in_the_models_order():
    names = ["output.weight", "blk.10.attn_q.weight", "blk.2.ffn_down.weight",
             "blk.2.attn_q.weight", "token_embd.weight"]  # fmt: skip
    results = _results(*(_effect(name, 0.1) for name in names))
    assert list(figures.costs(results, "Q4_K", KL)) == [
        "token_embd.weight", "blk.2.attn_q.weight", "blk.2.ffn_down.weight", "blk.10.attn_q.weight",
        "output.weight",
    ]  # fmt: skip


def test_the_estimate_counts_what_is_left():
    plan = Plan(pieces=464, known=0, tokens=4096, context=512, threads=2, seconds=180,
                elsewhere=False)  # fmt: skip
    said = run_words.estimate(plan)
    assert said.startswith("464 pieces, each about half a pass over 4,096 tokens")
    assert "about **90 s**" in said or "about **2 min**" in said
    some = Plan(464, 400, 4096, 512, 2, 20, False)
    assert "400 of them known already" in run_words.estimate(some)
    assert "nothing is left" in run_words.estimate(Plan(464, 464, 4096, 512, 2, 0, False))
    assert "shared among the workers" in run_words.estimate(Plan(9, 0, 4096, 512, 2, 9e5, True))


def test_the_end_of_a_sweep_is_said():
    assert "before anything" in run_words.cancelled(0)
    assert "3 pieces are kept" in run_words.cancelled(3)
    said = run_words.failed_pieces(["a failed: no", "b failed: no"])
    assert said.startswith("a failed: no, and 1 more.")


def test_what_the_places_of_a_guide_mean():
    each = Followed("fisher", {}, 0.5, -0.25, {Q: (1, 3), K: (2, 2), DOWN: (3, 1)})
    assert each.astray == [DOWN, Q]
    assert trust.guide_title(each) == "<b>Fisher</b>  0.50; all formats −0.25"


def _asked(skill, level, change, sure=True):
    return SkillChange(
        skill=skill, level=level, total=20, original_correct=15, correct=12,
        log_probability_change=-change, change_low=-2 * change,
        change_high=-change / 2 if sure else change,
    )  # fmt: skip


def test_skills_name_what_they_hang_on():
    results = _results(
        _effect(Q, 0.1, skills=(_asked("facts", "hard", 0.5), _asked("recall", "easy", 0.01))),
        _effect(DOWN, 0.2, skills=(_asked("facts", "hard", 0.9, sure=False),
                                   _asked("recall", "easy", 0.2))),
    )  # fmt: skip
    skills = {n: m for n, m in figures.measures(results).items() if m.is_skill}
    assert list(skills) == ["hard facts", "easy recall"]
    found = {n: figures.costs(results, "Q4_K", m) for n, m in skills.items()}
    said, how = sensitivity_skills.finding(found, "Q4_K", "tensors", 2)
    assert said == (
        "In **Q4_K**, **hard facts** loses most, to layer 0 attn_q: **0.50** nats an answer; 1 "
        "skill hangs more on another, as easy recall on layer 1 ffn_down."
    )
    assert how.startswith("All 2 tensors.")
    chance = {"hard facts": {Q: Cost(0.5, -0.1, 0.9)}}
    assert "than chance" in sensitivity_skills.finding(chance, "Q4_K", "tensors", 1)[0]


def test_what_may_be_chance_has_no_colour():
    found = {Q: Cost(0.5, -0.1, 0.9), K: Cost(-0.2, -0.3, -0.1), DOWN: _exact(0.4)}
    weight = figures.weights_of(found, "alone", None, sure=True)
    assert weight == pytest.approx({Q: 0.36e-3, K: 0.1, DOWN: 0.36})


def test_two_results_are_named_by_what_differs():
    named = two_words.told_apart
    assert named(SOURCE, replace(SOURCE, model="other")) == ("toy", "other")
    assert named(SOURCE, replace(SOURCE, text="sea.txt")) == ("river.txt", "sea.txt")
    assert named(SOURCE, replace(SOURCE, imatrix_digest="x")) == ("without imatrix", "with imatrix")
    assert named(SOURCE, replace(SOURCE, tokens=512)) == ("4,096 tokens", "512 tokens")
    assert named(SOURCE, SOURCE) == ("the first", "the second")


def test_a_stage_says_what_was_measured():
    assert run_words.stage(_effect(Q, 0.1)) == "Layer 0 attn_q in Q4_K"
    assert run_words.stage(_effect("3", 0.1, group="layer", how="kept")) == (
        "Layer 3 kept, all else in Q4_K"
    )
    assert run_words.stage(_effect("all", 0.1, group="all")) == "All tensors in Q4_K"
    assert run_words.guide_stage(Q) == "Guides: layer 0 attn_q"
