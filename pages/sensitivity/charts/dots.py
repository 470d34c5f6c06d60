"""Figures of the page Sensitivity, besides the layer map: costs with their intervals.

Axes are logarithmic and show the size of a change. A hollow mark got better, not worse; an interval
that holds zero runs to the edge.
"""

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any

import numpy as np

from pages.sensitivity.words.figures import called
from pages.shared.charts.base import (
    Word,
    blank,
    extend,
    powers_of_ten,
    wording,
    words,
    write_into_cells,
)
from pages.shared.charts.figure import Figure
from pages.shared.charts.layer_map import Scale
from pages.shared.palette import (
    Look,
    blend,
    colour,
    ink_on,
    marker,
)
from pages.shared.units import exact, number
from quantcore.sensitivity.costs import Cost

KEEP = {"selected": {"marker": {"opacity": 1}}, "unselected": {"marker": {"opacity": 1}}}


def reach(costs: Sequence[Cost], *more: float) -> tuple[float, float]:
    """Choose the ends of a log axis as powers of ten; intervals may make it a decade longer."""
    sizes = [cost.size for cost in costs if cost.size > 0] + [each for each in more if each > 0]
    if not sizes:
        return -3.0, 0.0
    low, high = min(sizes), max(sizes)
    ends = [end for cost in costs for end in cost.span if end > 0]
    low = max(min([low, *ends]), 0.3 * low)
    high = min(max([high, *ends]), 3 * high)
    return np.log10(low) - 0.12, np.log10(high) + 0.12


def ticks(low: float, high: float) -> dict:
    """Ticks of a log axis from 10**low to 10**high: powers of ten, finer where it is short."""
    if high - low > 1.6:
        return powers_of_ten(10**low, 10**high)
    every = ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(np.arange(1, 10, 0.2)))
    for steps in every:
        values = [m * 10.0**p for p in range(floor(low) - 1, ceil(high) + 1) for m in steps]
        shown = [value for value in values if low <= np.log10(value) <= high]
        if len(shown) > 1:
            break
    shown = shown[:: ceil(len(shown) / 5)]
    return {"tickvals": shown, "ticktext": [exact(value, 2) for value in shown]}


def arms(costs: Sequence[Cost], low: float) -> dict:
    """Describe the error bars of sizes, cut at the lower end of the axis."""
    least = 10.0**low
    size = [max(cost.size, least) for cost in costs]
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(cost.span[1] - s, 0) for cost, s in zip(costs, size, strict=True)],
        "arrayminus": [
            max(s - max(cost.span[0], least), 0) for cost, s in zip(costs, size, strict=True)
        ],
        "thickness": 1.5,
        "width": 4,
    }


def dots(
    costs: Mapping[str, Cost],
    names: Sequence[str],
    tips: Mapping[str, str],
    format_name: str,
    selected: str,
    look: Look,
    *,
    title: str,
    joint: Cost | None = None,
) -> Figure:
    """Draw a row a piece: its cost and the interval, the first on top; `joint` is a dashed line."""
    shown = [costs[name] for name in names]
    low, high = reach(shown, *([joint.size] if joint else []))
    figure = blank(look, 27 * len(names) + 74, clickmode="event+select")
    tone = colour(format_name, look)
    rows = list(range(len(names)))
    figure.add_scatter(
        x=[max(cost.size, 10**low) for cost in shown],
        y=rows,
        mode="markers",
        error_x=arms(shown, low) | {"color": blend(tone, look.page, 0.6)},
        marker={
            "symbol": [marker(format_name) + "-open" * (cost.value < 0) for cost in shown],
            "size": [14 if name == selected else 10 for name in names],
            "color": tone,
            "opacity": 1,
            "line": {
                "color": [look.ink if name == selected else tone for name in names],
                "width": [2.5 if name == selected else 1 for name in names],
            },
        },
        customdata=list(names),
        text=[tips[name] for name in names],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
        **KEEP,
    )
    _figures(figure, shown, rows, (low, high), look)
    if joint is not None:
        figure.add_vline(x=joint.size, line={"color": look.quiet, "width": 1.5, "dash": "dash"})
        place = {"x": np.log10(joint.size), "y": len(names) - 0.2, "xanchor": "right"}
        words(figure, "nothing kept", look, xshift=-5, **place)
    named = [f"<b>{called(n)}</b>" if n == selected else called(n) for n in names]
    figure.update_yaxes(
        tickvals=rows, ticktext=named, tickfont={"size": 13, "color": look.ink},
        range=[len(names) - 0.2 + 0.7 * (joint is not None), -0.8],
    )  # fmt: skip
    figure.update_xaxes(type="log", range=[low, high], title=title, **ticks(low, high))
    return figure


