"""Recipes and what they cost: names, differences on the same tokens, what a file gives back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from quantcore import measure_drift
from quantcore.evaluate import skills
from quantcore.evaluate.intervals import block_sums, interval
from quantcore.evaluate.kept_recipes import find, keep
from quantcore.evaluate.method_drift import check_recipe, method_drift_steps
from quantcore.evaluate.recipes import (
    MethodDrift,
    from_json,
    get_recipe,
    paired,
    to_json,
)
from quantcore.evaluate.skills import SkillScore
from quantcore.model.source import open_model
from quantcore.progress import result_of
from tests.support.toy_model import write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 8
SEEN = "the quick brown fox jumps over the lazy dog " * 12
FIVE = ("INT4_G32_ASYM", "INT4_G32_ASYM by gptq", "INT4_G32_ASYM by hqq", "INT2_ROW", "Q8_0")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("recipes") / "toy"))


@pytest.fixture(scope="module")
def rows(toy):
    recipes = [get_recipe(name) for name in FIVE]
    return result_of(method_drift_steps(toy, recipes, TEXT, 64, calibration=SEEN))


def _row(kl, **more):
    """Make the row of a recipe whose divergence is given by chunk and token."""
    low, high = interval(kl)
    return MethodDrift(
        type="NF4", by="rtn", with_imatrix=False, bits_per_weight=4.0, context=2 * kl.shape[1],
        tokens_scored=kl.size, mean_kl_divergence=float(kl.mean()), mean_kl_divergence_error=0.0,
        perplexity_ratio=1.0, perplexity_ratio_error=0.0, same_top_token=1.0,
        same_top_token_error=0.0, kl_low=low, kl_high=high, more_than_rounding=None, more_low=None,
        more_high=None, kl_sums=tuple(map(tuple, block_sums(kl).tolist())), **more,
    )  # fmt: skip


def test_a_difference_is_that_of_the_tokens_and_surer_than_two_intervals():
    rng = np.random.default_rng(0)
    hard = rng.gamma(0.3, 1.0, (20, 250))  # the text's, which both recipes share
    gap = rng.normal(0.01, 0.02, hard.shape)
    one, other = _row(hard + gap), _row(hard)
    found = paired(one, other)
    assert found.mean == pytest.approx(gap.mean())
    assert (found.low, found.high) == pytest.approx(interval(gap))
    assert not found.is_tie and one.kl_low < other.kl_high, "alone, the intervals overlap"
    back = paired(other, one)
    assert (back.mean, back.low, back.high) == pytest.approx((-found.mean, -found.high, -found.low))
    assert paired(other, replace(other, by="gptq")).is_tie


def test_without_sums_only_rounding_to_the_same_type_is_compared():
    kl = np.random.default_rng(1).gamma(0.3, 1.0, (4, 64))
    plain = replace(_row(kl), kl_sums=None)
    ends = {"more_than_rounding": -0.2, "more_low": -0.3, "more_high": -0.1}
    gptq = replace(plain, by="gptq", **ends)
    assert paired(gptq, plain).high == -0.1 and paired(plain, gptq).low == 0.1
    assert paired(gptq, replace(plain, type="MXFP4")) is None
    assert paired(gptq, replace(plain, by="hqq")) is None


def test_what_is_kept_of_a_run_says_what_the_run_says(rows):
    for row in rows[1:3]:
        found = paired(row, rows[0])
        assert found.mean == pytest.approx(row.more_than_rounding, abs=1e-12)
        assert (found.low, found.high) == pytest.approx((row.more_low, row.more_high), abs=1e-12)
    for row in rows:
        sums = np.array(row.kl_sums)
        assert sums.sum() / row.tokens_scored == pytest.approx(row.mean_kl_divergence)
        assert row.seconds > 0 and row.skills is None
        assert row.base_perplexity == rows[0].base_perplexity > 1


@pytest.mark.parametrize("name", ["Q4_0", "Q5_K_M"])
def test_a_mix_diverges_as_its_type_does(toy, name):
    """The embedding and the output count: no method chooses for them, but a mix rounds them."""
    steps = method_drift_steps(toy, [get_recipe(name)], TEXT, 64, calibration=SEEN)
    (row,), drift = result_of(steps), measure_drift(toy, name, TEXT, 64)
    assert row.mean_kl_divergence == pytest.approx(drift.mean_kl_divergence, rel=1e-4)
    assert row.perplexity_ratio == pytest.approx(drift.perplexity_ratio, rel=1e-6)
    assert row.base_perplexity == pytest.approx(drift.base_perplexity, rel=1e-6)


def test_recipes_answer_the_questions_where_somebody_asks(toy, monkeypatch):
    asked = (("easy", "the fox", " jumps"), ("easy", "the dog", " sat"), ("hard", "over", " the"))
    few = [skills.Question("recall", *each) for each in asked]
    monkeypatch.setattr(skills, "shipped_questions", lambda: few)
    recipes = [get_recipe(name) for name in FIVE[:2]]
    steps = list(method_drift_steps(toy, recipes, TEXT, 64, calibration=SEEN, with_skills=True))
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[-1] == 1.0
    for row in steps[-1].known:
        assert [(each.level, each.total) for each in row.skills] == [("easy", 2), ("hard", 1)]


def test_a_row_comes_back_from_json_and_an_older_one_lacks_what_was_not_measured(rows):
    row = replace(rows[1], skills=(SkillScore("facts", "easy", 3, 4),))
    kept = json.loads(json.dumps(to_json(row)))
    again = from_json(kept)
    assert again.skills == row.skills and again.recipe == row.recipe
    assert np.allclose(again.kl_sums, row.kl_sums, rtol=1e-5)
    new = ("seconds", "base_perplexity", "kl_sums", "skills")
    older = from_json({name: value for name, value in kept.items() if name not in new})
    assert [getattr(older, name) for name in new] == [None] * 4
    for broken in ({"by": "magic"}, {"mean_kl_divergence": float("nan")}, {"unknown": 1}):
        with pytest.raises((TypeError, ValueError)):
            from_json(kept | broken)


@pytest.mark.parametrize(
    "name", [*FIVE, "Q4_K_M with imatrix", "Q4_K pure by gptq", "E8P2 by quip"]
)
def test_a_name_is_read_back(name):
    assert get_recipe(name).name == get_recipe(name.lower()).name == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Q4_K_M by gptq", "is a mix"),
        ("NF4 by magic", "no method called"),
        ("magic by gptq", "no type called"),
        ("NF4 with imatrix", "one format throughout"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(name, says):
    with pytest.raises(ValueError, match=says):
        get_recipe(name)


def test_a_recipe_that_does_not_suit_a_model_is_refused_before_any_work(toy):
    for name, says in {
        "Q4_K pure by gptq": "multiple of 256",
        "INT4_G128_ASYM by awq": "INT4_G128_ASYM by awq: .* 128",
        "Q8_0 with imatrix": "toy has no importance matrix",
    }.items():
        with pytest.raises(ValueError, match=says):
            check_recipe(toy, get_recipe(name))


def test_methods_that_round_inputs_are_measured_with_rounded_inputs(toy):
    names = ("INT8_ROW", "INT8_ROW by llm_int8", "INT8_ROW by smoothquant")
    steps = method_drift_steps(toy, [get_recipe(n) for n in names], TEXT, 64, calibration=SEEN)
    plain, llm, smooth = (row.mean_kl_divergence for row in result_of(steps))
    assert plain < llm < 20 * plain, "the weights are the same"
    assert plain < smooth < 20 * plain


def test_a_file_keeps_the_newest_of_each_recipe_and_of_one_model_only(rows, tmp_path):
    path = tmp_path / "toy.recipes.json"
    assert find(path) == {}
    keep(path, "one", rows[:2])
    keep(path, "one", [replace(rows[1], same_top_token=0.5), rows[2]])
    known = find(path, "one")
    assert list(known) == list(FIVE[:3]) and known[FIVE[1]].same_top_token == 0.5
    assert find(path, "other") == {}
    keep(path, "other", rows[3:])
    assert list(find(path)) == list(FIVE[3:])
    for damaged in ("{", '{"fingerprint": "one", "rows": [{}]}', '{"rows": 3}', "[]"):
        path.write_text(damaged)
        assert find(path) == {}
