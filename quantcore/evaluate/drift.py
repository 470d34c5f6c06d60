"""What quantization costs a model on a text: perplexity and divergence, as a whole and by token.

Chunks run through the original once and through each quantized model; only one batch of chunks is
in memory at a time, so a long text takes no more of it than a short one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.divergence import (
    Spread,
    percentiles_of,
    score_against,
    share_and_error,
    spread_of,
)
from quantcore.evaluate.perplexity import Scores, mean_and_error, perplexity_of, score
from quantcore.evaluate.quantized import Type, formats_by_tensor, restored_tensors, type_name
from quantcore.evaluate.text import Chunks, cut, evaluation_text, floor_by_target
from quantcore.model.llama import Llama
from quantcore.model.source import Model

LOGITS_AT_ONCE = 1 << 22  # of the base, kept for one batch of chunks
SURE = 0.5  # where the original gives its first choice more than this, a change is no flipped tie


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDrift:
    """By target token, in the order of the text; arrays (n_targets,)."""

    position: NDArray[np.int32]  # of the token in the text's tokens, BOS counted
    start: NDArray[np.int32]  # the character of the text at which it starts
    token: NDArray[np.int32]
    scored: NDArray[np.bool_]  # whether it counts in the figures: second half of its chunk
    nll: NDArray[np.float32]  # -log p(token) of the quantized model, nats
    base_nll: NDArray[np.float32]  # of the original
    kl: NDArray[np.float32]  # divergence of the prediction at this place, nats
    top_token: NDArray[np.int32]  # what the quantized model would have said
    base_top_token: NDArray[np.int32]
    base_top_probability: NDArray[np.float32]

    @property
    def probability(self) -> NDArray[np.float32]:
        """Of the true token, by the quantized model."""
        return np.exp(-self.nll)

    @property
    def base_probability(self) -> NDArray[np.float32]:
        """Of the true token, by the original."""
        return np.exp(-self.base_nll)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One type against the original. Divergences in nats; errors are one standard error.

    All but `perplexity_all_targets` speak of the scored tokens: the second half of each chunk, as
    llama-perplexity has it.
    """

    model: str
    type: str
    context: int
    tokens_scored: int
    perplexity: float
    perplexity_error: float
    perplexity_all_targets: float  # every target of every chunk, as papers have it
    base_perplexity: float
    base_perplexity_error: float
    floor_perplexity: float | None  # of the text's own probabilities, where they are known
    perplexity_ratio: float
    perplexity_ratio_error: float
    mean_kl_divergence: float
    mean_kl_divergence_error: float
    median_kl_divergence: float
    kl_percentiles: dict[float, float]
    max_kl_divergence: float
    probability_change: Spread
    same_top_token: float  # share of places where both models would say the same
    same_top_token_error: float
    sure_tokens: int  # places where the original gave one token more than half
    sure_tokens_changed: float  # share of those where the quantized model would say another
    bits_per_weight: float  # norms included, as in a file
    weights_bytes: int
    per_token: TokenDrift


@dataclass(frozen=True, slots=True)
class DriftProgress:
    """One step of long work."""

    share: float  # done so far, 0 to 1
    stage: str  # "Q4_K: quantizing", "Q4_K: chunk 3 of 40"
    drifts: dict[str, Drift] | None = None  # at the last step, by type
    kl_so_far: dict[str, float] | None = None  # mean after each batch of chunks, nats, by type
    chunks_done: int = 0  # that `kl_so_far` covers


def measure_drift(
    model: Model,
    type: Type,
    text: str | None = None,
    context: int = 512,
    on_chunk: Callable[[DriftProgress], None] | None = None,
) -> Drift:
    """Compare a quantized model with the original.

    Parameters
    ----------
    type
        One format for all quantizable tensors, or the format of each tensor by name.
    text
        By default the evaluation text that ships with the lab.
    context
        Tokens a chunk.
    on_chunk
        Called at each step; an exception that it raises ends the work.

    Raises
    ------
    ValueError
        If the type, the context or the text does not suit the model.
    """
    for progress in drift_chunks(model, [type], text, context):
        if on_chunk is not None:
            on_chunk(progress)
    return next(iter(progress.drifts.values()))


