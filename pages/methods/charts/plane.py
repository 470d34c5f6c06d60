"""The plane of bits and error: a mark for each method and format, a line for each method."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank
from pages.shared.charts.figure import Figure
from pages.shared.charts.labels import sides
from pages.shared.palette import Look, colour, marker
from quantcore.methods import METHODS

HEIGHT = 460


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a method made of a format."""

    by: str
    type: str
    bits_per_weight: float
    error: float
    tip: str
    low: float | None = None  # ends of an interval
    high: float | None = None
    chosen: bool = False


def plane(
    marks: Sequence[Mark],
    look: Look,
    *,
    title: str,
    ticks: dict[str, Any],
    bound: tuple[NDArray, NDArray] | None = None,
    narrow: bool = False,
) -> Figure:
    """Draw bits per weight against an error, on a log scale; `bound` is a dashed line."""
    figure = blank(look, HEIGHT, clickmode="event+select")
    if bound is not None:
        line = {"color": look.quiet, "width": 1.5, "dash": "dash"}
        figure.add_scatter(x=bound[0], y=bound[1], mode="lines", line=line, hoverinfo="skip")
    for number, by in enumerate(dict.fromkeys(mark.by for mark in marks)):
        mine = sorted((m for m in marks if m.by == by), key=lambda mark: mark.bits_per_weight)
        tone = look.quiet if by == "rtn" else look.methods[(number - 1) % len(look.methods)]
        figure.add_scatter(
            x=[mark.bits_per_weight for mark in mine],
            y=[mark.error for mark in mine],
            mode="lines",
            line={"color": tone, "width": 1.5, "dash": "dot" if number > 4 else "solid"},
            hoverinfo="skip",
        )
        _marks(figure, mine, look)
    errors = [mark.error for mark in marks]
    low = min([*errors, *([] if bound is None else [float(bound[1].min())])])
    high, widths = max(errors), [mark.bits_per_weight for mark in marks]
    across = (min(widths) - 0.7, max(widths) + 0.25)
    up = (float(np.log10(low)) - 0.05, float(np.log10(high)) + 0.12)
    if not narrow:  # a phone has room for tooltips only
        _name_lines(figure, marks, (across, up), look)
    figure.update_xaxes(title="bits per weight", range=list(across))
    figure.update_yaxes(type="log", range=list(up), title=title, **ticks)
    return figure


def _marks(figure: Figure, mine: Sequence[Mark], look: Look) -> None:
    figure.add_scatter(
        x=[mark.bits_per_weight for mark in mine],
        y=[mark.error for mark in mine],
        mode="markers",
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [(mark.high or mark.error) - mark.error for mark in mine],
            "arrayminus": [mark.error - (mark.low or mark.error) for mark in mine],
            "thickness": 1.2,
            "width": 3,
            "color": look.quiet,
        },
        marker={
            "symbol": [marker(mark.type) for mark in mine],
            "size": 11,
            "color": [colour(mark.type, look) for mark in mine],
            "line": {
                "color": [look.ink if mark.chosen else look.page for mark in mine],
                "width": [2 if mark.chosen else 1 for mark in mine],
            },
        },
        customdata=[mark.type for mark in mine],
        text=[mark.tip for mark in mine],
        hovertemplate="%{text}<extra></extra>",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


def _name_lines(
    figure: Figure,
    marks: Sequence[Mark],
    spans: tuple[tuple[float, float], tuple[float, float]],
    look: Look,
) -> None:
    """Write the methods' names beside the beginnings of their lines, where there is room.

    `spans` are the ends of both axes, the second of logarithms. Names without room are tooltips.
    """
    firsts = {mark.by: mark for mark in sorted(marks, key=lambda mark: -mark.bits_per_weight)}
    shown = sorted(firsts.values(), key=lambda mark: mark.error)
    names = [METHODS[mark.by].title for mark in shown]
    size = (1000.0, HEIGHT - 70.0)

    def places(of: Sequence[Mark]) -> tuple[list[float], list[float]]:
        (left, right), (low, high) = spans
        x = [(mark.bits_per_weight - left) / (right - left) * size[0] for mark in of]
        y = [(float(np.log10(mark.error)) - low) / (high - low) * size[1] for mark in of]
        return x, y

    others = [mark for mark in marks if mark not in shown]
    sides_of = sides(*places(shown), names, size, list(zip(*places(others), strict=True)))
    for mark, name, side in zip(shown, names, sides_of, strict=True):
        if side:
            figure.add_scatter(
                x=[mark.bits_per_weight],
                y=[mark.error],
                mode="markers+text",  # an unseen mark keeps the word off the one below
                marker={"size": 11, "opacity": 0},
                text=[name],
                textposition=side,
                textfont={"size": 12, "color": look.quiet},
                hoverinfo="skip",
            )
