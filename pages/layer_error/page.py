"""Page: which matrices lose most when the model is stored in a format, or in a mix."""

from collections.abc import Mapping

import streamlit as st

from pages.layer_error import cache, charts, table, words
from pages.layer_error.choice import Followed, choose, percents, take_clicked
from pages.layer_error.rows import draw_rows
from pages.shared import bench, definitions, look, model_types, plans, saving
from pages.shared.charts import layer_map
from pages.shared.palette import Look
from pages.shared.units import WEIGHT_ERROR, plural
from quantcore.evaluate.weight_error import TensorError

COMPARED = (
    "Q8_0", "Q6_K", "Q5_1", "Q5_0", "Q5_K", "Q4_1", "Q4_0", "Q4_K", "Q3_K", "Q2_K",
    "INT8_ROW", "INT4_ROW", "INT4_G128", "INT4_TENSOR",
)  # fmt: skip
AT_FIRST = ("Q8_0", "Q6_K", "Q4_K", "Q4_0", "Q2_K", "INT4_ROW")  # of a model never measured before


def main() -> None:
    """Draw the page."""
    definitions.head("Error by layer", words.PURPOSE, words.DEFINED)
    followed = choose()
    saving.of(followed.model.name, followed.type_name, followed.tensor)
    st.space("small")
    draw_map(followed, look.current())
    st.space("medium")
    errors = compared_errors(followed)
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_side_by_side(followed.model.name, errors, look.current())
    with right:
        draw_profile(followed, errors, look.current())
    st.space("medium")
    draw_rows(followed, look.current())
    with st.expander(f"Table of all matrices in {followed.type_name}"):
        table.show(followed.errors, followed.type_name, followed.tensor, mix=followed.is_mix)


def draw_map(followed: Followed, style: Look) -> None:
    """Draw the error of every matrix at its place, and the worst of them as bars."""
    type_name, errors = followed.type_name, percents(followed.errors)
    formats = {name: error.format for name, error in followed.errors.items()}
    worst = max(errors, key=errors.__getitem__)
    whole = cache.error_of_all(followed.model.name, followed.errors)
    look.finding(
        words.extremes(type_name, errors),
        f"{words.which(type_name, formats)} {words.together(whole)} {words.HOW_TO_READ_MAP}",
        help=WEIGHT_ERROR,
    )
    if copies := model_types.copies(followed.model, type_name):
        look.note(copies)
    left, right = st.columns([3, 2], gap="large")
    two_lines = followed.is_mix and followed.model.config.n_layers <= 15  # fit into a cell
    with left:
        cells = words.cells(errors, formats if two_lines else {})
        look.show(
            layer_map.layer_map(
                errors,
                cells,
                followed.tensor,
                style,
                scale=layer_map.Scale(charts.twice_the_best(errors)),
            ),
            key="layer_map",
            alt=f"Error by layer and role in {type_name}; the worst is {worst}.",
            on_select=lambda: take_clicked("layer_map", "tensor"),
            selection_mode="points",
        )
    with right:
        shown = formats if followed.is_mix else {}
        look.show(
            charts.worst_tensors(errors, 16, followed.tensor, style, shown),
            key="layer_worst",
            alt=f"The matrices with the largest errors in {type_name}, sorted.",
            on_select=lambda: take_clicked("layer_worst", "tensor"),
            selection_mode="points",
        )


def compared_errors(followed: Followed) -> dict[str, dict[str, TensorError]]:
    """Ask for types to compare; errors by type and tensor, the gentlest type first."""
    name = followed.model.name
    at_first = COMPARED if bench.is_shipped(name) else AT_FIRST
    types = model_types.types("Compare", pure=followed.pure, default=at_first)
    every = {one: cache.model_errors(name, one) for one in [*types, followed.type_name]}
    if empty := [one for one, errors in every.items() if not errors]:
        reason = next(iter(plans.fitting(name, empty[0]).left_out.values()))
        look.note(words.not_compared(empty, reason))
    known = [(one, errors) for one, errors in every.items() if errors]
    return dict(sorted(known, key=lambda each: cache.error_of_all(name, each[1])))


def draw_side_by_side(
    model_name: str, every: Mapping[str, Mapping[str, TensorError]], style: Look
) -> None:
    """Draw the map of every type on one colour scale."""
    by_tensor = {name: percents(errors) for name, errors in every.items()}
    whole = {name: cache.error_of_all(model_name, errors) for name, errors in every.items()}
    look.finding(
        words.side_by_side(by_tensor, whole),
        "The maps of all types share one colour scale, so that colours can be compared; layers run "
        "down, roles across. The number is the error of all matrices together.",
        help=WEIGHT_ERROR,
    )
    look.show(
        charts.small_maps(by_tensor, whole, style, columns=2 if look.narrow() else 4),
        key="layer_small",
        alt=f"The error maps of {plural(len(every), 'type')} on one scale.",
    )


def draw_profile(
    followed: Followed, every: Mapping[str, Mapping[str, TensorError]], style: Look
) -> None:
    """Draw what the followed tensor loses in each format that the types give it."""
    own = [errors[followed.tensor] for errors in every.values() if followed.tensor in errors]
    errors = {one.format: 100 * one.relative_rmse for one in own if one.relative_rmse}
    bits = {one.format: one.bits_per_weight for one in own if one.relative_rmse}
    look.finding(
        words.profile(followed.tensor, followed.format_name, errors, bits),
        "This tensor in every format that these types give it: left is smaller, down is closer. "
        "The line joins the formats that no other beats in both size and error.",
    )
    if errors:
        look.show(
            charts.profile(errors, bits, followed.format_name, style),
            key="layer_profile",
            alt=f"Error against bits per weight of {followed.tensor} in "
            f"{plural(len(errors), 'format')}.",
        )
