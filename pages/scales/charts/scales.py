"""Figures of the page Scales: how large scale factors are, where, what they cost, how they lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank, words
from pages.shared.charts.figure import Figure
from pages.shared.charts.labels import sides
from pages.shared.palette import Look, blend, colour, marker
from pages.shared.units import exact, three

Numbers = Sequence[int] | NDArray[np.int64]


def spread(
    counts: NDArray, edges: NDArray, marks: Mapping[str, float], word: str, tone: str, look: Look
) -> Figure:
    """Draw how many scales have which size; `marks` are named sizes, drawn as lines."""
    figure = blank(look, 380, bargap=0.04)
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges),
        marker={"color": blend(tone, look.page, 0.75), "line": {"width": 0}},
        customdata=np.column_stack([edges[:-1], edges[1:]]),
        hovertemplate="%{customdata[0]:,.4~r} to %{customdata[1]:,.4~r}<br>%{y:,}<extra></extra>",
    )
    top = 1.0
    middle = (edges[0] + edges[-1]) / 2
    for place, (name, size) in enumerate(marks.items()):
        figure.add_vline(x=size, line={"color": look.ink, "width": 1, "dash": "dash"})
        left = size > middle
        at: dict[str, Any] = {"xanchor": "right" if left else "left", "xshift": -6 if left else 6}
        words(
            figure,
            f"{name} {exact(size, 3)}",
            look,
            x=size,
            yref="paper",
            y=top - 0.09 * place,
            yanchor="top",
            **at,
        )
    figure.update_xaxes(title=f"size of a {word}", showgrid=False, nticks=6)
    figure.update_yaxes(title="how many", nticks=5)
    return figure


def scale_map(
    sizes: NDArray,
    rows: Numbers,
    columns: Numbers,
    tone: str,
    look: Look,
) -> Figure:
    """Draw the size of each scale where it lies: rows down, along the row to the right.

    `rows` and `columns` are the numbers of the cells' first row and scale, where neighbours were
    merged. A click carries both as customdata.
    """
    figure = blank(look, 380, clickmode="event+select", hoverdistance=100)
    figure.add_heatmap(
        z=sizes,
        colorscale=[
            [0, blend(tone, look.page, 0.04)],
            [0.5, blend(tone, look.page, 0.5)],
            [1, tone],
        ],
        zmin=float(sizes.min()),
        zmax=float(sizes.max()),
        showscale=False,
        hoverinfo="skip",
    )
    y, x = np.indices(sizes.shape)
    places = np.column_stack([np.asarray(rows)[y.ravel()], np.asarray(columns)[x.ravel()]])
    figure.add_scatter(
        x=x.ravel(),
        y=y.ravel(),
        mode="markers",
        marker={"symbol": "square", "size": 7, "opacity": 0, "color": look.ink},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=places,
        text=[exact(size) for size in sizes.ravel()],
        hovertemplate="row %{customdata[0]}, scale %{customdata[1]}: %{text}<extra></extra>",
    )
    top, along = np.unravel_index(int(sizes.argmax()), sizes.shape)
    figure.add_scatter(
        x=[along],
        y=[top],
        mode="markers",
        marker={"symbol": "circle-open", "size": 16, "color": look.ink, "line": {"width": 2}},
        hoverinfo="skip",
    )
    _numbered(figure.update_xaxes, columns, "scale along the row", sizes.shape[1], False)
    _numbered(figure.update_yaxes, rows, "row", sizes.shape[0], True)
    return figure


def _numbered(update, numbers: Numbers, title: str, count: int, down: bool) -> None:
    """Write the numbers that cells stand for along an axis."""
    places = list(range(0, count, max(1, count // 6)))
    span = [-0.5, count - 0.5]
    update(
        title=title,
        tickvals=places,
        ticktext=[str(numbers[place]) for place in places],
        range=span[::-1] if down else span,
        showgrid=False,
    )


def cost(
    bits: Mapping[str, float],
    errors: Mapping[str, float],
    chosen: str,
    look: Look,
    *,
    narrow: bool = False,
) -> Figure:
    """Draw what scales cost against what they save: bits a weight for scales, error of the tensor.

    The line joins integers of the same width whose scale covers ever fewer weights.
    """
    figure = blank(look, 400)
    percent = {name: 100 * error for name, error in errors.items()}
    line = [name for name in bits if name.startswith("INT") and not name.endswith("_ASYM")]
    line.sort(key=bits.__getitem__)
    figure.add_scatter(
        x=[bits[name] for name in line],
        y=[percent[name] for name in line],
        mode="lines",
        line={"color": look.line, "width": 2},
        hoverinfo="skip",
    )
    right, top = 1.12 * max(bits.values()), 1.12 * max(percent.values())
    left = -0.06 * right
    names = sorted(bits, key=lambda name: (name != chosen, name in line, percent[name]))
    size = (290.0, 340.0) if narrow else (1180.0, 340.0)
    places = sides(
        [(bits[name] - left) / (right - left) * size[0] for name in names],
        [percent[name] / top * size[1] for name in names],
        names,
        size,
    )
    for name, side in zip(names, places, strict=True):
        strong = name == chosen
        figure.add_scatter(
            x=[bits[name]],
            y=[percent[name]],
            mode="markers+text" if side else "markers",
            text=[f"<b>{name}</b>" if strong else name],
            textposition=side or "top center",
            textfont={"size": 12, "color": look.ink if strong or name not in line else look.quiet},
            marker={
                "symbol": marker(name),
                "size": 14 if strong else 11,
                "color": colour(name, look),
                "line": {"color": look.page, "width": 1},
            },
            cliponaxis=False,
            hovertemplate=f"<b>{name}</b><br>{bits[name]:.4f} bits per weight for scales<br>"
            f"error {three(percent[name])} %<extra></extra>",
        )
    figure.update_xaxes(title="bits per weight spent on scales and minima", range=[left, right])
    figure.update_yaxes(
        title="error, % of the tensor’s size", range=[0, top], nticks=6, ticksuffix="\u202f%"
    )
    return figure
