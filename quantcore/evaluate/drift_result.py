"""What a comparison of two models says: figures as a whole, and everything by token."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.divergence import Spread, percentiles_of, share_and_error, spread_of
from quantcore.evaluate.perplexity import mean_and_error, perplexity_of
from quantcore.evaluate.quantized import Type, stored_bytes, type_name
from quantcore.model.source import Model

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

    @property
    def sure_and_changed(self) -> NDArray[np.bool_]:
        """Where the original was sure of a token and the quantized model would say another."""
        return (self.base_top_probability > SURE) & (self.top_token != self.base_top_token)

    def heaviest_share(self, part: float = 0.1) -> float:
        """Share of all divergence that a part of the tokens carries: those with the most of it.

        At least one token counts; 0 where nothing diverges.
        """
        n = max(1, int(part * len(self.kl)))
        heaviest = np.sort(self.kl)[::-1][:n]
        return float(heaviest.sum()) / (float(self.kl.sum()) or 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFigures:
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
    bits_per_weight: float  # of all tensors, norms in F32 included, as llama-quantize counts
    weights_bytes: int  # of all tensors, norms in F32 included; a file has a header besides


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(DriftFigures):
    """One type against the original, with what happened at each token."""

    per_token: TokenDrift


def summarize(
    model: Model,
    type: Type,
    context: int,
    tokens: TokenDrift,
    floor: NDArray[np.float64] | None,
) -> Drift:
    """Compute the figures of the scored tokens; `floor` is by target, in nats, if known."""
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
    n_bytes = stored_bytes(model, type)
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


def summary_of(drift: DriftFigures) -> dict[str, object]:
    """Everything but the tokens, ready for JSON; `summary_from` reads it back."""
    summary = {f.name: getattr(drift, f.name) for f in fields(DriftFigures)}
    spread = drift.probability_change
    summary["probability_change"] = {f.name: getattr(spread, f.name) for f in fields(spread)}
    return summary


def summary_from(row: Mapping[str, Any]) -> dict[str, Any]:
    """Take the fields of `DriftFigures` from what `summary_of` made, after JSON made text of keys.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is no such thing.
    """
    spread = row["probability_change"]
    return dict(row) | {
        "kl_percentiles": _by_number(row["kl_percentiles"]),
        "probability_change": Spread(**spread | {"percentiles": _by_number(spread["percentiles"])}),
    }


def _by_number(percentiles: Mapping[str, float]) -> dict[float, float]:
    return {float(p): value for p, value in percentiles.items()}
