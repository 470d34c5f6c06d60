"""The text that a model is measured on: which context it is cut to, how much of it is read."""

from types import SimpleNamespace

import numpy as np
import pytest

from quantcore import open_model
from quantcore.evaluate.reading import tokens_and_starts, within_context
from quantcore.evaluate.text import CONTEXTS, FEWEST_CHUNKS, context_for, cut, evaluation_text
from quantcore.sensitivity.measure import Settings, read_for
from tests.support.sentence_piece import sentence_piece_tokenizer
from tests.support.toy_model import write_folder


def _model(context_length):
    return SimpleNamespace(config=SimpleNamespace(context_length=context_length))


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_largest_context_that_gives_enough_chunks_is_taken(context):
    assert context_for(_model(4096), FEWEST_CHUNKS * context) == context
    assert context_for(_model(context), 10**6) == context


def test_a_short_text_gets_the_smallest_context():
    assert context_for(_model(4096), 3) == min(CONTEXTS)
    assert context_for(_model(4096), FEWEST_CHUNKS * 128 - 1) == 64


def test_a_model_that_sees_less_gets_all_that_it_sees():
    assert context_for(_model(32), 10**6) == 32


@pytest.mark.parametrize("make", [lambda: open_model().tokenizer, sentence_piece_tokenizer])
@pytest.mark.parametrize(
    "text", [evaluation_text(), " " * 9000 + "a", "ab\n\n" * 3000, "été " * 999]
)
@pytest.mark.parametrize("wanted", [1, 100, 10**6])
def test_the_start_of_a_text_has_the_tokens_of_the_whole(make, text, wanted):
    tokenizer = make()
    whole, starts = tokenizer.encode_with_starts(text)
    first, where = tokenizer.encode_start(text, wanted)
    np.testing.assert_array_equal(first, whole[:wanted])
    np.testing.assert_array_equal(where, starts[:wanted])


def test_only_as_much_is_read_as_is_needed(monkeypatch):
    """A text of any length costs what its beginning does."""
    model, read = open_model(), []
    encode = model.tokenizer.encode_with_starts

    def watched(text, measured=False):
        read.append(len(text))
        return encode(text, measured)

    monkeypatch.setattr(model.tokenizer, "encode_with_starts", watched)
    long = evaluation_text() * 20
    settings = Settings(formats=("Q4_0",), text=long, context=512, tokens=1024)
    reading, _ = read_for(model, settings)
    assert reading.n_chunks == 2
    within_context(model, long)
    tokens_and_starts(model, long)
    assert len(read) >= 3 and max(read) < len(long) / 50


BOS, EOS = 257, 258  # of the small model, whose tokenizer reads byte by byte


def test_control_tokens_in_a_measured_text_are_characters(tmp_path):
    """As in llama-perplexity; in a prompt, and where it is asked for, they control."""
    model = open_model(write_folder(tmp_path / "toy"))
    text = "one</s>two " * 40
    tokens = cut(model, text, 32).tokens.ravel()
    assert EOS not in tokens
    assert model.tokenizer.decode(tokens[1:12]) == text[:11]
    assert np.count_nonzero(model.tokenizer.encode(text) == EOS) == 40
    parsed = cut(model.parsing_special(), text, 32).tokens.ravel()
    np.testing.assert_array_equal(parsed[1:9], model.tokenizer.encode(text)[:8])
    starts = cut(model, text, 32).starts.ravel()
    np.testing.assert_array_equal(starts[1:], np.arange(len(starts) - 1))


def test_a_text_without_control_tokens_is_read_alike(tmp_path):
    model = open_model(write_folder(tmp_path / "toy"))
    assert not model.tokenizer.writes_control("a < b, </s")
    one, other = (
        cut(each, "a < b, </s" * 40, 32).tokens for each in (model, model.parsing_special())
    )
    np.testing.assert_array_equal(one, other)
