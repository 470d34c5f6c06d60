"""Scatters on log scales: one result against another, and names for some of the marks."""

from collections.abc import Mapping, Sequence

import numpy as np

from pages.sensitivity.charts.dots import KEEP, arms, reach, ticks
from pages.sensitivity.words.figures import called
from pages.shared.charts.base import blank
from pages.shared.charts.figure import Figure
from pages.shared.charts.labels import sides
from pages.shared.palette import Look
from pages.shared.units import number
from quantcore.sensitivity.costs import Cost


def against(
    first: Mapping[str, Cost],
    second: Mapping[str, Cost],
    names: tuple[str, str],
    selected: str,
    stressed: Sequence[str],
    look: Look,
) -> Figure:
    """Draw one result against another, a mark a tensor; on the dashed line both agree."""
    shared = [name for name in first if name in second]
    both = [*(first[name] for name in shared), *(second[name] for name in shared)]
    low, high = reach(both)
    figure = blank(look, 440, clickmode="event+select")
    figure.add_shape(
        type="line", x0=10**low, y0=10**low, x1=10**high, y1=10**high,
        line={"color": look.quiet, "width": 1, "dash": "dash"},
    )  # fmt: skip
    x, y = ([max(each[n].size, 10**low) for n in shared] for each in (first, second))
    figure.add_scatter(
        x=x, y=y, mode="markers",
        error_x=arms([first[n] for n in shared], low) | {"color": look.line, "width": 0},
        error_y=arms([second[n] for n in shared], low) | {"color": look.line, "width": 0},
        marker=_marks(shared, selected, look), customdata=shared,
        text=[
            f"<b>{n}</b><br>{number(first[n].value)} and {number(second[n].value)}" for n in shared
        ],
        hovertemplate="%{text}<extra></extra>", **KEEP,
    )  # fmt: skip
    label(figure, shared, x, y, [n for n in stressed if n in shared], (low, high), look)
    for axis, title in ((figure.update_xaxes, names[0]), (figure.update_yaxes, names[1])):
        axis(type="log", range=[low, high], title=title, **ticks(low, high))
    return figure


def _marks(names: Sequence[str], selected: str, look: Look) -> dict:
    return {
        "size": [13 if name == selected else 9 for name in names],
        "color": look.bits[6],
        "opacity": 0.85,
        "line": {
            "color": [look.ink if name == selected else look.page for name in names],
            "width": [2.5 if name == selected else 1 for name in names],
        },
    }


def label(figure, names, x, y, stressed, span, look, size=(300.0, 380.0), **place) -> None:
    """Name some marks of a log-log chart where there is room for it."""
    low, high = span
    stressed = list(stressed)
    rest = [name for name in names if name not in stressed]
    at = {n: (np.log10(a), np.log10(b)) for n, a, b in zip(names, x, y, strict=True)}
    left, right = place.pop("x_span", span)
    pixels = {
        n: ((a - left) / (right - left) * size[0], (b - low) / (high - low) * size[1])
        for n, (a, b) in at.items()
    }
    places = sides(
        [pixels[n][0] for n in stressed], [pixels[n][1] for n in stressed],
        [called(n) for n in stressed], size, [pixels[n] for n in rest],
    )  # fmt: skip
    for name, side in zip(stressed, places, strict=True):
        if side:
            figure.add_scatter(
                x=[10 ** at[name][0]], y=[10 ** at[name][1]], mode="markers+text",
                text=[called(name)], marker={"size": 13, "opacity": 0},
                textposition=side, textfont={"size": 12, "color": look.ink}, hoverinfo="skip",
                cliponaxis=False, **place,
            )  # fmt: skip
