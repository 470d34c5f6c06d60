"""Costs follow the effects: by measure, in the model's order, with what may be chance."""

import pytest

from quantcore import open_model
from quantcore.sensitivity.costs import (
    Cost,
    bits_per_weight,
    certain_losses,
    certain_values,
    costs,
    formats_by_size,
    impacts,
    joint_cost,
    measures,
)
from quantcore.sensitivity.effect import SkillChange
from quantcore.sensitivity.results import shipped
from tests.support.sweep_results import DOWN, K, Q, cost, effect, results, skill_change

KL, PPL, TOP = measures(results()).values()


def test_measures_read_their_figures():
    made = effect(Q, 0.5, perplexity_ratio=1.02, ratio_low=0.99, ratio_high=1.05,
                  same_top_token=0.9)  # fmt: skip
    assert KL.of(made) == cost(0.5) and not KL.signed
    moved = PPL.of(made)
    assert (moved.value, moved.low, moved.high) == pytest.approx((0.02, -0.01, 0.05))
    assert moved.by_chance and PPL.signed
    changed = TOP.of(made)
    assert changed.value == changed.low == changed.high == pytest.approx(0.1)


def test_skills_are_measures_where_they_were_asked():
    asked = SkillChange(skill="facts", level="hard", total=8, original_correct=7, correct=5,
                        log_probability_change=-0.5, change_low=-0.8, change_high=-0.1)  # fmt: skip
    made = results(effect(Q, 0.1, skills=(asked,)))
    assert list(measures(results())) == ["divergence", "perplexity", "top token"]
    measure = measures(made)["hard facts"]
    assert measure.of(made.effects[0]) == Cost(0.5, 0.1, 0.8)
    assert measure.skill_change(made.effects[0]) is asked
    with pytest.raises(ValueError, match="hard facts"):
        measure.of(effect(Q, 0.1))


def test_pieces_stand_in_the_models_order():
    names = ["output.weight", "blk.10.attn_q.weight", "blk.2.ffn_down.weight",
             "blk.2.attn_q.weight", "token_embd.weight"]  # fmt: skip
    made = results(*(effect(name, 0.1) for name in names))
    assert list(costs(made, "Q4_K")) == [
        "token_embd.weight", "blk.2.attn_q.weight", "blk.2.ffn_down.weight", "blk.10.attn_q.weight",
        "output.weight",
    ]  # fmt: skip
    layers = results(*(effect(str(n), 0.1, group="layer") for n in (10, 9, 2)))
    assert list(costs(layers, "Q4_K", group="layer")) == ["2", "9", "10"]


def test_costs_are_those_of_one_format_group_and_kind():
    made = results(
        effect(Q, 0.1),
        effect(Q, 0.2, fmt="Q8_0"),
        effect(K, 0.3, how="kept"),
        effect("attn_q", 0.4, group="role"),
        effect("all", 0.5, group="all"),
    )
    assert costs(made, "Q4_K") == {Q: cost(0.1)}
    assert costs(made, "Q4_K", KL, "tensor", "kept") == {K: cost(0.3)}
    assert costs(made, "Q4_K", KL, "role") == {"attn_q": cost(0.4)}
    assert joint_cost(made, "Q4_K") == cost(0.5) and joint_cost(made, "Q8_0") is None


def test_what_is_saved_is_the_joint_effect_less_what_is_left():
    of_pieces = {Q: cost(0.02), K: cost(0.12)}
    assert impacts(of_pieces, "kept", cost(0.1)) == {
        Q: pytest.approx(0.08),
        K: pytest.approx(0.00008),  # more than the joint effect by chance: nothing is saved
    }
    assert impacts(of_pieces, "kept", None)[Q] == pytest.approx(0.1)


def test_what_may_be_chance_is_nothing_and_a_gain_keeps_its_sign():
    of_pieces = {Q: Cost(0.5, -0.1, 0.9), K: Cost(-0.2, -0.3, -0.1), DOWN: cost(0.4)}
    assert certain_values(of_pieces) == {Q: 0.0, K: -0.2, DOWN: 0.4}


def test_pieces_that_surely_cost_a_skill_come_first_in_their_own_order():
    by_skill = {
        "facts": {Q: Cost(0.9, -0.1, 2.0), K: cost(0.2), DOWN: cost(0.1)},
        "recall": {Q: cost(0.01), K: cost(0.1), DOWN: cost(0.5)},
    }
    assert certain_losses(by_skill, 2) == [K, DOWN]
    by_skill["chain"] = {Q: Cost(-5.0, -9.0, -4.0), K: cost(0.1), DOWN: cost(0.1)}  # Q gains
    assert certain_losses(by_skill, 2) == [K, DOWN]
    assert certain_losses(by_skill, 9) == [Q, K, DOWN]


def test_formats_go_by_their_bytes_and_bits_count_scales():
    measured, model = shipped(), open_model()
    formats = formats_by_size(measured)
    assert formats[0] == "Q2_K" and formats[-1] == "Q8_0" and len(formats) == 8
    name = "blk.3.ffn_down.weight"
    assert bits_per_weight(measured, model, name, "Q4_K") == 4.5
    with pytest.raises(ValueError, match="was not measured in Q4_0"):
        bits_per_weight(measured, model, name, "Q4_0")


def test_a_skill_change_that_may_be_chance_holds_zero():
    sure, unsure = (effect(Q, 0.1, skills=(skill_change("facts", "hard", 0.5, sure=each),))
                    for each in (True, False))  # fmt: skip
    measure = measures(results(sure))["hard facts"]
    assert not measure.of(sure).by_chance and measure.of(unsure).by_chance
