"""Perplexity as llama-perplexity defines it, and over all targets.

    perplexity = exp(mean of -log p(token | tokens before it in its chunk))

Source: llama.cpp, tools/perplexity/perplexity.cpp. It scores the second half of each chunk, so that
every scored token has at least half a context before it. Papers score all targets of a chunk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import kernel
from quantcore.evaluate.quantized import Activations, Type, llama_of, type_name
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.model.blas import one_thread
from quantcore.model.cache_types import CacheTypes
from quantcore.model.llama import Floats, Llama
from quantcore.model.source import Model
from quantcore.pool import over_rows

ROWS_AT_ONCE = 32  # logits of this many tokens fit a core's cache for a small vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity:
    """One run over one text."""

    type: str
    context: int  # tokens a chunk
    tokens_scored: int
    perplexity: float
    perplexity_error: float  # one standard error


@dataclass(slots=True)
class Scores:
    """What the logits before some targets say; arrays (n_targets,)."""

    nll: NDArray[np.float64]  # -log p(target), nats
    log_sum: NDArray[np.float64]  # log of the sum of exp(logits), the softmax's denominator
    top_token: NDArray[np.int32]
    top_probability: NDArray[np.float32]

    @classmethod
    def empty(cls, n: int) -> "Scores":
        """Room for n targets."""
        return cls(np.empty(n), np.empty(n), np.empty(n, np.int32), np.empty(n, np.float32))


@dataclass(frozen=True, slots=True)
class KeptLogits:
    """Logits of a model that others are compared with; arrays (n_targets, vocabulary_size)."""

    logits: Floats
    powers: Floats  # exp(logits - the largest of the row)

    @classmethod
    def empty(cls, llama: Llama, n: int) -> "KeptLogits":
        """Room for n targets."""
        shape = n, llama.config.vocabulary_size
        return cls(np.empty(shape, np.float32), np.empty(shape, np.float32))


def mean_and_error(values: NDArray[np.floating]) -> tuple[float, float]:
    """Mean and its standard error, as llama.cpp computes it.

    >>> mean_and_error(np.array([1.0, 2.0, 3.0]))
    (2.0, 0.5773502691896257)
    """
    values = np.asarray(values, np.float64)
    return float(values.mean()), float(np.sqrt(values.var() / max(len(values) - 1, 1)))


def perplexity_of(nll: NDArray[np.floating]) -> tuple[float, float]:
    """Perplexity and its standard error, from the scored tokens' -log p in nats."""
    mean, error = mean_and_error(nll)
    return float(np.exp(mean)), float(np.exp(mean) * error)


def score(
    llama: Llama, states: Floats, targets: NDArray[np.int32], keep: KeptLogits | None = None
) -> Scores:
    """Score targets (n,) by the states before them (n, hidden_size); `keep` takes the logits."""
    scores = Scores.empty(len(targets))

    def work(start: int, stop: int) -> None:
        for first in range(start, stop, ROWS_AT_ONCE):
            rows = slice(first, min(first + ROWS_AT_ONCE, stop))
            logits = llama.output(states[rows])
            powers = score_rows(logits, targets[rows], scores, rows)
            if keep is not None:
                keep.logits[rows], keep.powers[rows] = logits, powers

    with one_thread():
        over_rows(work, len(targets), min_rows=ROWS_AT_ONCE)
    return scores


def score_rows(logits: Floats, targets: NDArray[np.int32], scores: Scores, rows: slice) -> Floats:
    """Fill one slice of `scores` from its logits (n, vocabulary_size), and return their powers."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    _score(
        logits,
        powers,
        targets,
        scores.nll[rows],
        scores.log_sum[rows],
        scores.top_token[rows],
        scores.top_probability[rows],
    )
    return powers


@kernel
def _score(logits, powers, targets, nll, log_sum, top_token, top_probability):
    for r in range(logits.shape[0]):
        total = 0.0
        top = 0
        for i in range(logits.shape[1]):
            total += powers[r, i]
            if logits[r, i] > logits[r, top]:
                top = i
        log_sum[r] = np.float64(logits[r, top]) + np.log(total)
        nll[r] = log_sum[r] - logits[r, targets[r]]
        top_token[r] = top
        top_probability[r] = 1 / total


def measure_perplexity(
    model: Model,
    type: Type | None = None,
    text: str | None = None,
    context: int = 512,
    activations: Activations = "F32",
    cache_types: CacheTypes | None = None,
) -> Perplexity:
    """Perplexity alone, as llama-perplexity prints it; `measure_drift` compares with the original.

    With activations in "Q8" also as it is on a CPU; see `quantcore.model.activations`. Keys and
    values are kept in the types that are given, else as `quantcore.model.llama.Llama` says.

    Raises
    ------
    ValueError
        If the format, the context or the text does not suit the model.
    """
    chunks = cut(model, evaluation_text() if text is None else text, context)
    llama = llama_of(model, type, activations, cache_types)
    scored = chunks.scored[0]
    nll = []
    for inputs, tokens in zip(chunks.inputs, chunks.tokens, strict=True):
        states = llama.hidden(inputs[None])[0, :-1]
        nll.append(score(llama, states[scored], tokens[1:][scored]).nll)
    value, error = perplexity_of(np.concatenate(nll))
    return Perplexity(
        type=type_name(type),
        context=context,
        tokens_scored=int(chunks.scored.sum()),
        perplexity=value,
        perplexity_error=error,
    )
