"""What the page Sensitivity looks at: results, format, pieces and measure, all in the address."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from pages.sensitivity.run import FRESH
from pages.sensitivity.setup import GROUPS, HOWS
from pages.sensitivity.words import costs as words
from pages.shared import controls, look
from pages.shared.sweeps import KeptSweep
from quantcore.model.source import Model
from quantcore.recipe.types import get_type
from quantcore.sensitivity.costs import (
    DIVERGENCE,
    Cost,
    Measure,
    Name,
    certain_values,
    costs,
    formats_by_size,
    impacts,
    joint_cost,
    measures,
)
from quantcore.sensitivity.pieces import Group, How
from quantcore.sensitivity.results import Sensitivity


@dataclass(frozen=True)
class View:
    """The choices of the page, and the costs that follow from them."""

    model: Model
    label: str
    results: Sensitivity
    format_name: str
    noun: str  # what is changed at once: "tensors"
    how: How
    measure: Measure

    def costs(
        self, group: Group | None = None, format_name: str | None = None, how: How | None = None
    ) -> dict[str, Cost]:
        """Look up what the pieces of a group cost in a format; by default those chosen."""
        group = group or GROUPS[self.noun]
        fmt = format_name or self.format_name
        return costs(self.results, fmt, self.measure, group, how or self.how)

    @property
    def is_signed(self) -> bool:
        """Whether colours have two sides: what a change costs can be below zero."""
        return self.measure.signed and self.how == "alone"

    def colours(self, of_pieces: Mapping[Name, Cost], joint: Cost | None) -> dict[Name, float]:
        """Say what colours stand for: how much a piece matters, or surely costs or gains."""
        if self.is_signed:
            return certain_values(of_pieces)
        return impacts(of_pieces, self.how, joint)

    def joint(self, format_name: str | None = None) -> Cost | None:
        """Look up the joint cost of all tensors."""
        return joint_cost(self.results, format_name or self.format_name, self.measure)


def choose(model: Model, every: Mapping[str, KeptSweep]) -> View:
    """Draw the controls of the page."""
    mine = [label for label, known in every.items() if known.of_model]
    label, fresh = mine[0], st.session_state.pop(FRESH, None)
    if shown := [each for each in mine if fresh and every[each].path == fresh]:
        st.session_state["results"] = shown[0]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if len(mine) > 1:
            label = _choose_results(mine)
        results = every[label].results
        format_name, asked = _choose_format(results)
        noun = st.segmented_control(
            "Change", list(GROUPS), default="tensors", required=True,
            key="changed", help="One tensor at a time, one whole layer, or one role in all layers.",
            **controls.BOUND,
        )  # fmt: skip
        how = st.segmented_control(
            "Quantize", list(HOWS), default="only this", required=True, key="how",
            help=words.TERMS["how"], **controls.BOUND,
        )  # fmt: skip
        measure = _choose_measure(results)
    look.note(words.measured_on(results.source))
    if asked != format_name:
        look.note(f"{asked} has not been measured here: showing {format_name} instead.")
    return View(model, label, results, format_name, noun, HOWS[how], measure)


def _choose_results(labels: list[str]) -> str:
    if st.session_state.get("results", labels[0]) not in labels:
        del st.session_state["results"]
    return st.selectbox(
        "Results", labels, key="results", width=330, **controls.BOUND,
        help="What was measured for this model, and on which text.",
    )  # fmt: skip


def _choose_format(results: Sensitivity) -> tuple[str, str]:
    """Ask for one of the measured formats, and tell which was asked for before.

    Of a mix that another page chose, the format of most matrices is meant.
    """
    single = {effect.format for effect in results.effects if effect.group != "all"}
    names = [name for name in formats_by_size(results) if name in single]
    start = names.index("Q4_K") if "Q4_K" in names else (len(names) - 1) // 2
    wanted = names[start]
    if asked := st.session_state.get("type") or st.query_params.get("type"):
        wanted = get_type(asked, pure=True).format.name
        st.session_state["type"] = wanted if wanted in names else names[start]
    chosen = st.selectbox(
        "Format", names, start, key="type", help="The formats that were measured.", width=150,
        **controls.BOUND,
    )  # fmt: skip
    return chosen, chosen if wanted in names else wanted


def _choose_measure(results: Sensitivity) -> Measure:
    by_name = measures(results)
    if st.session_state.get("cost", DIVERGENCE) not in by_name:
        del st.session_state["cost"]
    says = " ".join(f"**{name}**: {words.TERMS[name]}" for name in by_name if name in words.TERMS)
    name = st.selectbox(
        "Measured by", list(by_name), key="cost", help=says, width=200, **controls.BOUND
    )
    return by_name[name]


def choosing(chart: str, key: str = "tensor") -> dict:
    """Return options of a chart in which a click chooses a tensor, or another value."""

    def clicked() -> None:
        if place := controls.clicked(chart):
            st.session_state[key] = place[0]

    return {"key": chart, "on_select": clicked, "selection_mode": "points"}
