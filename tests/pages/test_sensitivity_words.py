"""Sentences of the page Sensitivity follow the numbers, each case with its own."""

import math
from dataclasses import replace

import pytest

from pages.sensitivity.words import beside, run, skills, trust
from pages.sensitivity.words import costs as words
from pages.shared import sweeps
from quantcore.sensitivity.compare import GuideOrder, Sum, correlation_of, guide_orders
from quantcore.sensitivity.costs import Cost, costs, measures
from quantcore.sensitivity.estimate import SweepEstimate
from quantcore.sensitivity.guides import Guide
from quantcore.sensitivity.results import Sensitivity
from tests.support.sweep_results import DOWN, SOURCE, K, Q, cost, effect, results, skill_change

MEASURES = measures(results())
KL, PPL, TOP = (MEASURES[name] for name in ("divergence", "perplexity", "top token"))


def test_the_headline_says_worst_median_and_share():
    of_pieces = {Q: cost(0.001), K: cost(0.002), DOWN: cost(0.017)}
    said = words.headline("Q4_K", of_pieces, KL, "alone", None, "tensors")
    assert said == (
        "In **Q4_K**, **layer 1 ffn_down** alone costs 0.017 nats per token: 8.5 times the median "
        "and **85\u202f%** of the sum over all 3."
    )


@pytest.mark.parametrize(
    ("of_pieces", "measure", "part"),
    [
        ({Q: Cost(0.0, 0.0, 0.0), K: Cost(0, 0, 0)}, KL, "none of the 2 tensors moves the model"),
        ({Q: Cost(0.0, 0.0, 0.0)}, KL, "alone does not move the model at all; nothing else has"),
        ({Q: cost(0.1)}, KL, "nothing else has been measured yet"),
        ({Q: Cost(-0.02, -0.03, -0.01), K: cost(0.01)}, PPL, "moves perplexity by −2"),
        ({Q: Cost(0.02, -0.03, 0.05), K: cost(0.01)}, PPL, "even that may be chance"),
        ({Q: Cost(0.02, 0.02, 0.02), K: cost(0.01)}, TOP, "changes 2\u202f% of the first"),
        ({Q: cost(0.1), K: Cost(0, 0, 0), DOWN: Cost(0, 0, 0)}, KL, "the median is zero"),
    ],
)
def test_the_headline_has_a_sentence_for_each_case(of_pieces, measure, part):
    assert part in words.headline("Q4_K", of_pieces, measure, "alone", None, "tensors")


@pytest.mark.parametrize(
    ("left", "whole", "part"),
    [
        (0.02, Cost(0.1, 0.09, 0.11), "leaves 0.020 of 0.10 nats per token: it takes away **80"),
        (0.095, Cost(0.1, 0.09, 0.11), "no single one saves the model"),
        (0.02, None, "leaves least: 0.020 nats per token."),
    ],
)
def test_keeping_one_is_held_against_the_joint_effect(left, whole, part):
    of_pieces = {Q: cost(left), K: cost(0.1)}
    assert part in words.headline("Q4_K", of_pieces, KL, "kept", whole, "tensors")


def test_cells_of_kept_pieces_hold_the_share_that_is_saved():
    texts = words.cells({Q: cost(0.02), K: cost(0.12)}, KL, "kept", cost(0.1), 1e-3)
    assert texts == {Q: "80 %", K: "−20 %"}


def test_cells_count_parts_that_fit_the_middle():
    of_pieces = {Q: cost(2.5e-7), K: cost(3e-6), DOWN: cost(4.19e-4)}
    factor, part = words.unit(of_pieces.values(), KL)
    texts = words.cells(of_pieces, KL, "alone", None, factor)
    assert part == "millionths" and texts == {Q: "0.25", K: "3.0", DOWN: "419"}
    moved = {Q: Cost(-2e-6, -3e-6, 1e-6), K: cost(3e-6)}
    assert words.cells(moved, PPL, "alone", None, 1e-6) == {Q: "(−2.0)", K: "+3.0"}
    assert words.unit([Cost(0.1, 0.1, 0.1)], TOP) == (0.01, "percent")


def test_curves_say_how_many_bits_buy_the_same():
    heavy = {"Q2_K": (2.6, cost(0.1)), "Q4_K": (4.5, cost(0.01)), "Q8_0": (8.5, cost(1e-4))}
    light = {"Q2_K": (2.6, cost(0.02)), "Q4_K": (4.5, cost(1e-3)), "Q8_0": (8.5, cost(1e-6))}
    said = words.curves({DOWN: heavy, Q: light}, KL)
    assert "needs **Q4_K** to cost as little as layer 0 attn_q does in Q2_K: 4.5 bits" in said
    tiny = {name: (bits, cost(each.value / 1e6)) for name, (bits, each) in light.items()}
    assert words.curves({DOWN: heavy, Q: tiny}, KL).startswith("Even in Q8_0")
    alone = words.curves({DOWN: heavy}, KL)
    assert "1,000 times less" in alone and f"**{1000 ** (1 / 5.9):.1f}**" in alone
    assert "in Q2_K only" in words.curves({DOWN: {"Q2_K": (2.6, cost(0.1))}}, KL)
    worse = {"Q2_K": (2.6, cost(0.1)), "Q4_K": (4.5, cost(0.2))}
    assert "do not make" in words.curves({DOWN: worse}, KL)


