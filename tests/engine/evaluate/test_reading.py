"""Reading one text closely: token by token, and two continuations up to their parting."""

import numpy as np
import pytest

import quantcore
from quantcore.evaluate import drift_result
from quantcore.evaluate.drift import drift_steps
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.reading import continue_both, read_closely
from tests.support.toy_model import write_folder

TEXT = "the tree that told two tales to the town"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    model = quantcore.open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))
    return model, llama_of(model), llama_of(model, "INT3_G32")


def test_divergence_is_that_of_the_two_sets_of_logits(pair):
    model, original, quantized = pair
    tokens = [model.tokenizer.bos_id, *model.tokenizer.encode(TEXT)]
    p, q = (np.float64(llama.logits(tokens[:-1])) for llama in (original, quantized))
    p, q = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (p, q))
    found = read_closely(model, original, quantized, TEXT)
    np.testing.assert_allclose(found.kl, (np.exp(p) * (p - q)).sum(axis=1), rtol=1e-4, atol=1e-9)
    rows = np.arange(len(tokens) - 1)
    np.testing.assert_allclose(found.base_nll, -p[rows, tokens[1:]], rtol=1e-5)
    np.testing.assert_allclose(found.nll, -q[rows, tokens[1:]], rtol=1e-5)
    assert "".join(model.tokenizer.pieces(found.token)) == TEXT


def test_starts_cut_the_text_into_its_tokens(pair):
    model, original, quantized = pair
    found = read_closely(model, original, quantized, TEXT)
    ends = [*found.start[1:], len(TEXT)]
    pieces = [TEXT[start:end] for start, end in zip(found.start, ends, strict=True)]
    assert pieces == model.tokenizer.pieces(found.token)


def test_a_long_text_is_cut_to_the_context(pair):
    model, original, quantized = pair
    found = read_closely(model, original, quantized, TEXT * 20)
    assert len(found.kl) == model.config.context_length - 1


def test_one_token_leaves_nothing_to_predict(pair):
    with pytest.raises(ValueError, match="fewer than two tokens"):
        read_closely(*pair, "")


def test_both_agree_when_they_are_the_same(pair):
    model, original, _ = pair
    assert continue_both(model, original, original, TEXT, 8).parting is None


def test_the_parting_is_where_each_prefers_its_own(pair):
    model, original, quantized = pair
    found = continue_both(model, original, quantized, TEXT, 40)
    parting = found.parting
    assert found.original[: parting.at] == found.quantized[: parting.at]
    assert parting.original != parting.quantized
    assert parting.by_original[0] > parting.by_original[1]
    assert parting.by_quantized[1] > parting.by_quantized[0]


def test_the_course_of_a_measurement_ends_at_its_result(pair):
    model, _, _ = pair
    steps = list(drift_steps(model, ["INT3_G32", "Q8_0"], TEXT * 12, 32))
    course = [step.result for step in steps[:-1] if step.result]
    drifts = steps[-1].result.drifts
    assert [step.chunks_done for step in course] == sorted({s.chunks_done for s in course})
    for name, value in course[-1].mean_kl.items():
        assert value == pytest.approx(drifts[name].mean_kl_divergence, rel=1e-5)


def test_sure_tokens_are_counted_where_the_original_is_sure(pair, monkeypatch):
    model, _, _ = pair
    *_, first = drift_steps(model, ["INT2_G32"], TEXT * 12, 32)
    tokens = first.result.drifts["INT2_G32"].per_token
    half = float(np.median(tokens.base_top_probability[tokens.scored]))
    monkeypatch.setattr(drift_result, "SURE", half)  # random weights are never sure
    *_, last = drift_steps(model, ["INT2_G32"], TEXT * 12, 32)
    drift = last.result.drifts["INT2_G32"]
    sure = tokens.scored & (tokens.base_top_probability > half)
    changed = tokens.top_token[sure] != tokens.base_top_token[sure]
    assert 0 < drift.sure_tokens == sure.sum() < tokens.scored.sum()
    assert drift.sure_tokens_changed == pytest.approx(changed.mean())
