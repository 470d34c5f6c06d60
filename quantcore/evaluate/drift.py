"""What quantization costs a model on a text: perplexity and divergence, as a whole and by token.

Chunks run through the original once and through each quantized model; only one batch of chunks is
in memory at a time, so a long text takes no more of it than a short one.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.divergence import score_against
from quantcore.evaluate.drift_result import SURE, Drift, TokenDrift, summarize, summary_of
from quantcore.evaluate.perplexity import KeptLogits, Scores, score
from quantcore.evaluate.quantized import (
    Activations,
    Type,
    activation_types,
    as_it_runs,
    importances,
    restored_tensors,
    type_name,
)
from quantcore.evaluate.text import Chunks, cut, evaluation_text, floor_by_target
from quantcore.model.cache_types import CacheTypes
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.progress import Progress, result_of

__all__ = [
    "SURE",
    "Comparison",
    "Drift",
    "TokenDrift",
    "compare",
    "drift_steps",
    "measure_drift",
    "summary_of",
]

LOGITS_AT_ONCE = 1 << 22  # of the base, kept for one batch of chunks, and their powers


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is known of several types: a mean after each batch of chunks, everything at the end."""

    mean_kl: dict[str, float]  # divergence of the chunks that are done, nats a token, by type
    chunks_done: int
    drifts: dict[str, Drift] = field(default_factory=dict)  # at the end, by type


def measure_drift(
    model: Model,
    type: Type,
    text: str | None = None,
    context: int = 512,
    on_progress: Callable[[Progress[Comparison]], None] | None = None,
    activations: Activations = "F32",
    cache_types: CacheTypes | None = None,
) -> Drift:
    """Compare a quantized model with the original.

    Parameters
    ----------
    type
        A mix ("Q4_K_M"), one format on every matrix ("Q4_K pure", "INT4_G128"), or the format of
        each quantizable tensor by name.
    text
        By default the evaluation text that ships with the lab.
    context
        Tokens a chunk.
    on_progress
        Called at each step; an exception that it raises ends the work.
    activations
        "Q8" rounds the input of every product of the quantized model as llama.cpp does on a CPU,
        and its queries, keys and values to float16: see `quantcore.model.activations`. The
        original, which it is compared with, stays as it is.
    cache_types
        What the quantized model keeps keys and values in, instead: see
        `quantcore.model.cache_types`. With type "F32" that is all that it differs by.

    Raises
    ------
    ValueError
        If the type, the context or the text does not suit the model.
    """
    steps = drift_steps(model, [type], text, context, activations, cache_types)
    (drift,) = result_of(steps, on_progress).drifts.values()
    return drift


def drift_steps(
    model: Model,
    types: Type | Sequence[Type],
    text: str | None = None,
    context: int = 512,
    activations: Activations = "F32",
    cache_types: CacheTypes | None = None,
) -> Iterator[Progress[Comparison]]:
    """Compare several quantized models with the original; a step is at most a layer of one batch.

    Arguments as for `measure_drift`, which waits for the end. The original runs once for all types.
    The weights of every type are in memory, as float32.
    """
    every = [types] if isinstance(types, str | Mapping) else types
    by_name = {type_name(type): type for type in every}
    if any(isinstance(type, Mapping) and by_name[type_name(type)] != type for type in every):
        raise ValueError("Two of these mixes have one name: give each to `compare` by its own.")
    for type in by_name.values():
        importances(model, type)  # refuses what cannot be stored before any work
        if activations == "Q8":
            activation_types(model, type)
    if cache_types is not None:
        cache_types.check(model.config, rounds_queries=activations == "Q8")
    text = evaluation_text() if text is None else text
    chunks = cut(model, text, context)
    floor = floor_by_target(text, chunks)
    return compare(model, by_name, chunks, floor, activations, cache_types)


