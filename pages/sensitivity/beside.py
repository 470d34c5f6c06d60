"""Two results side by side: another model, another text, with or without an importance matrix."""

from collections.abc import Mapping

import streamlit as st

from pages.sensitivity.charts import against as charts
from pages.sensitivity.view import View, choosing
from pages.sensitivity.words import beside as words
from pages.sensitivity.words.costs import TERMS, tooltip
from pages.sensitivity.words.figures import short, unit_of, wording
from pages.shared import controls, look, sweeps, uploads
from pages.shared.charts import layer_map
from pages.shared.palette import Look
from pages.shared.sweeps import KeptSweep
from quantcore.sensitivity.compare import correlation_of, off_the_median_ratio
from quantcore.sensitivity.costs import Cost, costs, joint_cost, measures

NONE = "nothing"
NAMED = 6  # marks of the scatter that are named


def section(view: View, every: Mapping[str, KeptSweep], tensor: str, style: Look) -> None:
    """Draw the choice of a second result, and both where there is one."""
    headline = st.container()
    one, two = st.columns([2, 3], vertical_alignment="bottom", gap="large")
    others = [label for label in every if label != view.label]
    if st.session_state.get("second", NONE) not in (NONE, *others):
        del st.session_state["second"]
    with one:
        label = st.selectbox(
            "Compare with", [NONE, *others], key="second", **controls.BOUND,
            help="Results of another model, on another text, or with an importance matrix: "
            "measured below, kept from before, or from a file.",
        )  # fmt: skip
    with two:
        st.file_uploader(
            "Results from a file", type="json", key="sensitivity_file",
            on_change=sweeps.take_upload, args=("sensitivity_file",),
            max_upload_size=uploads.MAX_MB,
            help="The JSON that this page or `python -m quantcore sensitivity --output` writes.",
        )  # fmt: skip
    if problem := sweeps.problem():
        look.problem(problem)
    if label == NONE:
        with headline:
            look.finding(words.NOTHING_BESIDE, words.HOW_TO_COMPARE)
        return
    first, second = view.costs("tensor"), _second(view, every[label])
    if not second:
        with headline:
            look.finding(words.no_match(label, view.format_name, every[label].results.formats))
        return
    names = words.names_by_difference(view.results.source, every[label].results.source)
    with headline:
        rank = correlation_of(first, second)
        look.finding(
            words.beside(first, second, rank, names),
            words.how_to_read_two(view.format_name),
            help=TERMS["rank"],
        )
    _maps(view, every[label], (first, second), tensor, style)
    _scatter(view, names, (first, second), tensor, style)


def _second(view: View, known: KeptSweep) -> dict[str, Cost]:
    """Look up the same pieces in the other results, in the same measure if they have it."""
    if view.measure.name not in measures(known.results):
        return {}
    return costs(known.results, view.format_name, view.measure, "tensor", view.how)


def _maps(view: View, known: KeptSweep, both, tensor: str, style: Look) -> None:
    results = view.results, known.results
    colours = []
    for of_tensors, each in zip(both, results, strict=True):
        joint = joint_cost(each, view.format_name, view.measure)
        colours.append(view.colours(of_tensors, joint))
    ends = [value for each in colours for value in each.values()]
    factor, part = unit_of(cost.size for of_tensors in both for cost in of_tensors.values())
    labels = view.label, known.label
    for at, column in enumerate(st.columns(2, gap="large")):
        with column:
            look.note(f"**{labels[at]}**, in {wording(view.measure).counted_in(part)}")
            of_tensors = both[at]
            look.show(
                layer_map.layer_map(
                    colours[at],
                    {n: short(cost.value / factor) for n, cost in of_tensors.items()},
                    tensor,
                    style,
                    says={n: tooltip(n, cost, view.measure) for n, cost in of_tensors.items()},
                    scale=layer_map.Scale(ends, view.is_signed),
                ),
                key=f"sensitivity_beside_{at}",
                alt=f"What each matrix costs in {view.format_name}: {labels[at]}.",
            )


def _scatter(view: View, names: tuple[str, str], both, tensor: str, style: Look) -> None:
    first, second = both
    shared = [n for n in first if n in second]
    if len(shared) < 2:
        return

    axis = wording(view.measure).axis
    titles = f"{axis}: {names[0]}", f"{axis}: {names[1]}"
    left, _ = st.columns([3, 2], gap="large")
    with left:
        look.show(
            charts.against(
                first,
                second,
                titles,
                tensor,
                off_the_median_ratio(first, second)[:NAMED],
                style,
            ),
            alt=f"Cost of each tensor: {names[1]} against {names[0]}.",
            **choosing("sensitivity_against"),
        )
