"""The sections on what can be trusted: sums of single effects, and cheap guides."""

import streamlit as st

from pages.sensitivity.charts import guides as guide_charts
from pages.sensitivity.charts import lines as line_charts
from pages.sensitivity.view import View, choosing
from pages.sensitivity.words import trust as words
from pages.sensitivity.words.costs import TERMS
from pages.shared import controls, look
from pages.shared.palette import Look, colour
from quantcore.sensitivity.compare import guide_orders, sums_by_format, sums_by_group


def sums(view: View, style: Look) -> None:
    """Draw sums of single effects beside the joint ones, by format or within one."""
    headline = st.container()
    by_format = sums_by_format(view.results)
    by_group = sums_by_group(view.results, view.model, view.format_name)
    over = words.SUMS[0]
    if by_format and by_group:
        over = st.segmented_control(
            "Sums over", words.SUMS, default=over, required=True, key="sums", **controls.BOUND
        )
    shown = by_group if over == words.SUMS[1] or not by_format else by_format
    if not shown:
        return
    with headline:
        look.finding(*words.sums(shown, view.format_name), help=TERMS["sums"])
    tones = {name: colour(name, style) for name in view.results.formats}
    look.show(
        line_charts.additivity(shown, tones, view.format_name, style),
        key="sensitivity_sums",
        alt="The sum of single effects as a multiple of the joint effect.",
    )


def guides(view: View, tensor: str, style: Look) -> None:
    """Draw each cheap guide against what was measured."""
    orders = guide_orders(view.results, view.format_name)
    if not orders:
        return
    st.space("medium")
    says = words.guides(orders, view.format_name)
    look.finding(says, words.HOW_TO_READ_GUIDES, help=TERMS["guides"])
    look.show(
        guide_charts.against_guides(orders, view.format_name, tensor, style, look.narrow()),
        alt=f"Each guide against the measured divergence of tensors in {view.format_name}.",
        **choosing("sensitivity_guides"),
    )