def compare(
    model: Model,
    types: dict[str, Type],
    chunks: Chunks,
    floor: NDArray[np.float64] | None = None,
    activations: Activations = "F32",
    cache_types: CacheTypes | None = None,
) -> Iterator[Progress[Comparison]]:
    """Compare types that have names of their own, on chunks that were cut already.

    Parameters
    ----------
    types
        By the names that results get.
    floor
        Least possible negative log-likelihood of each scored token, in nats, where it is known.
    activations
        "Q8" rounds inputs as llama.cpp does on a CPU; see `measure_drift`.
    cache_types
        What keys and values are kept in, but for the original; see `measure_drift`.
    """
    cache_types = cache_types or CacheTypes.usual(rounds_queries=activations == "Q8")
    same = activations == "F32" and not cache_types.rounds  # then F32 is the original itself
    n_models = len(types.keys() | {"F32"}) if same else len(types) + 1
    passes = _Passes(n_models, len(chunks.tokens), len(model.tensors))
    base = yield from _load(model, None, passes)
    llamas: dict[str, Llama] = {}
    for name, type in types.items():
        if name == "F32" and same:
            llamas[name] = base
        else:
            llama = yield from _load(model, type, passes, activations)
            llamas[name] = llama.with_cache(cache_types)
    base_parts: list[Scores] = []
    parts: dict[str, list[tuple[Scores, NDArray[np.float64]]]] = {name: [] for name in llamas}
    n_logits = chunks.tokens.shape[1] * model.config.vocabulary_size
    at_once = 2 if 2 * n_logits <= LOGITS_AT_ONCE else 1  # two share out better over two cores
    for first in range(0, len(chunks.tokens), at_once):
        batch = slice(first, first + at_once)
        targets = chunks.tokens[batch, 1:].ravel()
        base_states = yield from _forward(base, "original", chunks, batch, passes)
        kept = KeptLogits.empty(base, len(targets))
        scores = score(base, base_states, targets, kept)
        base_parts.append(scores)
        for name, llama in llamas.items():
            if llama is base:
                states = base_states
            else:
                states = yield from _forward(llama, name, chunks, batch, passes)
            parts[name].append(score_against(llama, states, targets, kept, scores))
        yield passes.scored(Comparison(_mean_kl(parts, chunks), first + len(chunks.tokens[batch])))
    drifts = {}
    for name, batches in parts.items():
        tokens = _by_token(chunks, base_parts, batches)
        drifts[name] = summarize(model, types[name], chunks.tokens.shape[1], tokens, floor)
    yield Progress(1.0, "done", Comparison(_mean_kl(parts, chunks), len(chunks.tokens), drifts))


class _Passes:
    """Counts steps: loading a model counts as one chunk of it."""

    def __init__(self, n_models: int, n_chunks: int, n_tensors: int) -> None:
        self.n_chunks, self.n_tensors = n_chunks, n_tensors
        self._total = n_models * (n_chunks + 1)
        self._done = 0.0

    def step(self, chunks: float, stage: str) -> Progress[Comparison]:
        self._done += chunks
        self._stage = stage
        return Progress(min(self._done / self._total, 1.0), stage)

    def scored(self, result: Comparison) -> Progress[Comparison]:
        return Progress(min(self._done / self._total, 1.0), self._stage, result)


def _load(
    model: Model, type: Type | None, passes: _Passes, activations: Activations = "F32"
) -> Generator[Progress[Comparison], None, Llama]:
    weights = {}
    stage = "reading the model" if type is None else f"{type_name(type)}: quantizing"
    for name, restored in restored_tensors(model, type):
        weights[name] = restored
        yield passes.step(1 / passes.n_tensors, stage)
    return as_it_runs(model, type, weights, activations)


def _forward(
    llama: Llama, name: str, chunks: Chunks, batch: slice, passes: _Passes
) -> Generator[Progress[Comparison], None, NDArray[np.float32]]:
    """States before each target of some chunks, (n_targets, hidden_size)."""
    inputs = chunks.inputs[batch]
    stage = f"{name}: chunk {batch.start + len(inputs)} of {passes.n_chunks}"
    share = len(inputs) / (llama.config.n_layers + 1)
    for states in llama.hidden_by_layer(inputs):  # noqa: B007 - the last one is the result
        yield passes.step(share, stage)
    return states[:, :-1].reshape(-1, states.shape[2])


def _mean_kl(parts: dict[str, list], chunks: Chunks) -> dict[str, float]:
    means = {}
    for name, batches in parts.items():
        kl = np.concatenate([kl for _, kl in batches])
        means[name] = float(kl[chunks.scored.ravel()[: len(kl)]].mean())
    return means


def _by_token(
    chunks: Chunks, base: list[Scores], batches: list[tuple[Scores, NDArray[np.float64]]]
) -> TokenDrift:
    context = chunks.tokens.shape[1]
    place = np.arange(chunks.tokens.size).reshape(-1, context)

    def joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
        return np.concatenate(arrays).astype(dtype)

    return TokenDrift(
        position=place[:, 1:].ravel().astype(np.int32),
        start=chunks.starts[:, 1:].ravel().astype(np.int32),
        token=chunks.tokens[:, 1:].ravel(),
        scored=chunks.scored.ravel(),
        nll=joined([scores.nll for scores, _ in batches], np.float32),
        base_nll=joined([scores.nll for scores in base], np.float32),
        kl=joined([kl for _, kl in batches], np.float32),
        top_token=joined([scores.top_token for scores, _ in batches], np.int32),
        base_top_token=joined([scores.top_token for scores in base], np.int32),
        base_top_probability=joined([scores.top_probability for scores in base], np.float32),
    )
