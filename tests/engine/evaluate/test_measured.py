"""What lies beside the shipped model was measured: some of it is measured again."""

import json

import numpy as np
import pytest

from quantcore import get_type, open_model, plan, tensor_error
from quantcore.evaluate import measured
from quantcore.evaluate.drift import compare
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.skills import shipped_questions, skill_steps
from quantcore.evaluate.text import Chunks, cut, evaluation_text
from quantcore.formats import DEFAULTS, FORMATS, OUTSIDE_GGUF, UNAIDED
from quantcore.model.shipped import ASSETS
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.types import mix_needs_imatrix, mixes_for

N_CHUNKS = 3


@pytest.fixture(scope="module")
def results():
    return measured.load()


@pytest.fixture(scope="module")
def model():
    return open_model()


def test_it_is_of_the_model_and_text_that_ship(results):
    assert not results.stale, "run python -m quantcore measure"
    assert tuple(results.drifts) == tuple(results.skills) == measured.TYPES
    assert tuple(results.continuations) == measured.TYPES
    assert set(results.errors) == set(measured.ERROR_FORMATS)
    assert set(results.matrix_errors) == set(measured.MATRIX_FORMATS)
    assert all(drift.type == name == get_type(name).name for name, drift in results.drifts.items())


def test_what_the_pages_show_at_first_was_measured():
    """Mixes and single formats, and everything that is published of a large model."""
    for pure in (False, True):
        assert {get_type(name, pure).name for name in DEFAULTS} <= set(measured.TYPES)
    published = json.loads((ASSETS / "published.json").read_text(encoding="utf-8"))
    assert {row["format"] for row in published["formats"]} <= set(measured.TYPES)
    assert set(measured.SELECTED) < set(measured.TYPES)


def test_every_mix_and_every_format_was_measured(model):
    """But for the mix for experts, and formats that no matrix allows on every tensor."""
    assert set(mixes_for(model)) - set(measured.MIXES) == {"MXFP4_MOE"}
    throughout = {get_type(name, pure=True).name for name in (*UNAIDED, *OUTSIDE_GGUF)}
    assert throughout <= set(measured.TYPES)
    assert {name for name, fmt in FORMATS.items() if fmt.needs_importance} == (
        set(measured.MATRIX_FORMATS) - set(measured.ERROR_FORMATS)
    )


def test_sizes_are_those_of_the_plan(results, model):
    for name in measured.MIXES:
        aided = mix_needs_imatrix(model, FILE_TYPES[name])
        assert results.drifts[name].weights_bytes == plan(model, name, imatrix=aided).bytes
    for name in map(get_type, DEFAULTS):
        pure = results.drifts[name.pure.name]
        assert pure.weights_bytes == model.stored_bytes(name.format.name)


def test_a_mix_stays_closer_than_its_format_throughout(results):
    for mix, pure in (("Q4_K_M", "Q4_K pure"), ("Q2_K", "Q2_K pure"), ("Q4_K_M", "Q4_K_S")):
        assert results.drifts[mix].mean_kl_divergence < results.drifts[pure].mean_kl_divergence
        assert results.drifts[mix].weights_bytes > results.drifts[pure].weights_bytes


@pytest.mark.parametrize("type", ["Q2_K", "Q2_K pure", "INT4_TENSOR", "IQ2_XXS", "NF4"])
def test_drift_by_token_comes_out_again(results, model, type):
    few = slice(N_CHUNKS)
    chunks = cut(model, evaluation_text(), measured.CONTEXT)
    chunks = Chunks(chunks.tokens[few], chunks.inputs[few], chunks.starts[few])
    *_, last = compare(model, {type: type}, chunks)
    again, kept = last.result.drifts[type].per_token, results.drifts[type].per_token
    here = slice(len(again.kl))
    np.testing.assert_array_equal(kept.token[here], again.token)
    np.testing.assert_array_equal(kept.start[here], again.start)
    np.testing.assert_allclose(kept.nll[here], again.nll, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(kept.base_nll[here], again.base_nll, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(kept.kl[here], again.kl, rtol=2e-3, atol=1e-4)
    # Two tokens as probable as each other may change places on another machine.
    assert np.mean(kept.top_token[here] == again.top_token) > 0.999


def test_figures_are_those_of_the_tokens(results):
    for drift in results.drifts.values():
        tokens, scored = drift.per_token, drift.per_token.scored
        assert drift.tokens_scored == scored.sum()
        kl = tokens.kl[scored].mean(dtype=float)
        assert kl == pytest.approx(drift.mean_kl_divergence, rel=2e-3, abs=1e-6)
        perplexity = np.exp(tokens.nll[scored].mean(dtype=float))
        assert perplexity == pytest.approx(drift.perplexity, rel=1e-3)
        assert drift.kl_percentiles[99] <= drift.kl_percentiles[99.9] <= drift.max_kl_divergence


def test_errors_of_tensors_come_out_again(results, model):
    for name in ("Q4_0", "INT8_G128", "NVFP4_TENSOR"):
        row = results.errors[name][5]
        again = tensor_error(model.weights(row.name), name)
        assert (row.name, row.format) == (model.quantizable[5], name)
        assert row.relative_rmse == pytest.approx(again.relative_rmse, rel=1e-5)
        assert row.max_abs_error == pytest.approx(again.max_abs_error, rel=1e-5)
    assert results.errors["F32"][0].sqnr_db == np.inf


def test_errors_with_the_matrix_come_out_again(results, model):
    known = [name for name in model.quantizable if name in model.imatrix.sums]
    for name in ("Q4_K", "IQ2_XXS"):
        assert [row.name for row in results.matrix_errors[name]] == known
        row = results.matrix_errors[name][5]
        again = tensor_error(model.weights(row.name), name, model.imatrix.importance(row.name))
        assert row.relative_rmse == pytest.approx(again.relative_rmse, rel=1e-5)


def test_one_row_of_skills_comes_out_again(results, model):
    mine = [q for q in shipped_questions() if (q.skill, q.level) == ("facts", "easy")]
    for type in ("Q2_K", "IQ1_S"):
        *_, last = skill_steps(model, llama_of(model, type), mine)
        (again,) = last.result
        (kept,) = (s for s in results.skills[type] if (s.skill, s.level) == ("facts", "easy"))
        assert abs(again.correct - kept.correct) <= 1
        assert again.total == kept.total


def test_continuations_part_where_they_say(results):
    for row in results.continuations.values():
        at = row.parting.at if row.parting else None
        assert row.original[:at] == row.quantized[:at]
        if row.parting:
            assert (row.original[at], row.quantized[at]) == (
                row.parting.original,
                row.parting.quantized,
            )
    assert results.continuations["F32"].parting is None


def test_another_model_is_noticed(results, monkeypatch):
    monkeypatch.setattr(measured, "key", lambda name: "of another model")
    assert measured.load().stale


def test_nothing_measured_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "shipped_folder", lambda name: tmp_path)
    with pytest.raises(ValueError, match="quantcore measure"):
        measured.load()