def drift_chunks(
    model: Model,
    types: Type | Sequence[Type],
    text: str | None = None,
    context: int = 512,
) -> Iterator[DriftProgress]:
    """`measure_drift` for several types in small steps, each at most a layer of one batch.

    The original runs once for all types. The weights of every type are in memory, as float32. Stop
    iterating to cancel. The last step carries the results.
    """
    by_name = {type_name(t): t for t in ([types] if isinstance(types, str | Mapping) else types)}
    for type in by_name.values():
        formats_by_tensor(model, type)  # refuses what cannot be stored before any work
    text = evaluation_text() if text is None else text
    chunks = cut(model, text, context)
    return compare(model, by_name, chunks, floor_by_target(text, chunks))


def compare(
    model: Model,
    types: dict[str, Type],
    chunks: Chunks,
    floor: NDArray[np.float64] | None = None,
) -> Iterator[DriftProgress]:
    """`drift_chunks` for types that have names of their own, on chunks that were cut already."""
    n_models = len(types.keys() | {"F32"})
    passes = _Passes(n_models, len(chunks.tokens), len(model.tensors))
    base = yield from _load(model, None, passes)
    llamas: dict[str, Llama] = {}
    for name, type in types.items():
        llamas[name] = base if name == "F32" else (yield from _load(model, type, passes))
    base_parts, parts = [], {name: [] for name in llamas}
    n_logits = chunks.tokens.shape[1] * model.config.vocabulary_size
    at_once = 2 if 2 * n_logits <= LOGITS_AT_ONCE else 1  # two share out better over two cores
    for first in range(0, len(chunks.tokens), at_once):
        batch = slice(first, first + at_once)
        targets = chunks.tokens[batch, 1:].ravel()
        states = yield from _forward(base, "original", chunks, batch, passes)
        logits = np.empty((len(targets), model.config.vocabulary_size), np.float32)
        scores = score(base, states, targets, logits)
        base_parts.append(scores)
        for name, llama in llamas.items():
            if llama is not base:
                states = yield from _forward(llama, name, chunks, batch, passes)
            parts[name].append(score_against(llama, states, targets, logits, scores))
        yield passes.scored(_kl_so_far(parts, chunks), first + len(chunks.tokens[batch]))
    drifts = {}
    for name, found in parts.items():
        tokens = _by_token(chunks, base_parts, found)
        drifts[name] = _summary(model, types[name], chunks.tokens.shape[1], tokens, floor)
    yield DriftProgress(1.0, "done", drifts)


class _Passes:
    """Counts steps: loading a model counts as one chunk of it."""

    def __init__(self, n_models: int, n_chunks: int, n_tensors: int) -> None:
        self.n_chunks, self.n_tensors = n_chunks, n_tensors
        self._total = n_models * (n_chunks + 1)
        self._done = 0.0

    def step(self, chunks: float, stage: str) -> DriftProgress:
        self._done += chunks
        self._stage = stage
        return DriftProgress(min(self._done / self._total, 1.0), stage)

    def scored(self, kl_so_far: dict[str, float], chunks_done: int) -> DriftProgress:
        share = min(self._done / self._total, 1.0)
        return DriftProgress(share, self._stage, kl_so_far=kl_so_far, chunks_done=chunks_done)


def _load(model: Model, type: Type | None, passes: _Passes) -> Iterator[DriftProgress]:
    weights = {}
    stage = "reading the model" if type is None else f"{type_name(type)}: quantizing"
    for name, restored in restored_tensors(model, type):
        weights[name] = restored
        yield passes.step(1 / passes.n_tensors, stage)
    return Llama(model.config, weights)


