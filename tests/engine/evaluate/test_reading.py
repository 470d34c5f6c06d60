"""Reading one text closely: token by token, and two continuations up to their parting."""

from dataclasses import replace

import numpy as np
import pytest

import quantcore
from quantcore.evaluate import drift_result
from quantcore.evaluate.drift import drift_steps
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.reading import (
    Continuations,
    Parting,
    continue_both,
    pieces,
    read_closely,
    rows_by_token,
    within_context,
)
from tests.support.sentence_piece import sentence_piece_tokenizer
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
    drift = read_closely(model, original, quantized, TEXT)
    np.testing.assert_allclose(drift.kl, (np.exp(p) * (p - q)).sum(axis=1), rtol=1e-4, atol=1e-9)
    rows = np.arange(len(tokens) - 1)
    np.testing.assert_allclose(drift.base_nll, -p[rows, tokens[1:]], rtol=1e-5)
    np.testing.assert_allclose(drift.nll, -q[rows, tokens[1:]], rtol=1e-5)
    assert "".join(model.tokenizer.pieces(drift.token)) == TEXT


def test_starts_cut_the_text_into_its_tokens(pair):
    model, original, quantized = pair
    drift = read_closely(model, original, quantized, TEXT)
    assert pieces(TEXT, drift.start) == model.tokenizer.pieces(drift.token)


def test_rows_by_token_say_what_was_read(pair):
    read = read_closely(*pair, TEXT)
    rows = rows_by_token(read, TEXT)
    assert "".join(row["token"] for row in rows) == TEXT
    np.testing.assert_array_equal([row["kl_nats"] for row in rows], read.kl)
    chances = [(row["probability_original"], row["probability_quantized"]) for row in rows]
    np.testing.assert_array_equal(chances, np.stack([read.base_probability, read.probability], 1))


def test_the_heaviest_tokens_carry_their_share(pair):
    read = replace(read_closely(*pair, TEXT), kl=np.float32([0.1] * 19 + [5.0]))
    assert read.heaviest_share(0.1) == pytest.approx(5.1 / 6.9)
    assert read.heaviest_share(0.001) == pytest.approx(5.0 / 6.9)
    assert replace(read, kl=np.zeros(20, np.float32)).heaviest_share() == 0


def test_only_sure_tokens_count_as_changed(pair):
    read = replace(
        read_closely(*pair, TEXT),
        top_token=np.int32([1, 2, 3]),
        base_top_token=np.int32([1, 1, 1]),
        base_top_probability=np.float32([0.9, 0.9, 0.3]),
    )
    assert read.sure_and_changed.tolist() == [False, True, False]


def test_texts_are_cut_at_the_parting():
    parting = Parting(2, "c", "x", (0.3, 0.29), (0, 0))
    both = Continuations(["p"], list("abcd"), list("abxy"), parting)
    assert both.texts("".join) == (("ab", "c", "d"), ("ab", "x", "y"))
    same = Continuations(["p"], list("ab"), list("ab"), None)
    assert same.texts("".join) == (("ab", "", ""), ("ab", "", ""))


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("text", ["’tis a", " a ’s day", "é\n ’’"])
def test_no_letter_is_lost_where_continuations_part(text, at):
    """Also where they part within a character, and where a text begins with a space."""
    tokenizer = sentence_piece_tokenizer()
    written = tokenizer.encode(text).tolist()[1:]  # the first is the space before a text
    other = [*written[:at], 0]
    if at >= len(written):
        return
    both = Continuations([], written, other, Parting(at, written[at], 0, (0.3, 0.2), (0, 0)))
    same, differs, after = both.texts(tokenizer.continuation)[0]
    assert same + differs + after == tokenizer.continuation(written) == text
    assert differs


def test_a_continuation_keeps_its_first_space():
    tokenizer = sentence_piece_tokenizer()
    words = tokenizer.encode("day a day").tolist()
    assert tokenizer.decode(words[-4:]) == "day"
    assert tokenizer.continuation(words[-4:]) == " day"
    assert tokenizer.continuation([]) == ""
    assert tokenizer.continuation(words[-3:]) == "day"


def test_what_is_beyond_the_context_is_not_read(pair):
    model, original, quantized = pair
    assert within_context(model, TEXT) == TEXT
    cut = within_context(model, TEXT * 20)
    found = read_closely(model, original, quantized, TEXT * 20)
    assert (TEXT * 20).startswith(cut)
    assert pieces(cut, found.start) == model.tokenizer.pieces(found.token)


def test_a_near_tie_is_one_that_a_touch_flips():
    assert Parting(0, 1, 2, (0.3, 0.29), (0, 0)).near_tie
    assert not Parting(0, 1, 2, (0.9, 0.01), (0, 0)).near_tie


def test_a_long_text_is_cut_to_the_context(pair):
    model, original, quantized = pair
    drift = read_closely(model, original, quantized, TEXT * 20)
    assert len(drift.kl) == model.config.context_length - 1


def test_one_token_leaves_nothing_to_predict(pair):
    with pytest.raises(ValueError, match="fewer than two tokens"):
        read_closely(*pair, "")


def test_both_agree_when_they_are_the_same(pair):
    model, original, _ = pair
    assert continue_both(model, original, original, TEXT, 8).parting is None


def test_the_parting_is_where_each_prefers_its_own(pair):
    model, original, quantized = pair
    both = continue_both(model, original, quantized, TEXT, 40)
    parting = both.parting
    assert both.original[: parting.at] == both.quantized[: parting.at]
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
