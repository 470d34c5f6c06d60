"""The map of what tensors, layers or roles cost, and the worst of them with their intervals."""

from collections.abc import Mapping

import streamlit as st

from pages.sensitivity import costs as figures
from pages.sensitivity import words
from pages.sensitivity.charts import dots as charts
from pages.sensitivity.costs import Cost
from pages.sensitivity.view import View, choosing
from pages.shared import look
from pages.shared.charts import layer_map
from pages.shared.palette import Look

MOST_ROWS = 15  # of the dot plot


def section(view: View, found: Mapping[str, Cost], tensor: str, style: Look) -> None:
    """Draw the map of what is changed at once, and the pieces that cost most."""
    measure, whole = view.measure, view.whole()
    factor, part = words.unit(found.values(), measure)
    look.finding(
        words.headline(view.format_name, found, measure, view.how, whole, view.noun),
        words.how_to_read_map(measure, view.how, part, whole),
        help=words.terms(measure),
    )
    says = {name: words.tooltip(name, cost, measure) for name, cost in found.items()}
    left, right = st.columns([3, 2], gap="large")
    with left:
        if view.noun == "tensors":
            texts = words.cells(found, measure, view.how, whole, factor)
            colours = figures.weights_of(found, view.how, whole, sure=measure.signed)
            look.show(
                layer_map.layer_map(colours, texts, tensor, style, says=says),
                alt=f"What each matrix costs in {view.format_name}, by layer and role.",
                **choosing("sensitivity_map"),
            )
        else:
            _by_format(view, factor, style)
    with right:
        weight = figures.weights_of(found, view.how, whole)
        names = sorted(found, key=weight.get, reverse=True)[:MOST_ROWS]
        look.note(words.worst(found, view.how, len(names), view.noun))
        look.show(
            charts.dots(
                found, names, says, view.format_name, tensor, style, title=measure.axis,
                whole=whole if view.how == "kept" else None,
            ),
            alt=f"The {len(names)} that cost most in {view.format_name}, with 95 % intervals.",
            **choosing("sensitivity_worst"),
        )  # fmt: skip


def _by_format(view: View, factor: float, style: Look) -> None:
    """Draw layers or roles by formats; a click chooses the format."""
    values, texts, says = {}, {}, {}
    for name in figures.by_size(view.results):
        if costs := view.costs(format_name=name):
            whole = view.whole(name)
            sure = view.measure.signed
            values[name] = figures.weights_of(costs, view.how, whole, sure=sure)
            texts[name] = words.cells(costs, view.measure, view.how, whole, factor)
            says[name] = {n: words.tooltip(n, c, view.measure) for n, c in costs.items()}
    look.show(
        charts.group_map(values, texts, says, view.format_name, style),
        alt=f"What the {view.noun} cost in each format.",
        **choosing("sensitivity_groups", "type"),
    )
