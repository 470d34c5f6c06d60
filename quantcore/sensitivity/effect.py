"""What one change of a model costs, in figures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.formats import get_format
from quantcore.model.source import Model
from quantcore.sensitivity.intervals import interval
from quantcore.sensitivity.pieces import Group, How, Piece


@dataclass(frozen=True, slots=True)
class Measured:
    """What a changed model says; arrays (n_chunks, n_scored), one entry a scored token."""

    nll: NDArray[np.float64]  # -log p of the true token, nats
    kl: NDArray[np.float64]  # divergence from the original, nats
    top_token: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One piece and its cost; intervals hold the figure with 95 % confidence."""

    group: Group
    name: str  # of the tensor, the layer's number, the role, or "all"
    how: How  # "alone": only these are quantized; "kept": all but these
    format: str
    bytes: int  # of these tensors in the format
    mean_kl_divergence: float  # from the original, nats a token
    kl_low: float
    kl_high: float
    perplexity: float
    perplexity_ratio: float  # to the original's perplexity
    ratio_low: float
    ratio_high: float
    same_top_token: float  # share of places where both would say the same


def effect_of(model: Model, piece: Piece, found: Measured, original: Measured) -> Effect:
    """Sum up what was measured of one piece."""
    fmt = get_format(piece.format)
    return Effect(
        group=piece.group,
        name=piece.name,
        how=piece.how,
        format=piece.format,
        bytes=sum(fmt.stored_bytes(model.tensors[name].shape) for name in piece.tensors),
        same_top_token=float((found.top_token == original.top_token).mean()),
        **figures(found, original),
    )


def figures(found: Measured, original: Measured) -> dict[str, float]:
    """Divergence and perplexity with their intervals, by the names of `Effect`'s fields."""
    log_ratio = found.nll - original.nll
    kl_low, kl_high = interval(found.kl)
    ratio_low, ratio_high = np.exp(interval(log_ratio))
    return {
        "mean_kl_divergence": float(found.kl.mean()),
        "kl_low": kl_low,
        "kl_high": kl_high,
        "perplexity": float(np.exp(found.nll.mean())),
        "perplexity_ratio": float(np.exp(log_ratio.mean())),
        "ratio_low": float(ratio_low),
        "ratio_high": float(ratio_high),
    }
