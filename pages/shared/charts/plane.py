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
# Methods in the order of their hues, which there are four of: those that follow are dotted, dashed.
HUES = tuple(dict.fromkeys(("gptq", "awq", "hqq", "autoround", "quip", "gptaq", *METHODS)))
DASHES = ("solid", "dot", "dash", "dashdot")


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
    joined: bool = True  # whether the line of its method goes through it
    name: str = ""  # written beside it, where there is room


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
    for by in dict.fromkeys(mark.by for mark in marks):
        joined = _joined(marks, by)
        tone, dash = _line(by, look)
        figure.add_scatter(
            x=[mark.bits_per_weight for mark in joined],
            y=[mark.error for mark in joined],
            mode="lines",
            line={"color": tone, "width": 1.5, "dash": dash},
            hoverinfo="skip",
        )
        _marks(figure, [mark for mark in marks if mark.by == by], look)
    errors = [mark.error for mark in marks]
    low = min([*errors, *([] if bound is None else [float(bound[1].min())])])
    high, widths = max(errors), [mark.bits_per_weight for mark in marks]
    room = (
        max(widths) - min(widths) + 0.2
    )  # for names, and for the bound, which goes on to the left
    named = all(mark.name for mark in marks)
    across = (
        min(widths) - (0.1 * room if named else 0.7),
        max(widths) + (0.2 * room if named else 0.25),
    )
    up = (float(np.log10(low)) - 0.05, float(np.log10(high)) + 0.12)
    if named or not narrow:  # a phone has no room for long names: they are tooltips
        _name_marks(figure, marks, (across, up), look, 290.0 if narrow else 1000.0)
    figure.update_xaxes(title="bits per weight", range=list(across))
    figure.update_yaxes(type="log", range=list(up), title=title, **ticks)
    return figure


def _joined(marks: Sequence[Mark], by: str) -> list[Mark]:
    """List the marks that a method's line goes through."""
    mine = [mark for mark in marks if mark.by == by and mark.joined]
    return sorted(mine, key=lambda mark: mark.bits_per_weight)


def _along(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    """Points on a line, near enough for no name to stand between them; its ends are marks."""
    points = []
    for i in range(1, len(x)):
        n = int(np.hypot(x[i] - x[i - 1], y[i] - y[i - 1]) // 12)
        points += [
            (x[i - 1] + k / n * (x[i] - x[i - 1]), y[i - 1] + k / n * (y[i] - y[i - 1]))
            for k in range(1, n)
        ]
    return points


def _line(by: str, look: Look) -> tuple[str, str]:
    """Colour and dashes of a method's line: the same in every chart, whatever else is in it."""
    if by == "rtn":
        return look.quiet, "solid"
    place = HUES.index(by)
    n = len(look.methods)
    return look.methods[place % n], DASHES[place // n % len(DASHES)]


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


def _name_marks(
    figure: Figure,
    marks: Sequence[Mark],
    spans: tuple[tuple[float, float], tuple[float, float]],
    look: Look,
    width: float,
) -> None:
    """Write names beside marks, where there is room: their own, and the methods' once each.

    A method's name stands at the beginning of its line, unless that mark has one of its own.
    `spans` are the ends of both axes, the second of logarithms; `width` is that of the plot in
    pixels. Names without room are tooltips.
    """
    unnamed = [mark for mark in marks if not mark.name]
    firsts = {mark.by: mark for mark in sorted(unnamed, key=lambda mark: -mark.bits_per_weight)}
    named = [mark for mark in marks if mark.name]
    shown = sorted([*named, *firsts.values()], key=lambda mark: mark.error)
    names = [mark.name or METHODS[mark.by].title for mark in shown]
    size = (width, HEIGHT - 70.0)

    def places(of: Sequence[Mark]) -> tuple[list[float], list[float]]:
        (left, right), (low, high) = spans
        x = [(mark.bits_per_weight - left) / (right - left) * size[0] for mark in of]
        y = [(float(np.log10(mark.error)) - low) / (high - low) * size[1] for mark in of]
        return x, y

    others = [mark for mark in marks if mark not in shown]
    taken = list(zip(*places(others), strict=True))
    for by in {mark.by for mark in marks}:
        taken += _along(*places(_joined(marks, by)))
    sides_of = sides(*places(shown), names, size, taken)
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
