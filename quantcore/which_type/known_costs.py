"""What types cost in divergence, and whose figures they are: this model's own, or published ones.

What one model loses is no measure of another: two of nearly one size differ by a factor of 2.5 in
`assets/published.json`. Whoever shows a figure says whose it is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from quantcore.evaluate import measured
from quantcore.evaluate.drift_result import DriftFigures
from quantcore.memory import FoundModel
from quantcore.model.shipped import ASSETS, SHIPPED
from quantcore.model.source import Model, open_model
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.types import mix_needs_imatrix

LEFT_OUT = ("TQ1_0", "TQ2_0", "MXFP4_MOE")  # for weights of three values; for experts


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCosts:
    """Mean divergence from the original by file type, of one model."""

    model: str
    n_weights: int
    text: str  # what it was measured on
    source: str
    divergence: Mapping[str, float]  # nats per token
    aided: frozenset[str]  # types whose figure is one with an importance matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """The same type in another model of nearly the same size: how far figures carry over."""

    model: str
    type: str
    divergence: float  # nats per token


@cache
def published_costs() -> KnownCosts:
    """Read the figures of the large model that were published for most types.

    Of a type that was published with an importance matrix and without, the one without counts.
    """
    figures = published_figures()
    plain = {row["format"]: row["kl_nats"] for row in figures["formats"]}
    aided = {row["format"]: row["kl_nats"] for row in figures["with_imatrix"]}
    return KnownCosts(
        model=figures["model"],
        n_weights=figures["n_weights"],
        text=f"{figures['text']} where none is marked",
        source=figures["source"],
        divergence=aided | plain,
        aided=frozenset(aided) - frozenset(plain),
    )


@cache
def published_elsewhere() -> tuple[Elsewhere, ...]:
    """Read what another large model lost in some of these types."""
    other = published_figures()["other_model"]
    return tuple(
        Elsewhere(model=other["model"], type=row["format"], divergence=row["kl_nats"])
        for row in other["formats"]
    )


def shipped_costs(name: str = SHIPPED[0]) -> KnownCosts | None:
    """Read what was measured of a shipped model; None where that was of another version of it."""
    results, model = measured.load(name), open_model(name)
    if results.stale:
        return None
    return measured_costs(
        model, results.drifts, "the evaluation text", f"python -m quantcore measure {name}"
    )


def measured_costs(
    model: Model, drifts: Mapping[str, DriftFigures], text: str, source: str
) -> KnownCosts:
    """Take what was measured of a model, by type: of files that one would take, quantized ones."""
    files = {
        name: FILE_TYPES[name]
        for name in drifts
        if name in FILE_TYPES and FILE_TYPES[name].is_quantized and name not in LEFT_OUT
    }
    return KnownCosts(
        model=model.name,
        n_weights=model.n_weights,
        text=text,
        source=source,
        divergence={name: drifts[name].mean_kl_divergence for name in files},
        aided=frozenset(n for n, mix in files.items() if mix_needs_imatrix(model, mix)),
    )


def costs_of(model: FoundModel) -> KnownCosts:
    """Find a model's own figures, or else those that were published of a large one."""
    return (shipped_costs(model.shipped) if model.shipped else None) or published_costs()


@cache
def published_figures() -> dict[str, Any]:
    """Read the published figures as they are kept, with their source."""
    return json.loads((ASSETS / "published.json").read_text(encoding="utf-8"))
