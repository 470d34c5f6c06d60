"""The text that a model is measured on: which context it is cut to."""

from types import SimpleNamespace

import pytest

from quantcore.evaluate.text import CONTEXTS, FEWEST_CHUNKS, context_for


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
