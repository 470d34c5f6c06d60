"""The error of each row of the followed tensor, and the ways to look closer."""

import numpy as np
import streamlit as st

from pages.layer_error import cache, charts, words
from pages.layer_error.choice import Followed, take_clicked
from pages.shared import controls, look
from pages.shared.palette import Look, colour
from pages.shared.units import plural

AT_MOST_ROWS = 512  # of a chart; neighbours are merged, the worst of them shown


def draw_rows(followed: Followed, style: Look) -> None:
    """Draw the error of each row of the followed tensor, and the ways to look closer."""
    tensor, type_name, format_name = followed.tensor, followed.type_name, followed.format_name
    by_row = 100 * cache.row_errors(followed.model.name, tensor, type_name)
    first = np.arange(0, by_row.size, -(-by_row.size // AT_MOST_ROWS))
    worst = int(by_row.argmax())
    stored_as = f"{type_name} ({format_name})" if followed.is_mix else type_name
    look.finding(
        words.rows(tensor, by_row),
        f"Error of each row in {stored_as}, in percent of that row’s own size. Click one to choose "
        "it.",
    )
    places = st.container(horizontal=True, gap="medium", vertical_alignment="bottom")
    with places:
        row = controls.row(by_row.size, start=worst, width=150)
    mean = 100 * followed.errors[tensor].relative_rmse
    merged, tone = np.maximum.reduceat(by_row, first), colour(format_name, style)
    look.show(
        charts.error_by_row(first, merged, row, mean, tone, style),
        key="layer_rows",
        alt=f"Error of {plural(by_row.size, 'row')} of {tensor} in {type_name}; the worst is row "
        f"{worst}.",
        on_select=lambda: take_clicked("layer_rows", "row"),
        selection_mode="points",
    )
    with places:
        for page, label in (
            ("block", f"Row {row} under the microscope"),
            ("scales", "Scales of this tensor"),
            ("weights", "Weights of this tensor"),
        ):
            choices = {"tensor": tensor, "type": format_name, "row": row}
            controls.link(page, label, key=f"layer_to_{page}", **choices)
