"""Figures of the page Weights: how one tensor's values are distributed."""

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank, powers_of_ten, template, words
from pages.shared.charts.figure import Figure, grid
from pages.shared.palette import Look, blend
from pages.shared.units import number, one_in, percent
from quantcore.evaluate.statistics import Ranges


def distribution(
    counts: NDArray[np.int64],
    edges: NDArray[np.float64],
    mean: float,
    deviation: float,
    look: Look,
    *,
    log: bool,
    grid: NDArray[np.float64],
    grid_colour: str,
) -> Figure:
    """Draw bars over the weights, the normal curve of equal spread, and a grid's values below."""
    figure = blank(look, 430, bargap=0)
    middles, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    figure.add_bar(
        x=middles,
        y=counts,
        width=width,
        marker={"color": _tones(middles, grid, grid_colour, look), "line": {"width": 0}},
        customdata=np.column_stack([edges[:-1], edges[1:]]),
        hovertemplate="%{customdata[0]:,.4~r} to %{customdata[1]:,.4~r}<br>"
        "%{y:,} weights<extra></extra>",
    )
    top = float(counts.max())
    if deviation:
        top = max(top, _normal_curve(figure, counts.sum(), mean, deviation, edges, look, log))
    _grid_below(figure, grid, grid_colour, look)
    floor = 0.5 if log else 0.0
    high = 2 * top if log else 1.08 * top
    figure.update_xaxes(range=1.03 * edges[[0, -1]], showgrid=False, nticks=9, anchor="y2")
    figure.update_yaxes(title="weights in a bin", domain=[0.15, 1], nticks=5)
    if log:
        limits = np.log10([floor, high])
        figure.update_yaxes(type="log", range=limits, **powers_of_ten(1, high))
    else:
        figure.update_yaxes(range=[floor, high])
    figure.update_layout(
        yaxis2={"domain": [0, 0.1], "range": [-1, 1], "visible": False, "anchor": "x"}
    )
    return figure


def _tones(middles, grid, grid_colour, look) -> list[str]:
    """Colour the bins that the grid stores as 0."""
    half_step = abs(grid[1] - grid[0]) / 2 if grid.size > 1 else 0.0
    tones = blend(look.quiet, look.page, 0.5), blend(grid_colour, look.page, 0.55)
    return [tones[int(abs(middle) < half_step)] for middle in middles]


def _normal_curve(figure, n_weights, mean, deviation, edges, look, log) -> float:
    """Draw the counts that a normal distribution would give; return the highest."""
    x = np.linspace(edges[0], edges[-1], 401)
    height = n_weights * (edges[1] - edges[0]) / (deviation * np.sqrt(2 * np.pi))
    curve = height * np.exp(-(((x - mean) / deviation) ** 2) / 2)
    seen = curve > (0.5 if log else height / 1e4)
    figure.add_scatter(
        x=x[seen],
        y=curve[seen],
        mode="lines",
        line={"color": look.ink, "width": 1.6, "dash": "dash"},
        hoverinfo="skip",
    )
    at = mean + 1.9 * deviation
    y = height * np.exp(-1.805)
    place = {"x": at, "y": np.log10(y) if log else y, "xanchor": "left", "xshift": 8, "yshift": 9}
    words(figure, "normal", look, **place)
    return float(height)


def _grid_below(figure, grid, tone, look) -> None:
    """Draw a tick for each value that one scale for the whole tensor leaves."""
    figure.add_scatter(
        x=grid,
        y=np.zeros(grid.size),
        yaxis="y2",
        mode="markers",
        marker={"symbol": "line-ns", "size": 18, "line": {"color": tone, "width": 2}},
        customdata=np.arange(grid.size) - grid.size // 2,
        hovertemplate="code %{customdata}: %{x:,.4~r}<extra></extra>",
    )


def codes(counts: NDArray[np.int64], lowest: int, tone: str, look: Look, *, narrow: bool) -> Figure:
    """Draw how many weights have each code, from the lowest on."""
    figure = blank(look, 260, bargap=0.35 if len(counts) < 40 else 0)
    places = lowest + np.arange(len(counts))
    share = counts / counts.sum()
    few = len(counts) <= 17 and not narrow
    figure.add_bar(
        x=places,
        y=counts,
        marker={"color": tone, "line": {"width": 0}},
        text=[percent(each) for each in share] if few else None,
        textposition="outside" if few else "none",
        textfont={"size": 12, "color": look.quiet},
        cliponaxis=False,
        hovertemplate="code %{x}: %{y:,} weights<extra></extra>",
    )
    figure.update_xaxes(title="weight, in steps of its block", showgrid=False, nticks=17)
    figure.update_yaxes(title="weights", range=[0, 1.12 * counts.max()], nticks=5)
    return figure


