"""The map of what tensors, layers or roles cost, and the worst of them with their intervals."""

import streamlit as st

from pages.sensitivity.charts import dots as charts
from pages.sensitivity.view import View, choosing
from pages.sensitivity.words import costs as words
from pages.sensitivity.words.figures import wording
from pages.shared import look
from pages.shared.charts import layer_map
from pages.shared.palette import Look
from quantcore.sensitivity.costs import formats_by_size, impacts

MOST_ROWS = 15  # of the dot plot


def section(view: View, tensor: str, style: Look) -> None:
    """Draw the map of what is changed at once, and the pieces that cost most."""
    costs, measure, joint = view.costs(), view.measure, view.joint()
    factor, part = words.unit(costs.values(), measure)
    look.finding(
        words.headline(view.format_name, costs, measure, view.how, joint, view.noun),
        words.how_to_read_map(measure, view.how, part, joint),
        help=words.terms(measure),
    )
    tips = {name: words.tooltip(name, cost, measure) for name, cost in costs.items()}
    left, right = st.columns([3, 2], gap="large")
    with left:
        if view.noun == "tensors":
            texts = words.cells(costs, measure, view.how, joint, factor)
            colours = view.colours(costs, joint)
            look.show(
                layer_map.layer_map(
                    colours,
                    texts,
                    tensor,
                    style,
                    scale=layer_map.Scale(signed=view.is_signed),
                    says=tips,
                ),
                alt=f"What each matrix costs in {view.format_name}, by layer and role.",
                **choosing("sensitivity_map"),
            )
        else:
            _by_format(view, factor, style)
    with right:
        impact = impacts(costs, view.how, joint)
        names = sorted(costs, key=impact.__getitem__, reverse=True)[:MOST_ROWS]
        look.note(words.worst(costs, view.how, len(names), view.noun))
        look.show(
            charts.dots(
                costs, names, tips, view.format_name, tensor, style, title=wording(measure).axis,
                joint=joint if view.how == "kept" else None,
            ),
            alt=f"The {view.noun} that cost most in {view.format_name}, with 95 % intervals.",
            **choosing("sensitivity_worst"),
        )  # fmt: skip


def _by_format(view: View, factor: float, style: Look) -> None:
    """Draw layers or roles by formats; a click chooses the format."""
    values, texts, tips = {}, {}, {}
    for name in formats_by_size(view.results):
        if costs := view.costs(format_name=name):
            joint = view.joint(name)
            values[name] = view.colours(costs, joint)
            texts[name] = words.cells(costs, view.measure, view.how, joint, factor)
            tips[name] = {n: words.tooltip(n, c, view.measure) for n, c in costs.items()}
    look.show(
        charts.group_map(values, texts, tips, view.format_name, style, signed=view.is_signed),
        alt=f"What the {view.noun} cost in each format.",
        **choosing("sensitivity_groups", "type"),
    )
