"""Ways of choosing a mix: by measured divergence, by what is cheaper to know, or by chance.

Guides speak of one tensor at a time; what is made small is their sum over tensors. Fisher adds up
as it is, in nats. The errors are relative to a tensor, so what adds up is their square times that
which they are relative to:

    weight error      sum of W²                 the squared error of all weights of the file
    weighted error    sum of h W²               h: mean squared input of each column (imatrix)
    output error      sum of h W², about        the squared error of all matrices' outputs, with
                      sum of (x W)² / tokens    inputs taken as independent

(Counting every tensor alike, or by its number of weights, made worse mixes of the shipped model.)
Where the importance matrix says nothing of a tensor, as of an embedding, h is the mean over all
others, and the weighted error the plain one.
"""

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np

from quantcore.model.shipped import SHIPPED, shipped_name
from quantcore.model.source import Model
from quantcore.sensitivity.budget import Budget, Budgeted, Cost, storable_formats
from quantcore.sensitivity.guides import GUIDES
from quantcore.sensitivity.pieces import storable
from quantcore.sensitivity.results import Sensitivity, shipped

BY = ("measured", *GUIDES)


def budget_by(
    way: str,
    model: Model,
    measured: Sensitivity,
    formats: Sequence[str] | None = None,
    *,
    keep_output: str | None = None,
    by_layer: bool = False,
) -> Budget:
    """Make a `Budget` that chooses by one of `BY`.

    A guide chooses among the formats whose guides are known of every tensor: what was stopped
    half-way is left out, or refused where it is asked for by name.

    Raises
    ------
    ValueError
        As `Budget`, or if the results lack the guides.
    """
    if way != "measured":
        formats = _guided(way, model, measured, formats)
    return Budget(
        model,
        measured,
        formats,
        keep_output=keep_output,
        by_layer=by_layer,
        cost=None if way == "measured" else _cost_by(way, model, measured),
        by="" if way == "measured" else f" by {way.replace('_', ' ')}",
    )


def ways_of(model: Model, measured: Sensitivity) -> list[str]:
    """List the ways of `BY` that results allow: guides only where they know a format whole."""
    return list(BY) if guided_formats(model, measured) else ["measured"]


def covers(measured: Sensitivity, model: Model) -> bool:
    """Whether results are of a model's weights and know each matrix in a format at least.

    A sweep that was stopped may know only some.
    """
    formats = measured.formats
    return measured.source.fingerprint == model.fingerprint and all(
        any(measured.effect(name, each) for each in formats) for name in model.quantizable
    )


def choice_key(measured: Sensitivity) -> str:
    """Digest of all that a choice of types depends on, for caches: any new figure changes it."""

    def digest() -> str:
        effects = [
            (each.name, each.format, each.mean_kl_divergence)
            for each in measured.effects
            if (each.group, each.how) == ("tensor", "alone")
        ]
        figures = (measured.source, effects, measured.guides)
        return hashlib.sha256(repr(figures).encode()).hexdigest()[:16]

    return measured.concluded("choice_key", digest)


def plan_for_budget(
    model: Model,
    wanted: str,
    *,
    by: str = "measured",
    measured: Sensitivity | None = None,
    formats: Sequence[str] | None = None,
    keep_output: str | None = None,
    by_layer: bool = False,
) -> Budgeted:
    """Choose the best type for each tensor within a budget, by what quantizing it costs.

    Parameters
    ----------
    wanted
        "4.5bpw" (bits a weight), "3.9MB", "Q4_K_M" (its size), or "kl:0.002" (nats a token).
    by
        One of `BY`: the measured divergence, or a guide that is cheaper to know.
    measured
        What `measure_sensitivity` found; by default what ships with the lab's own model.
    formats
        To choose from; by default all that were measured.
    keep_output
        The least type of the output matrix.
    by_layer
        One type for all matrices of a layer.

    Raises
    ------
    ValueError
        If the results are of another model, lack the guides, or nothing fits the budget.
    """
    lies_with = shipped_name(model.path) or SHIPPED[0]
    results = shipped(lies_with) if measured is None else measured
    budget = budget_by(by, model, results, formats, keep_output=keep_output, by_layer=by_layer)
    return budget.plan_for(wanted)


def guided_formats(model: Model, measured: Sensitivity) -> list[str]:
    """List the formats whose guides are known of every tensor that they can store."""
    return measured.concluded(
        ("guided_formats", model.key, model.imatrix is None),
        lambda: [name for name in measured.formats if not _without_guides(model, measured, name)],
    )


def _guided(
    way: str, model: Model, measured: Sensitivity, formats: Sequence[str] | None
) -> list[str]:
    """Find the formats that a guide may choose from: those asked for, or all that are whole."""
    if way not in GUIDES:
        raise ValueError(f"There is no way {way[:40]!r} of choosing: there are {', '.join(BY)}")
    measured.refuse_other_model(model.name, model.fingerprint)
    if not measured.guides:
        raise ValueError(
            "These results hold no guides: add them by python -m quantcore sensitivity --guides"
        )
    whole = guided_formats(model, measured)
    if formats:
        asked = [name.upper() for name in formats]
        partial = [name for name in asked if name in measured.formats and name not in whole]
    else:
        formats = [name for name in storable_formats(measured) if name in whole]
        partial = [] if formats else measured.formats
    if partial:
        raise ValueError(
            f"The guides of {', '.join(partial)} are not known of every tensor: compute the rest "
            "by python -m quantcore sensitivity --guides"
        )
    return list(formats)


def _without_guides(model: Model, measured: Sensitivity, format_name: str) -> list[str]:
    """List the tensors of a format whose guides are not known."""
    try:
        able = storable(model, format_name)
    except ValueError:  # it takes an importance matrix that is not here any more
        effects = (measured.effect(name, format_name) for name in model.quantizable)
        able = [effect.name for effect in effects if effect is not None]
    return measured.without_guides({format_name: able}).get(format_name, [])


def _cost_by(way: str, model: Model, measured: Sensitivity) -> Cost:
    matrix = model.imatrix if way != "weight_error" else None
    known = [] if matrix is None else [matrix.importance(name) for name in model.quantizable]
    usual = float(np.mean([each.mean() for each in known if each is not None] or [1.0]))

    @cache
    def squares(name: str) -> float:
        sums = np.square(model.weights(name)).sum(axis=0, dtype=np.float64)
        importance = None if matrix is None else matrix.importance(name)
        return float(sums.sum() * usual if importance is None else sums @ importance)

    def cost(name: str, format_name: str) -> float | None:
        guide = measured.guide(name, format_name)
        if guide is None:
            return None
        if way == "fisher":
            return guide.fisher
        error = getattr(guide, way)
        return (guide.weight_error if error is None else error) ** 2 * squares(name)

    return cost
