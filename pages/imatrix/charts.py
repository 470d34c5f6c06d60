"""Figures of the page Importance: columns by their inputs, and one block both ways."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank, powers_of_ten, template, words
from pages.shared.charts.figure import Figure, grid
from pages.shared.palette import Look, colour, marker
from quantcore.evaluate.importance_use import BlockPair

AT_MOST = 1024  # marks; of more columns the loudest of neighbours are shown


def columns(importance: NDArray[np.float32], look: Look) -> Figure:
    """Draw the importance of each column, the median and the three largest."""
    figure = blank(look, 340)
    first = np.arange(0, importance.size, -(-importance.size // AT_MOST))
    shown = np.maximum.reduceat(importance, first)
    shown = np.where(shown > 0, shown, np.nan)  # a log scale has no place for zero
    figure.add_scatter(
        x=first,
        y=shown,
        mode="markers",
        marker={"size": 5, "color": look.quiet, "opacity": 0.75},
        hovertemplate="column %{x}<br>%{y:,.4~r}<extra></extra>",
    )
    top = np.argsort(importance)[::-1][:3]
    figure.add_scatter(
        x=top,
        y=importance[top],
        mode="markers",
        marker={"symbol": "circle-open", "size": 13, "color": look.ink, "line": {"width": 2}},
        hoverinfo="skip",
    )
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    median = float(np.median(importance))
    if median > 0:
        figure.add_hline(y=median, line={"color": look.ink, "width": 1, "dash": "dash"})
        at: dict[str, Any] = {"xref": "paper", "x": 1, "xanchor": "right", "yanchor": "bottom"}
        words(figure, "median", look, y=np.log10(median), **at)
    figure.update_xaxes(title="column", showgrid=False, nticks=8)
    figure.update_yaxes(
        title="mean squared input",
        type="log",
        range=[np.log10(low) - 0.15, np.log10(high) + 0.2],
        # Of a narrow range 2 and 5 between the powers of ten too.
        **(powers_of_ten(low, high) if high > 100 * low else {"dtick": "D2"}),
    )
    return figure


def one_block(both: BlockPair, type_name: str, look: Look, *, narrow: bool = False) -> Figure:
    """Draw importance above, and below it the error of each weight without and with it."""
    figure = grid(2, 1, shared_xaxes=True, row_heights=[0.3, 0.7], vertical_spacing=0.06)
    figure.update_layout(template=template(look), height=430)
    x = np.arange(both.weights.size)
    figure.add_bar(
        x=x,
        y=both.importance,
        marker={"color": look.quiet, "line": {"width": 0}},
        hovertemplate="weight %{x}<br>importance %{y:,.4~r}<extra></extra>",
        row=1,
        col=1,
    )
    size = 4 if narrow or both.weights.size > 64 else 8
    tone, shape = colour(type_name, look), marker(type_name)
    for restored, symbol, word in (
        (both.without, f"{shape}-open", "without"),
        (both.with_it, shape, "with importance"),
    ):
        figure.add_scatter(
            x=x,
            y=restored - both.weights,
            mode="markers",
            marker={"symbol": symbol, "size": size, "color": tone},
            hovertemplate=f"{word}<br>weight %{{x}}<br>error %{{y:,.4~r}}<extra></extra>",
            row=2,
            col=1,
        )
    figure.add_hline(y=0, line={"color": look.line, "width": 1}, row=2, col=1)
    figure.update_yaxes(title="importance", nticks=3, row=1, col=1)
    figure.update_yaxes(title="error", nticks=5, row=2, col=1)
    figure.update_xaxes(showgrid=False, row=1, col=1)
    figure.update_xaxes(title="weight of the block", showgrid=False, nticks=9, row=2, col=1)
    return figure
