"""Tables of methods: on single matrices and on whole models, kept beside a model."""

import numpy as np
import pytest

from quantcore.evaluate.by_method import compare_methods_steps
from quantcore.evaluate.gptq_course import error_by_importance, follow_gptq
from quantcore.evaluate.measured import load as load_drifts
from quantcore.evaluate.measured_recipes import RECIPES
from quantcore.evaluate.measured_recipes import load as load_recipes
from quantcore.evaluate.method_drift import method_drift_steps
from quantcore.evaluate.method_table import TYPES, load_methods, method_table_steps
from quantcore.evaluate.recipes import Recipe
from quantcore.evaluate.text import calibration_text, cut, evaluation_text
from quantcore.formats import get_format
from quantcore.methods.inputs.calibration import calibrate
from quantcore.model.shipped import SHIPPED
from quantcore.model.source import open_model
from quantcore.progress import result_of
from tests.support.toy_model import write_folder

TENSOR = "blk.3.ffn_down.weight"


@pytest.fixture(scope="module")
def model():
    return open_model()


def test_a_table_is_kept_beside_its_model_and_refused_for_another(tmp_path):
    toy = open_model(write_folder(tmp_path / "toy"))
    types = {"INT4_G32_ASYM": ("rtn", "gptq"), "INT3_ROW": ("rtn", "hqq")}
    text = "the quick brown fox jumps over the lazy dog " * 30
    names = ["blk.0.attn_q.weight", "blk.1.ffn_down.weight"]
    table = result_of(method_table_steps(toy, names, types, text))
    made = [(row.tensor, row.asked, row.by) for row in table.rows]
    assert made == [  # HQQ has no groups in INT3_ROW
        (name, *each)
        for name in names
        for each in (("INT4_G32_ASYM", "rtn"), ("INT4_G32_ASYM", "gptq"), ("INT3_ROW", "rtn"))
    ]
    assert load_methods(toy) is None
    table.save(toy.path / "measured" / "methods.json")
    kept = load_methods(toy)
    assert [row.note for row in kept.rows] == [row.note for row in table.rows]
    assert kept.of(names[0], "INT3_ROW")[0].output_error == pytest.approx(
        table.of(names[0], "INT3_ROW")[0].output_error, rel=1e-4
    )
    other = open_model(write_folder(tmp_path / "other", seed=7))
    table.save(other.path / "measured" / "methods.json")
    assert load_methods(other) is None


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_table_is_of_the_shipped_weights(name):
    """One matrix again: the same text, by the methods that take a moment only."""
    shipped = open_model(name)
    table = load_methods(shipped)
    for tensor in {row.tensor for row in table.rows}:
        made = {(row.asked, row.by) for row in table.of(tensor)}
        able = {(asked, by) for asked, every in TYPES.items() for by in every}
        assert made == {(t, by) for t, by in able if by != "hqq" or t.startswith("INT")}
    again = result_of(compare_methods_steps(shipped, TENSOR, get_format("Q3_K"), ["rtn", "gptq"]))
    known = {row.by: row for row in table.of(TENSOR, "Q3_K")}
    for each in again.results:
        assert known[each.by].weight_error == pytest.approx(each.weight_error, rel=0.01)
        assert known[each.by].output_error == pytest.approx(each.output_error, rel=0.01)


@pytest.mark.parametrize("name", SHIPPED)
def test_calibration_beats_rounding_where_it_is_said_to(name):
    """GPTQ's output is nearer in every matrix and type, and its weights are further in most."""
    table = load_methods(open_model(name))
    pairs = [
        [next(r for r in table.of(t, asked) if r.by == by) for by in ("rtn", "gptq")]
        for t in {row.tensor for row in table.rows}
        for asked in TYPES
    ]
    assert all(gptq.output_error < rtn.output_error for rtn, gptq in pairs)
    assert np.mean([gptq.weight_error > rtn.weight_error for rtn, gptq in pairs]) > 0.9


def test_whole_models_are_measured_beside_rounding(model):
    recipes = [Recipe(type="INT3_G128_ASYM"), Recipe(type="INT3_G128_ASYM", by="gptq")]
    recipes += [Recipe(type="Q6_K")]
    text, seen = evaluation_text()[:9000], calibration_text()[:9000]
    plain, gptq, mix = result_of(method_drift_steps(model, recipes, text, 256, calibration=seen))
    assert gptq.more_low < gptq.more_than_rounding < gptq.more_high < 0
    assert gptq.more_than_rounding == pytest.approx(
        gptq.mean_kl_divergence - plain.mean_kl_divergence
    )
    assert plain.more_than_rounding is None and mix.mean_kl_divergence < 0.01
    assert plain.kl_low < plain.mean_kl_divergence < plain.kl_high
    assert plain.bits_per_weight == gptq.bits_per_weight
    with pytest.raises(ValueError, match="cannot both calibrate and judge"):
        method_drift_steps(model, recipes, text, 256, calibration=text)
    with pytest.raises(ValueError, match="Q4_K_M is a mix, which is made by rounding"):
        method_drift_steps(model, [Recipe(type="Q4_K_M", by="gptq")], text, 256)
    with pytest.raises(ValueError, match="HQQ"):  # it would be rounding by another name
        method_drift_steps(model, [Recipe(type="Q4_K pure", by="hqq")], text, 256)
    with pytest.raises(ValueError, match="no method called"):
        method_drift_steps(model, [Recipe(type="Q4_K", by="magic")], text, 256)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_whole_and_of_the_shipped_model(name):
    known = load_recipes(name)
    assert not known.stale
    assert [(row.type, row.by, row.with_imatrix) for row in known.rows] == [
        (each.type, each.by, each.with_imatrix) for each in RECIPES
    ]
    for row in known.rows:  # as matrix by matrix
        if row.by == "gptq":
            assert row.more_high < 0, row.type


def test_shipped_mixes_diverge_as_recipes_and_as_types_alike():
    """Pure types do not: a recipe has another embedding."""
    drifts = load_drifts().drifts
    mixes = {
        row.type: row for row in load_recipes().rows if not row.with_imatrix and row.by == "rtn"
    }
    for type in ("Q6_K", "Q4_K_M"):
        kl = drifts[type].mean_kl_divergence
        assert mixes[type].mean_kl_divergence == pytest.approx(kl, rel=1e-3), type


def test_a_course_is_that_of_gptq_and_of_rounding(model):
    fmt, weights = get_format("Q2_K"), model.weights(TENSOR)
    tokens = cut(model, calibration_text()[:6000], 256).inputs
    inputs = calibrate(model, tokens, [TENSOR], {"second_moment"})[TENSOR]
    course = follow_gptq(weights, fmt, inputs)
    whole = course.of(5)
    assert whole.pushed[-1] < whole.alone[-1] and len(whole.pushed) == 769
    assert course.at(5, 768).output_error == pytest.approx(whole.pushed[-1], rel=1e-3)
    one, two = course.closest()
    pair = course.pair(5, (one, two))
    differs = pair.nearest_each != pair.nearest_plane
    assert differs == (5 in course.rows_that_differ((one, two)))
    restored = {"rtn": course.plain, "gptq": course.restored}
    found = error_by_importance(weights, restored, inputs.mean_square, "rtn")
    assert found.errors["rtn"].mean() == pytest.approx(1.0, rel=0.01)
    assert (np.diff(found.importance) >= 0).all()
    assert found.errors["gptq"][0] > found.errors["gptq"][-1], "where inputs are small"