def _figures(figure, shown: Sequence[Cost], rows: Sequence[int], span, look: Look) -> None:
    """Write each number beside its interval, on the side where there is room, else above."""
    low, high = span
    room = 0.24 * (high - low)
    for row, cost in zip(rows, shown, strict=True):
        ends = [np.log10(max(end, 10**low)) for end in (*cost.span, cost.size)]
        left, right = min(ends), max(ends)
        if right + room < high:
            place = {"x": right, "xanchor": "left", "xshift": 10}
        elif left - room > low:
            place = {"x": left, "xanchor": "right", "xshift": -10}
        else:
            place = {"x": ends[2], "xanchor": "center", "yshift": 13}
        words(figure, number(cost.value), look, y=row, **place)


def group_map(
    values: Mapping[str, Mapping[str, float]],
    texts: Mapping[str, Mapping[str, str]],
    tips: Mapping[str, Mapping[str, str]],
    chosen: str,
    look: Look,
    *,
    one_scale: bool = False,
    signed: bool = False,
    narrow: bool = False,
) -> Figure:
    """Draw a cell a piece and column: formats, or skills; a click carries the column's name.

    Colours count within a column, or over all on `one_scale`. `signed` values below zero are gains,
    in colours of their own. A `narrow` chart has no numbers.
    """
    formats = list(values)
    names = list(dict.fromkeys(name for column in values.values() for name in column))
    ends = [each for column in values.values() for each in column.values()] if one_scale else []
    scale = Scale(ends, signed)
    share = {f: scale.places(column) for f, column in values.items() if column}
    high = (95 if narrow else 16) if any(" " in name for name in formats) else 0  # of longer heads
    figure = blank(look, 40 * len(names) + 52 + high, clickmode="event+select")
    figure.add_heatmap(
        z=[[share.get(f, {}).get(name, np.nan) for f in formats] for name in names],
        colorscale=scale.steps(look), zmin=scale.low, zmax=1, showscale=False, xgap=3, ygap=3,
        hoverinfo="skip",
    )  # fmt: skip
    notes, spots, written = [], [], []
    for x, name in enumerate(formats):
        for y, each in enumerate(names):
            if each in values[name]:
                ink = ink_on(scale.colour(share[name][each], look))
                if not narrow:
                    written.append(Word(x, y, texts[name][each], ink))
                spots.append((x, y, name, tips[name][each]))
        head: dict[str, Any] = {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "yshift": 2}
        head |= {"textangle": -90} if narrow and high else {}
        text = name if narrow else name.replace(" ", "<br>")
        notes.append(wording(f"<b>{text}</b>" if name == chosen else text, look, **head))
    frames = []
    if chosen in formats:
        x = formats.index(chosen)
        edges = {"x0": x - 0.48, "x1": x + 0.48, "y0": -0.47, "y1": len(names) - 0.53}
        frames = [{"type": "rect", "line": {"color": look.ink, "width": 2.5}} | edges]
    extend(figure, notes, frames)
    figure.add_scatter(
        x=[spot[0] for spot in spots],
        y=[spot[1] for spot in spots],
        mode="markers",
        marker={"symbol": "square", "size": 40, "opacity": 0, "color": look.ink},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=[spot[2] for spot in spots],
        text=[spot[3] for spot in spots],
        hovertemplate="%{text}<extra></extra>",
    )
    write_into_cells(figure, written, look)
    figure.update_xaxes(visible=False, range=[-0.5, len(formats) - 0.5])
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[called(name) for name in names],
        range=[len(names) - 0.5, -0.5], showgrid=False,
    )  # fmt: skip
    figure.update_layout(margin={"t": high + 26})
    return figure