def tails(
    sigmas: NDArray[np.float64],
    shares: NDArray[np.float64],
    normal: NDArray[np.float64],
    n_weights: int,
    look: Look,
) -> Figure:
    """Draw the share of weights beyond each distance, beside the normal distribution's."""
    figure = blank(look, 330)
    seen, floor = shares > 0, 0.5 / n_weights
    near = normal > floor
    figure.add_scatter(
        x=sigmas[near],
        y=normal[near],
        mode="lines",
        line={"color": look.ink, "width": 1.6, "dash": "dash"},
        text=[one_in(share) for share in normal[near]],
        hovertemplate="normal: %{text} beyond %{x:.1f} σ<extra></extra>",
    )
    figure.add_scatter(
        x=sigmas[seen],
        y=shares[seen],
        mode="lines",
        line={"color": look.quiet, "width": 3.5},
        text=[one_in(share) for share in shares[seen]],
        hovertemplate="these weights: %{text} beyond %{x:.1f} σ<extra></extra>",
    )
    last = sigmas[seen][-1]
    figure.add_scatter(
        x=[last],
        y=[shares[seen][-1]],
        mode="markers",
        marker={"color": look.quiet, "size": 9},
        hoverinfo="skip",
    )
    level = max(1e-2, 2 * floor)
    ours, theirs = (float(np.interp(-level, -curve, sigmas)) for curve in (shares, normal))
    for x, text, right in (
        (ours, "these weights", ours >= theirs),
        (theirs, "normal", ours < theirs),
    ):
        anchor, shift = ("left", 9) if right else ("right", -9)
        words(figure, text, look, x=x, y=np.log10(level), xanchor=anchor, xshift=shift)
    figure.update_xaxes(title="distance from the mean, in standard deviations", nticks=8)
    figure.update_yaxes(
        type="log",
        title="share of weights beyond it",
        range=[np.log10(floor), 0.15],
        tickvals=(ticks := [10.0**-p for p in range(9) if 10.0**-p > floor]),
        ticktext=["all" if t == 1 else f"1 in {1 / t:,.0f}" for t in ticks],
    )
    return figure


def extremes(rows: Ranges, columns: Ranges, reach: float, look: Look) -> Figure:
    """Draw the range of every row and every column as a band, its spread as a darker one."""
    figure = grid(1, 2, shared_yaxes=True, horizontal_spacing=0.03)
    figure.update_layout(template=template(look), height=330)
    for at, (word, ranges) in enumerate((("row", rows), ("column", columns)), start=1):
        _bands(figure, ranges, word, look, {"row": 1, "col": at})
        _name_widest(figure, ranges, word, look, {"row": 1, "col": at})
        figure.update_xaxes(title=word, showgrid=False, nticks=5, row=1, col=at)
    figure.update_yaxes(range=[-1.2 * reach, 1.2 * reach], nticks=7)
    return figure


def _bands(figure, ranges: Ranges, word: str, look: Look, where: dict) -> None:
    x = np.append(ranges.first, ranges.first[-1] + _step(ranges))
    line = {"width": 0, "shape": "hv"}
    for low, high, share in (
        (ranges.minimum, ranges.maximum, 0.28),
        (-ranges.spread, ranges.spread, 0.75),
    ):
        for edge, fill in ((low, None), (high, "tonexty")):
            figure.add_scatter(
                x=x,
                y=np.append(edge, edge[-1]),
                mode="lines",
                line=line,
                fill=fill,
                fillcolor=blend(look.quiet, look.page, share),
                hoverinfo="skip",
                **where,
            )
    figure.add_scatter(
        x=ranges.first + _step(ranges) / 2,
        y=ranges.maximum,
        mode="markers",
        marker={"opacity": 0, "size": 8},
        text=_covered(ranges),
        customdata=np.column_stack([ranges.minimum, ranges.maximum, ranges.spread]),
        hovertemplate=f"{word} %{{text}}<br>%{{customdata[0]:,.4~r}} to "
        "%{customdata[1]:,.4~r}<br>root mean square %{customdata[2]:,.3~r}<extra></extra>",
        **where,
    )


def _name_widest(figure, ranges: Ranges, word: str, look: Look, where: dict) -> None:
    size = ranges.reach
    at = int(size.argmax())
    x = ranges.first[at] + _step(ranges) / 2
    y = float(ranges.maximum[at] if ranges.maximum[at] == size[at] else ranges.minimum[at])
    ring = {"symbol": "circle-open", "size": 11, "color": look.ink, "line": {"width": 2}}
    figure.add_scatter(x=[x], y=[y], mode="markers", marker=ring, hoverinfo="skip", **where)
    right = at > ranges.first.size / 2
    place = {"xanchor": "right" if right else "left", "xshift": -11 if right else 11}
    text = f"{word} {ranges.widest}: {number(y)}"
    words(figure, text, look, strong=True, x=x, y=y, **place, **where)


def _covered(ranges: Ranges) -> list[str]:
    """Name the rows or columns of each entry: one, or a few neighbours."""
    return [
        f"{first}" if first == last else f"{first} to {last}"
        for first, last in zip(ranges.first, ranges.last, strict=True)
    ]


def _step(ranges: Ranges) -> int:
    return int(ranges.first[1] - ranges.first[0]) if ranges.first.size > 1 else 1