def test_where_it_may_be_chance_curves_compare_nothing():
    line = {"Q2_K": (2.6, cost(0.01)), "Q4_K": (4.5, Cost(-1e-3, -2e-3, 1e-3))}
    said = words.curves({DOWN: line, Q: {"Q2_K": (2.6, cost(0.005))}}, PPL)
    assert said == (
        "**Layer 1 ffn_down** in Q2_K moves perplexity by +1\u202f%; from **Q4_K** on it may be "
        "chance."
    )
    of_pieces = {"0": cost(0.01), "1": Cost(-1e-3, -2e-3, 1e-3)}
    assert words.depth(of_pieces, {}, "Q4_K", PPL).endswith("1 of 2 layers may be chance.")
    assert words.roles(of_pieces, PPL).endswith("1 of 2 roles may be chance.")


def test_depth_names_the_layer_and_the_end_that_costs_more():
    layers = {"0": cost(0.01), "1": cost(0.04)}
    said = words.depth(layers, {"token_embd": cost(0.2)}, "Q4_K", KL)
    assert said == (
        "Of the layers, **layer 1** costs most: **4.0 times** as much as layer 0; the embedding "
        "costs 5.0 times as much as layer 1."
    )
    assert "about the same" in words.depth({"0": cost(0.01), "1": cost(0.011)}, {}, "Q4_K", KL)
    assert "the only layer measured" in words.depth({"0": cost(0.01)}, {}, "Q4_K", KL)
    still = {"0": cost(0.01), "1": Cost(0, 0, 0)}
    assert "costs most of the layers" in words.depth(still, {}, "Q4_K", KL)


def test_roles_name_the_worst_within_the_layers():
    of_pieces = {"token_embd": cost(1.0), "attn_q": cost(0.1), "ffn_down": cost(0.5)}
    said = words.roles(of_pieces, KL)
    assert "**the embedding** costs most" in said
    assert "**ffn_down** costs most and attn_q least" in said
    del of_pieces["token_embd"]
    assert words.roles(of_pieces, KL) == "Of the roles, **ffn_down** costs most and attn_q least."


@pytest.mark.parametrize(
    ("joint", "part"),
    [
        (Cost(0.1, 0.09, 0.12), "**within the interval**"),
        (Cost(0.2, 0.18, 0.22), "**48\u202f% less** than what was measured"),
        (Cost(0.05, 0.04, 0.06), "**110\u202f% more** than what was measured"),
    ],
)
def test_additivity_says_whether_it_may_be_added(joint, part):
    assert part in trust.additivity([Sum("Q4_K", 0.105, joint)], "Q4_K")
    assert part in trust.sums([Sum("Q4_K", 0.105, joint)], "Q4_K")[0]


def test_additivity_within_names_what_misses_most():
    of_pieces = [
        Sum("layer 0", 0.1, Cost(0.1, 0.09, 0.11)),
        Sum("ffn_up", 0.1, Cost(0.4, 0.3, 0.5)),
    ]
    said = trust.sums(of_pieces, "Q4_K")[0]
    assert (
        "In 1 of 2 layers and roles" in said and "**ffn_up** is furthest off, with **0.25" in said
    )


def test_the_end_of_a_sweep_is_said():
    assert "before anything" in run.cancelled(0)
    assert "1 result was kept" in run.cancelled(1) and "3 results were" in run.cancelled(3)
    said = run.failed_pieces(["a failed: no", "b failed: no"])
    assert said.startswith("a failed: no, and 1 more.")


def test_two_results_are_named_by_what_differs():
    named = beside.names_by_difference
    assert named(SOURCE, replace(SOURCE, model="other")) == ("toy", "other")
    assert named(SOURCE, replace(SOURCE, text="sea.txt")) == ("river.txt", "sea.txt")
    assert named(SOURCE, replace(SOURCE, imatrix_digest="x")) == ("without imatrix", "with imatrix")
    assert named(SOURCE, replace(SOURCE, by="gptq")) == ("by rounding", "by gptq")
    assert named(SOURCE, replace(SOURCE, tokens=512)) == ("4,096 tokens", "512 tokens")
    assert named(SOURCE, SOURCE) == ("the first", "the second")


def test_figures_of_a_method_are_called_so():
    chosen = replace(SOURCE, by="gptq")
    assert words.measured_on(chosen).endswith("are scored, stored by gptq.")
    assert "chosen" not in words.measured_on(SOURCE)
    assert sweeps.label_of(results()) + ", by gptq" == sweeps.label_of(Sensitivity(chosen))


