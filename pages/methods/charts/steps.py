"""Figures of GPTQ at work: a row part-way, the course of its error, two columns as a lattice."""

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, colour
from pages.shared.units import percent
from quantcore.methods.columns.part_way import Course, PartWay
from quantcore.methods.columns.two_columns import TwoColumns

AT_MOST = 1024  # columns that are drawn


def row_part_way(at: PartWay, order: NDArray[np.intp], type_name: str, look: Look) -> Figure:
    """Draw how far each column is from its original, in the order of rounding."""
    figure = blank(look, 330)
    change, n_done = (at.now - at.weights)[order], int(at.rounded.sum())
    shown = np.unique(np.linspace(0, len(order) - 1, min(AT_MOST, len(order))).astype(int))
    tone = colour(type_name, look)
    for done, symbol in ((True, "circle"), (False, "circle-open")):
        here = shown[(shown < n_done) == done]
        figure.add_scatter(
            x=here,
            y=change[here],
            mode="markers",
            marker={"symbol": symbol, "size": 5, "color": tone if done else look.quiet},
            text=[f"column {column}" for column in order[here]],
            hovertemplate="%{text}<br>moved by %{y:.4~r}<extra></extra>",
        )
    if 0 < n_done < len(order):
        figure.add_vline(x=n_done - 0.5, line={"color": look.ink, "width": 1.5})
    figure.update_xaxes(title="columns, in the order they are rounded", showgrid=False)
    figure.update_yaxes(title="distance from the original weight", nticks=6)
    return figure


def error_course(whole: Course, n_done: int, type_name: str, look: Look) -> Figure:
    """Draw the error of the output after each column: by GPTQ, and by plain rounding."""
    figure = blank(look, 330)
    n_cols = len(whole.pushed) - 1
    shown = np.unique(np.linspace(0, n_cols, min(AT_MOST, n_cols + 1)).astype(int))
    for values, name, tone in (
        (whole.alone, "plain rounding", look.quiet),
        (whole.pushed, "GPTQ", colour(type_name, look)),
    ):
        figure.add_scatter(
            x=shown,
            y=values[shown],
            mode="lines",
            line={"color": tone, "width": 2},
            text=[percent(each) for each in values[shown]],
            hovertemplate=f"{name}, %{{x}} columns: %{{text}}<extra></extra>",
        )
        words(figure, name, look, x=n_cols, y=float(values[-1]), xanchor="right", yshift=12)
        figure.add_scatter(
            x=[n_done],
            y=[values[n_done]],
            mode="markers",
            marker={"size": 10, "color": tone, "line": {"color": look.ink, "width": 1.5}},
            hoverinfo="skip",
        )
    top = float(max(whole.alone.max(), whole.pushed.max())) or 1.0
    figure.update_xaxes(title="columns rounded", showgrid=False)
    figure.update_yaxes(
        range=[0, 1.15 * top], tickformat=".0%", nticks=6, title="error of the output"
    )
    return figure


def lattice(pair: TwoColumns, type_name: str, look: Look) -> Figure:
    """Draw the points that two weights can become, and which of them each way takes."""
    figure = blank(look, 420)
    x, y = pair.points.T
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": 7, "color": look.quiet, "opacity": 0.7},
        text=[f"codes {one}, {two}" for one, two in pair.codes],
        hovertemplate="%{text}<extra></extra>",
    )
    target, tone = pair.target, colour(type_name, look)
    taken = {pair.nearest_each: "each by itself", pair.nearest_plane: "GPTQ"}
    if len(taken) == 1:
        taken = {pair.nearest_plane: "both"}
    for index, name in taken.items():
        here = pair.points[index]
        figure.add_scatter(
            x=[target[0], here[0]],
            y=[target[1], here[1]],
            mode="lines+markers",
            line={"color": tone if name != "each by itself" else look.ink, "width": 2},
            marker={"size": [0, 13], "color": tone if name != "each by itself" else look.ink},
            hoverinfo="skip",
        )
        above = 15 if here[1] >= target[1] else -15
        words(figure, name, look, x=float(here[0]), y=float(here[1]), yshift=above, strong=True)
    figure.add_scatter(
        x=[target[0]],
        y=[target[1]],
        mode="markers",
        marker={"symbol": "star", "size": 15, "color": look.ink},
        hovertemplate="the weights<extra></extra>",
    )
    reach = 1.2 * max(abs(pair.points - np.asarray(target))[list(taken)].max(), _spacing(pair))
    figure.update_xaxes(
        visible=False, range=[target[0] - 2 * reach, target[0] + 2 * reach], showgrid=False
    )
    figure.update_yaxes(
        visible=False,
        range=[target[1] - reach, target[1] + reach],
        scaleanchor="x",
        showgrid=False,
    )
    return figure


def _spacing(pair: TwoColumns) -> float:
    """How far neighbours of the second column are: the unit of the picture."""
    along = pair.points[pair.codes[:, 0] == pair.codes[0, 0]]
    return float(np.hypot(*(along[1] - along[0])))
