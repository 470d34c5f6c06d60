"""Figures of the page Block: weights over the values that their block can hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank, extend, wording, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, blend
from pages.shared.units import real_minus
from quantcore.evaluate.landing import Landing
from quantcore.format import Part

Floats = NDArray[np.float32]


def number_line(
    landing: Landing, bold: int, tone: str, look: Look, *, whole_grid: bool = True
) -> Figure:
    """Let weights fall from their true value to the value that they are stored as, one in bold.

    Where the grid does not reach, the ground is shaded: weights from there are cut off. Of a float
    the grid is not whole but only the neighbourhood: its codes have no names there.
    """
    figure = blank(look, 320)
    span = _span(landing.values, landing.grid)
    if whole_grid:
        _beyond(figure, landing.grid, span, look)
    _falls(figure, landing, bold, tone, look)
    _marks(figure, landing, tone, look)
    if whole_grid:
        _code_names(figure, landing, look)
    _weights(figure, landing, look)
    left: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left"}
    words(figure, "the weights", look, y=1, yshift=20, **left)
    below = "the code that each is stored as" if whole_grid else "its neighbours among all floats"
    words(figure, below, look, y=0, yshift=-44 if whole_grid else -24, **left)
    figure.update_xaxes(range=span, showgrid=False, nticks=7, side="top")
    figure.update_yaxes(visible=False, range=[-0.38, 1.22])
    return figure


def _weights(figure, landing: Landing, look: Look) -> None:
    """Draw a ring for each weight; its hover says all about it."""
    values, restored, few = landing.values, landing.restored, landing.values.size <= 64
    numbers = np.arange(values.size) + landing.first_weight
    codes = landing.codes + landing.first_code
    figure.add_scatter(
        x=values,
        y=np.ones(values.size),
        mode="markers",
        marker={
            "color": look.page,
            "size": 9 if few else 6,
            "line": {"color": look.ink, "width": 1.6 if few else 1},
        },
        customdata=np.column_stack([numbers, codes, restored, restored - values]),
        hovertemplate="weight %{customdata[0]}: %{x:,.5~r}<br>code %{customdata[1]}<br>"
        "comes back as %{customdata[2]:,.5~r}<br>error %{customdata[3]:,.2~r}<extra></extra>",
    )


def _falls(figure, landing: Landing, bold: int, tone: str, look: Look) -> None:
    """Draw a line from each weight to where it lands, one of them bold."""
    values, restored = landing.values, landing.restored
    gap = np.full(values.size, np.nan)
    figure.add_scatter(
        x=np.column_stack([values, restored, gap]).ravel(),
        y=np.tile([1, 0, np.nan], values.size),
        mode="lines",
        line={"color": blend(tone, look.page, 0.5), "width": 1.2},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[values[bold], restored[bold]],
        y=[1, 0],
        mode="lines",
        line={"color": look.ink, "width": 2.5},
        hoverinfo="skip",
    )


def _span(values: Floats, grid: Floats) -> list[float]:
    """Show all weights, and the grid unless it is far wider than they are."""
    reach = np.concatenate([values, grid]) if np.ptp(grid) < 4 * np.ptp(values) else values
    pad = 0.04 * (float(np.ptp(reach)) or abs(float(reach[0])) or 1.0)
    return [float(reach.min()) - pad, float(reach.max()) + pad]


def _beyond(figure, grid, span, look) -> None:
    grid = np.sort(grid)  # the codes of four-bit floats do not ascend
    half_steps = np.array([grid[0] - grid[1], grid[-1] - grid[-2]]) / 2 if grid.size > 1 else 0.0
    ends = grid[[0, -1]] + half_steps
    for x0, x1 in ((span[0], ends[0]), (ends[1], span[1])):
        if x1 - x0 > 0.05 * (span[1] - span[0]):
            figure.add_shape(
                type="rect",
                x0=x0,
                x1=x1,
                y0=-0.12,
                y1=1.06,
                fillcolor=look.panel,
                line={"width": 0},
                layer="below",
            )
            words(figure, "cut off", look, x=(x0 + x1) / 2, y=0.5)


def _marks(figure, landing: Landing, tone: str, look: Look) -> None:
    """Draw a tick for each value of the grid, a dot where weights landed, the larger the more."""
    grid, many = landing.grid, landing.grid.size > 40
    figure.add_scatter(
        x=grid,
        y=np.zeros(grid.size),
        mode="markers",
        hoverinfo="skip",
        marker={
            "symbol": "line-ns",
            "size": 6 if many else 13,
            "line": {"color": look.quiet, "width": 0.6 if many else 1.4},
        },
    )
    used, count = np.unique(landing.codes, return_counts=True)
    figure.add_scatter(
        x=grid[used],
        y=np.zeros(used.size),
        mode="markers",
        marker={
            "color": tone,
            "size": np.minimum(5 + 3.2 * np.sqrt(count), 26),
            "line": {"color": look.page, "width": 1},
        },
        customdata=np.column_stack([used + landing.first_code, count]),
        hovertemplate="code %{customdata[0]} = %{x:,.5~r}<br>"
        "%{customdata[1]} weights land here<extra></extra>",
    )


def _code_names(figure, landing: Landing, look: Look) -> None:
    """Write codes below their marks, as many as there is room for; those in use in ink."""
    grid = landing.grid
    every = 1 if grid.size <= 16 else 4 if grid.size <= 32 else 8 if grid.size <= 64 else 32
    landed, notes = set(landing.codes.tolist()), []
    _, firsts = np.unique(grid, return_index=True)  # a value that two codes have is named once
    named = sorted(set(range(0, grid.size, every)) & set(firsts.tolist()))
    for place in _zero_and_spaced(grid) if _is_float(grid) else named:
        font = {"size": 12, "color": look.ink if place in landed else look.quiet}
        text, x = real_minus(str(place + landing.first_code)), float(grid[place])
        notes.append(wording(text, look, x=x, y=0, yshift=-22, font=font))
    extend(figure, notes)


def _is_float(grid: Floats) -> bool:
    """Return whether a long grid is finest around zero, as that of an eight-bit float."""
    return grid.size > 64 and bool(np.ptp(np.diff(grid)) > 0.5 * np.ptp(grid) / grid.size)


def _zero_and_spaced(grid: Floats) -> list[int]:
    """Choose places on such a grid, from the middle outwards, that leave room for their names."""
    middle, room = grid.size // 2, 0.035 * float(np.ptp(grid))
    places = [middle]
    for side in (range(middle + 1, grid.size), range(middle - 1, -1, -1)):
        last = middle
        for place in side:
            if abs(grid[place] - grid[last]) >= room:
                places.append(last := place)
    return places


def weight_errors(
    error: Floats, half_step: float | None, worst: int, first_weight: int, tone: str, look: Look
) -> Figure:
    """Draw the error of each weight in its place; dashed is half a step, where there is one."""
    figure = blank(look, 300)
    tones = [blend(tone, look.page, 0.75)] * error.size
    tones[worst] = look.ink
    figure.add_bar(
        x=np.arange(error.size) + first_weight,
        y=error,
        marker={"color": tones, "line": {"width": 0}},
        hovertemplate="weight %{x}: error %{y:,.3~r}<extra></extra>",
    )
    if half_step is not None:
        for side in (-half_step, half_step):
            figure.add_hline(y=side, line={"color": look.quiet, "width": 1, "dash": "dash"})
        place: dict[str, Any] = {"xref": "paper", "x": 1, "xanchor": "right", "yshift": 9}
        words(figure, "half a step", look, y=half_step, **place)
    reach = 1.25 * max(half_step or 0.0, float(np.abs(error).max()), 1e-12)
    figure.update_xaxes(title="weight in the block", showgrid=False, nticks=9)
    figure.update_yaxes(title="error", range=[-reach, reach], nticks=5)
    return figure


def scale_curve(
    percent: Sequence[int],
    error: Sequence[float],
    best: Sequence[float],
    points: Mapping[str, tuple[float, float]],
    tone: str,
    look: Look,
) -> Figure:
    """Draw the error of the block as the scale turns; every labelled point is one choice.

    `error` is at the present zero point, `best` (dotted) at the best one.
    """
    figure = blank(look, 300)
    for curve, width, dash in ((best, 1.5, "dot"), (error, 2.2, "solid")):
        figure.add_scatter(
            x=list(percent),
            y=curve,
            mode="lines",
            line={"color": tone, "width": width, "dash": dash},
            hovertemplate="scale %{x} %<br>error %{y:,.3~r}<extra></extra>",
        )
    symbols = {"best": "diamond", "yours": "circle-open"}
    for label, (x, y) in points.items():
        figure.add_scatter(
            x=[x],
            y=[y],
            mode="markers",
            cliponaxis=False,
            marker={
                "symbol": symbols.get(label, "circle"),
                "size": 12,
                "color": tone if label != "yours" else look.ink,
                "line": {"color": look.ink, "width": 2},
            },
            hoverinfo="skip",
        )
        shift = -20 if label == "best" else 20
        words(figure, label, look, strong=True, x=x, y=y, yshift=shift, bgcolor=look.page)
    top = max(y for _, y in points.values()) or float(np.max(error)) / 2 or 1.0
    figure.update_xaxes(title="scale, % of what the format’s rule picks", nticks=6)
    figure.update_yaxes(title="error, root mean square", range=[0, 2.2 * top], nticks=4)
    return figure


def super_block(
    values: Floats, parts: Sequence[Part], chosen: int, tone: str, look: Look
) -> Figure:
    """Draw all weights of a super-block, each sub-block over the range that its own grid covers.

    A click carries the number of the sub-block as customdata.
    """
    figure = blank(look, 260, clickmode="event+select")
    notes, shapes = [], []
    for at, part in enumerate(parts):
        strong, (start, stop) = at == chosen, (part.weights.start, part.weights.stop)
        shapes.append(
            {
                "type": "rect",
                **{"x0": start - 0.5, "x1": stop - 0.5},
                **{"y0": float(part.grid.min()), "y1": float(part.grid.max())},
                "fillcolor": blend(tone, look.page, 0.3 if strong else 0.13),
                "line": {"color": look.ink if strong else look.page, "width": 1 + strong},
                "layer": "below",
            }
        )
        place = {"x": (start + stop - 1) / 2, "yref": "paper", "y": 1, "yanchor": "bottom"}
        text = f"<b>{at}</b>" if strong else str(at)
        notes.append(wording(text, look, strong=strong, **place))
    extend(figure, notes, shapes)
    owner = np.repeat(np.arange(len(parts)), [p.weights.stop - p.weights.start for p in parts])
    figure.add_scatter(
        x=np.arange(values.size),
        y=values,
        mode="markers",
        marker={"size": 5, "color": np.where(owner == chosen, look.ink, look.quiet), "opacity": 1},
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        customdata=owner,
        hovertemplate="weight %{x}: %{y:,.4~r}<br>sub-block %{customdata}<extra></extra>",
    )
    reach = 1.06 * max(float(np.abs(values).max()), *(float(np.abs(p.grid).max()) for p in parts))
    figure.update_xaxes(
        title="weight in the super-block", range=[-1, values.size], showgrid=False, nticks=9
    )
    figure.update_yaxes(range=[-reach, reach], nticks=5)
    figure.update_layout(margin={"t": 24})
    return figure
