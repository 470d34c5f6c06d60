"""Ways of choosing a mix: by measured divergence, by what is cheaper to know, or by chance.

Guides speak of one tensor at a time; what is made small is their sum over tensors. Fisher adds up
as it is, in nats. The errors are relative to each tensor, so their squares are counted by the
tensor's sum of squared weights: for the weight error that is the squared error of all weights of
the file. (Counting every tensor alike, or by its number of weights, made worse mixes of the shipped
model.) A tensor of which a guide says nothing, as the importance matrix of an embedding, is counted
by its weight error.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from quantcore.model.source import Model
from quantcore.sensitivity.budget import Budget, Cost
from quantcore.sensitivity.guides import GUIDES
from quantcore.sensitivity.results import Sensitivity

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

    Raises
    ------
    ValueError
        As `Budget`, or if the results lack the guides.
    """
    return Budget(
        model,
        measured,
        formats,
        keep_output=keep_output,
        by_layer=by_layer,
        cost=None if way == "measured" else _cost_by(way, model, measured),
        by="" if way == "measured" else f" by {way.replace('_', ' ')}",
    )


def _cost_by(way: str, model: Model, measured: Sensitivity) -> Cost:
    if way not in GUIDES:
        raise ValueError(f"there is no way {way[:40]!r} of choosing: there are {', '.join(BY)}")
    if not measured.guides:
        raise ValueError(
            "these results hold no guides: add them by python -m quantcore sensitivity --guides"
        )

    @cache
    def squares(name: str) -> float:
        return float(np.square(model.weights(name)).sum(dtype=np.float64))

    def cost(name: str, format_name: str) -> float | None:
        guide = measured.guide(name, format_name)
        if guide is None or way == "fisher":
            return guide and guide.fisher
        error = getattr(guide, way)
        return (guide.weight_error if error is None else error) ** 2 * squares(name)

    return cost
