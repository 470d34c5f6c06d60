"""Two results side by side: another model, another text, with or without an importance matrix."""

from collections.abc import Mapping

import streamlit as st

from pages.sensitivity import costs as figures
from pages.sensitivity import two_words as words
from pages.sensitivity.charts import against as charts
from pages.sensitivity.view import View, choosing
from pages.sensitivity.words import TERMS, tooltip
from pages.shared import controls, look
from pages.shared import sweeps as sensitivity_kept
from pages.shared.charts import layer_map
from pages.shared.palette import Look
from pages.shared.sweeps import Known

NONE = "nothing"
NAMED = 6  # marks of the scatter that are named


def section(view: View, every: Mapping[str, Known], tensor: str, style: Look) -> None:
    """Draw the choice of a second result, and both where there is one."""
    headline = st.container()
    one, two = st.columns([2, 3], vertical_alignment="bottom", gap="large")
    others = [label for label in every if label != view.label]
    if st.session_state.get("second", NONE) not in (NONE, *others):
        del st.session_state["second"]
    with one:
        label = st.selectbox(
            "Lay beside it", [NONE, *others], key="second", **controls.BOUND,
            help="Results of another model, another text, or with an importance matrix: measured "
            "below, kept from before, or from a file.",
        )  # fmt: skip
    with two:
        st.file_uploader(
            "Results from a file", type="json", key="sensitivity_file",
            on_change=sensitivity_kept.take_upload, args=("sensitivity_file",), max_upload_size=64,
            help="The JSON that `python -m quantcore sensitivity --output` writes, or this page.",
        )  # fmt: skip
    if problem := sensitivity_kept.problem():
        st.error(problem)
    if label == NONE:
        with headline:
            look.finding(words.NOTHING_BESIDE, words.HOW_TO_LAY_BESIDE)
        return
    first, second = view.costs("tensor"), _second(view, every[label])
    if not second:
        with headline:
            look.finding(words.no_match(label, view.format_name, every[label].results.formats))
        return
    names = words.told_apart(view.results.source, every[label].results.source)
    with headline:
        rank = figures.correlation(first, second)
        look.finding(
            words.beside(first, second, rank, names),
            words.how_to_read_two(view.format_name),
            help=TERMS["rank"],
        )
    _maps(view, every[label], (first, second), tensor, style)
    _scatter(view, names, (first, second), tensor, style)


def _second(view: View, known: Known) -> dict[str, figures.Cost]:
    """Look up the same pieces in the other results, in the same measure if they have it."""
    if view.measure.name not in figures.measures(known.results):
        return {}
    return figures.costs(known.results, view.format_name, view.measure, "tensor", view.how)


def _maps(view: View, known: Known, both, tensor: str, style: Look) -> None:
    results = view.results, known.results
    weights = []
    for costs, each in zip(both, results, strict=True):
        whole = figures.joint(each, view.format_name, view.measure)
        sure = view.measure.signed
        weights.append(figures.weights_of(costs, view.how, whole, sure=sure))
    ends = [value for weight in weights for value in weight.values()]
    unit = figures.unit_of(cost.size for costs in both for cost in costs.values())
    labels = view.label, known.label
    for at, column in enumerate(st.columns(2, gap="large")):
        with column:
            look.note(f"**{labels[at]}**, in {unit[1]} {view.measure.parts}")
            costs = both[at]
            look.show(
                layer_map.layer_map(
                    weights[at],
                    {n: figures.short(cost.value / unit[0]) for n, cost in costs.items()},
                    tensor,
                    style,
                    says={n: tooltip(n, cost, view.measure) for n, cost in costs.items()},
                    ends=ends,
                ),
                key=f"sensitivity_beside_{at}",
                alt=f"What each matrix costs in {view.format_name}: {labels[at]}.",
            )


def _scatter(view: View, names: tuple[str, str], both, tensor: str, style: Look) -> None:
    first, second = both
    shared = [n for n in first if n in second]
    if len(shared) < 2:
        return

    titles = tuple(f"{view.measure.axis}: {name}" for name in names)
    left, _ = st.columns([3, 2], gap="large")
    with left:
        look.show(
            charts.against(
                first,
                second,
                titles,
                tensor,
                words.apart(first, second)[:NAMED],
                style,
            ),
            alt=f"Cost of each tensor: {names[1]} against {names[0]}.",
            **choosing("sensitivity_against"),
        )
