"""Merges of a SentencePiece vocabulary: all ways to make a token of two others, in bounded time."""

import itertools

import numpy as np
import pytest

from quantcore import ModelError
from quantcore.model import gguf_vocabulary
from quantcore.model.gguf_vocabulary import MAX_TOKEN, _merges


def _naive(tokens, scores):
    known = {token: i for i, token in enumerate(tokens)}
    rows = []
    for i, token in enumerate(tokens):
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in known and right in known and cut < MAX_TOKEN:
                rows.append((-scores[i], known[left], known[right], left, right))
    return [[left, right] for *_, left, right in sorted(rows)]


@pytest.mark.parametrize("seed", range(20))
def test_they_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    letters = "ab\u2581é\udc80"[: rng.integers(1, 6)]
    made = {"".join(rng.choice(list(letters), rng.integers(0, 7))) for _ in range(80)}
    tokens = [*sorted(made, key=lambda _: rng.random()), "x" * 300, "x" * 299, "x"]
    scores = rng.integers(-9, 0, len(tokens)).astype(np.float32)  # with ties
    assert _merges(tokens, scores) == _naive(tokens, scores)


def test_more_ways_than_any_models_are_refused_before_they_are_listed(monkeypatch):
    """Of all words of two letters, each can be made in as many ways as it has places to cut."""
    tokens = ["".join(w) for n in range(1, 11) for w in itertools.product("ab", repeat=n)]
    scores = np.zeros(len(tokens), np.float32)
    assert len(_merges(tokens, scores)) == sum(2**n * (n - 1) for n in range(1, 11))
    monkeypatch.setattr(gguf_vocabulary, "MAX_MERGES", 5000)
    with pytest.raises(ModelError, match="in more ways than any model's"):
        _merges(tokens, scores)


def test_tokens_that_begin_alike_are_not_tried_for_ever(monkeypatch):
    tokens = ["x" * n for n in range(1, 256)] + [f"{'x' * 255}{i:03}" for i in range(500)]
    scores = np.zeros(len(tokens), np.float32)
    monkeypatch.setattr(gguf_vocabulary, "MAX_TRIED", 10_000)
    with pytest.raises(ModelError, match="in more ways than any model's"):
        _merges(tokens, scores)