def _forward(
    llama: Llama, name: str, chunks: Chunks, batch: slice, passes: _Passes
) -> Iterator[DriftProgress]:
    """States before each target of some chunks, (n_targets, hidden_size)."""
    inputs = chunks.inputs[batch]
    stage = f"{name}: chunk {batch.start + len(inputs)} of {passes.n_chunks}"
    share = len(inputs) / (llama.config.n_layers + 1)
    states = None
    for states in llama.hidden_by_layer(inputs):  # noqa: B007 - the last one is the result
        yield passes.step(share, stage)
    return states[:, :-1].reshape(-1, states.shape[2])


def _kl_so_far(parts: dict[str, list], chunks: Chunks) -> dict[str, float]:
    means = {}
    for name, found in parts.items():
        kl = np.concatenate([kl for _, kl in found])
        means[name] = float(kl[chunks.scored.ravel()[: len(kl)]].mean())
    return means


def _by_token(
    chunks: Chunks, base: list[Scores], found: list[tuple[Scores, NDArray[np.float64]]]
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
        nll=joined([scores.nll for scores, _ in found], np.float32),
        base_nll=joined([scores.nll for scores in base], np.float32),
        kl=joined([kl for _, kl in found], np.float32),
        top_token=joined([scores.top_token for scores, _ in found], np.int32),
        base_top_token=joined([scores.top_token for scores in base], np.int32),
        base_top_probability=joined([scores.top_probability for scores in base], np.float32),
    )


def _summary(
    model: Model,
    type: Type,
    context: int,
    tokens: TokenDrift,
    floor: NDArray[np.float64] | None,
) -> Drift:
    scored = tokens.scored
    nll, base_nll, kl = tokens.nll[scored], tokens.base_nll[scored], tokens.kl[scored]
    perplexity, perplexity_error = perplexity_of(nll)
    base_perplexity, base_error = perplexity_of(base_nll)
    log_ratio, log_ratio_error = mean_and_error(nll.astype(np.float64) - base_nll)
    mean_kl, mean_kl_error = mean_and_error(kl)
    percentiles = percentiles_of(kl)
    top_is_same = tokens.top_token[scored] == tokens.base_top_token[scored]
    same, same_error = share_and_error(top_is_same)
    sure = tokens.base_top_probability[scored] > SURE
    n_bytes = model.stored_bytes(type)
    return Drift(
        model=model.name,
        type=type_name(type),
        context=context,
        tokens_scored=int(scored.sum()),
        perplexity=perplexity,
        perplexity_error=perplexity_error,
        perplexity_all_targets=perplexity_of(tokens.nll)[0],
        base_perplexity=base_perplexity,
        base_perplexity_error=base_error,
        floor_perplexity=None if floor is None else perplexity_of(floor[scored])[0],
        perplexity_ratio=float(np.exp(log_ratio)),
        perplexity_ratio_error=float(np.exp(log_ratio) * log_ratio_error),
        mean_kl_divergence=mean_kl,
        mean_kl_divergence_error=mean_kl_error,
        median_kl_divergence=percentiles[50],
        kl_percentiles={p: percentiles[p] for p in (90, 95, 99, 99.9)},
        max_kl_divergence=float(kl.max()),
        probability_change=spread_of(tokens.probability[scored] - tokens.base_probability[scored]),
        same_top_token=same,
        same_top_token_error=same_error,
        sure_tokens=int(sure.sum()),
        sure_tokens_changed=float(1 - top_is_same[sure].mean()) if sure.any() else 0.0,
        bits_per_weight=8 * n_bytes / model.n_weights,
        weights_bytes=n_bytes,
        per_token=tokens,
    )


def summary_of(drift: Drift) -> dict[str, object]:
    """Everything but the tokens, ready for JSON."""
    found = {f.name: getattr(drift, f.name) for f in fields(drift) if f.name != "per_token"}
    spread = drift.probability_change
    found["probability_change"] = {f.name: getattr(spread, f.name) for f in fields(spread)}
    return found
