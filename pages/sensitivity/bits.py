"""The section on what some tensors cost against the bits that they take."""

import streamlit as st

from pages.sensitivity.charts import lines as charts
from pages.sensitivity.view import View
from pages.sensitivity.words import costs as words
from pages.sensitivity.words.figures import wording
from pages.shared import controls, look
from pages.shared.palette import Look
from quantcore.sensitivity.costs import Cost, bits_per_weight, formats_by_size


def section(view: View, tensor: str, style: Look) -> None:
    """Draw one line per tensor: those chosen, and the one that is followed."""
    headline = st.container()
    chosen = st.multiselect(
        "Tensors", list(view.model.quantizable), key="curves", **controls.BOUND,
        placeholder="the worst, the middle one, the best, and the one that is followed",
    )  # fmt: skip
    lines = _lines(view, [*(chosen or _typical(view)), tensor])
    if not lines:
        return
    with headline:
        look.finding(
            words.curves(lines, view.measure),
            words.HOW_TO_READ_CURVES,
            help=words.terms(view.measure),
        )
    axis = wording(view.measure).axis
    look.show(
        charts.curves(lines, view.format_name, tensor, axis, style, narrow=look.narrow()),
        key="sensitivity_curves",
        alt=f"Cost against bits per weight of {', '.join(lines)}, with 95 % intervals.",
    )


def _typical(view: View) -> list[str]:
    """Name the tensors that cost most, least, and in the middle."""
    single = view.costs("tensor", how="alone")
    ordered = sorted(single, key=lambda name: single[name].size, reverse=True)
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]] if ordered else []


def _lines(view: View, tensors: list[str]) -> dict[str, dict[str, tuple[float, Cost]]]:
    """Look up bits per weight and cost of each tensor by format, fewest bits first."""
    by_format = {
        format_name: view.costs("tensor", format_name, "alone")
        for format_name in formats_by_size(view.results)
    }
    lines = {
        name: {
            format_name: (
                bits_per_weight(view.results, view.model, name, format_name),
                costs[name],
            )
            for format_name, costs in by_format.items()
            if name in costs
        }
        for name in dict.fromkeys(tensors)
    }
    return {name: line for name, line in lines.items() if line}
