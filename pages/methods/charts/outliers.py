"""Figures of the outlier lab: errors without and with outlier channels, and the columns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.methods.charts.errors import ticks
from pages.shared.charts.base import blank, powers_of_ten, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, colour, marker
from pages.shared.units import number, percent
from quantcore.evaluate.outlier_errors import Way

LEAST = 1e-7  # what is drawn of an error of zero
GAP = 0.7  # between ways of different kinds, in rows


def errors(
    without: Mapping[Way, float], having: Mapping[Way, float], names: Mapping[Way, str], look: Look
) -> Figure:
    """Draw a line for each way, from its error without outlier channels to that with them."""
    heights = _heights(list(having))
    figure = blank(look, round(30 * (heights[-1] + 1)) + 62)
    for (way, error), y in zip(having.items(), heights, strict=True):
        ends = [max(error, LEAST), max(without[way], LEAST)]
        tone, symbol = colour(way.type, look), marker(way.type)
        figure.add_scatter(
            x=ends,
            y=[y, y],
            mode="lines+markers",
            line={"color": look.line, "width": 3},
            marker={
                "symbol": [symbol, f"{symbol}-open"],
                "size": 12,
                "color": tone,
                "line": {"color": tone, "width": 2},
            },
            text=[
                f"<b>{names[way]}</b><br>{said} outlier channels {percent(each)}"
                for said, each in zip(("with", "without"), (error, without[way]), strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        )
        right = ends[0] >= ends[1]
        place: dict[str, Any] = {
            "xanchor": "left" if right else "right",
            "xshift": 11 if right else -11,
        }
        words(figure, percent(error), look, x=np.log10(ends[0]), y=y, **place)
    every = [max(each, LEAST) for each in (*having.values(), *without.values())]
    low, high = min(every), max(every)
    room = 0.2 * np.log10(high / low) + 0.05
    figure.update_xaxes(
        type="log",
        range=[np.log10(low) - 0.5 * room, np.log10(high) + room],
        title="relative error of the output",
        **_ticks(low, high),
    )
    figure.update_yaxes(
        tickvals=heights,
        ticktext=[names[way] for way in having],
        tickfont={"size": 12, "color": look.ink},
        range=[heights[-1] + 0.6, -0.6],
        showgrid=False,
    )
    return figure


def _ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks in percent; at powers of ten only where there are several."""
    if high <= 30 * low:
        return ticks(low / 1.2, 1.2 * high)
    powers = powers_of_ten(low / 2, 2 * high)["tickvals"]
    return {"tickvals": powers, "ticktext": [percent(power) for power in powers]}


def _heights(ways: list[Way]) -> list[float]:
    """Put ways one below the other, those of other types or inputs further down."""
    heights, at = [], 0.0
    for i, way in enumerate(ways):
        before = ways[max(i - 1, 0)]
        if way.rounds_inputs != before.rounds_inputs or way.type[:4] != before.type[:4]:
            at += GAP
        heights.append(at)
        at += 1
    return heights


def columns(before: NDArray, after: NDArray, what: str, look: Look) -> Figure:
    """Draw the largest weight or input of each column, before and after."""
    figure = blank(look, 260)
    shown = [np.where(each > 0, each, np.nan).astype(float) for each in (before, after)]
    at = np.arange(len(after))
    moved = before != after
    for values, name, style in (
        (shown[0], "before", {"symbol": "circle-open", "color": look.quiet, "size": 4}),
        (
            np.where(moved, shown[1], np.nan),
            "after",
            {"symbol": "circle", "color": look.ink, "size": 5},
        ),
    ):
        figure.add_scatter(
            x=at,
            y=values,
            mode="markers",
            marker=style,
            hovertemplate=f"column %{{x:,}}<br>{name}: largest {what} %{{y:,.3~r}}<extra></extra>",
        )
    every = np.concatenate(shown)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    axis = powers_of_ten(low, high)
    axis = axis if len(axis["tickvals"]) > 1 else {"dtick": "D2"}
    figure.update_yaxes(
        type="log",
        title=f"largest {what}",
        range=[np.log10(low) - 0.1, np.log10(high) + 0.15],
        **axis,
    )
    figure.update_xaxes(title="column", showgrid=False, range=[-0.02 * len(at), 1.02 * len(at)])
    largest = int(np.nanargmax(shown[1]))
    words(
        figure,
        number(float(shown[1][largest])),
        look,
        x=largest,
        y=float(np.log10(shown[1][largest])),
        yshift=11,
    )
    return figure