def test_a_stage_says_what_was_measured():
    assert run.stage(effect(Q, 0.1)) == "Layer 0 attn_q in Q4_K"
    assert run.stage(effect("3", 0.1, group="layer", how="kept")) == (
        "Layer 3 kept, everything else in Q4_K"
    )
    assert run.stage(effect("all", 0.1, group="all")) == "All tensors in Q4_K"
    assert run.guide_stage(Q) == "Guides: layer 0 attn_q"


def test_skills_name_what_they_hang_on():
    made = results(
        effect(Q, 0.1, skills=(skill_change("facts", "hard", 0.5),
                               skill_change("recall", "easy", 0.01))),
        effect(DOWN, 0.2, skills=(skill_change("facts", "hard", 0.9, sure=False),
                                  skill_change("recall", "easy", 0.2))),
    )  # fmt: skip
    asked = {name: measure for name, measure in measures(made).items() if measure.skill}
    assert list(asked) == ["hard facts", "easy recall"]
    by_skill = {name: costs(made, "Q4_K", measure) for name, measure in asked.items()}
    said, how = skills.finding(by_skill, "Q4_K", "tensors", 2)
    assert said == (
        "In **Q4_K**, **hard facts** suffers most, from layer 0 attn_q: **0.50** nats per answer. "
        "1 other skill depends more on other tensors: easy recall, for example, on layer 1 "
        "ffn_down."
    )
    assert how.startswith("Both tensors.")
    chance = {"hard facts": {Q: Cost(0.5, -0.1, 0.9)}}
    assert "than chance" in skills.finding(chance, "Q4_K", "tensors", 1)[0]
    measure = asked["hard facts"]
    said = words.headline("Q4_K", by_skill["hard facts"], measure, "alone", None, "tensors")
    assert "takes 0.90 nats from right answers on hard facts" in said
    said = skills.answers(made.effects[0], measure, by_skill["hard facts"][Q])
    assert said.endswith("<br>hard facts: 12 of 20 right, the original 15")


def test_guides_that_lie_are_named_with_the_tensor():
    kl = {Q: 0.001, K: 0.01, DOWN: 0.1}
    guides = [
        Guide(name=name, format="Q4_K", weight_error=1 - i / 10, weighted_error=None,
              output_error=0.1 * i, fisher=value)
        for i, (name, value) in enumerate(kl.items())
    ]  # fmt: skip
    made = results(*(effect(name, value) for name, value in kl.items()), guides=guides)
    said = trust.guides(guide_orders(made, "Q4_K"), "Q4_K")
    assert "rank correlation **1.00**" in said
    assert "**Weight error** predicts it worst (−1.00)" in said
    assert "it puts layer 1 ffn_down 3rd of 3, but it is really 1st" in said
    order = GuideOrder("fisher", {}, 0.5, -0.25, {})
    assert trust.guide_title(order) == "<b>Fisher</b>  0.50; all formats −0.25"


def test_two_results_agree_or_do_not():
    first = {Q: cost(0.001), K: cost(0.01), DOWN: cost(0.1)}
    other = {Q: cost(0.001), K: cost(0.01), DOWN: cost(0.2)}
    said = beside.beside(first, other, correlation_of(first, other), ("here", "there"))
    assert "agree on the order: rank correlation **1.00**" in said
    assert said.endswith("; every tensor has the same place in both.")
    twice = {name: cost(2 * each.value) for name, each in first.items()}
    assert "costs 2.0 times as much in b" in beside.beside(first, twice, 1.0, ("a", "b"))
    assert "costs 2.0 times as much in a" in beside.beside(twice, first, 1.0, ("a", "b"))
    back = dict(zip(first, reversed(list(first.values())), strict=True))
    said = beside.beside(first, back, correlation_of(first, back), ("a", "b"))
    assert "do not agree" in said and "**−1.00**" in said
    assert "**Layer 0 attn_q** changes its place most: number 3 in a, number 1 in b." in said
    assert "in common" in beside.beside(first, {}, math.nan, ("a", "b"))


def _estimate(n_known=0, n_guides=0, core_seconds=180.0):
    return SweepEstimate(n_pieces=464, n_known=n_known, n_guides=n_guides, tokens=4096,
                         context=512, core_seconds=core_seconds)  # fmt: skip


def test_the_estimate_counts_what_is_left():
    assert run.estimate(_estimate(), False) == (
        "464 pieces, each about half a pass over 4,096 tokens in chunks of 512."
    )
    assert "400 of them known already, each" in run.estimate(_estimate(400), False)
    assert run.estimate(_estimate(464), False).endswith("already: nothing is left to measure.")
    assert run.estimate(_estimate(464, 30), False).endswith("and 30 guides left to compute.")
    said = run.estimate(_estimate(core_seconds=9e5), True)
    assert "about 250 hours of one core by estimate, shared among the workers" in said
