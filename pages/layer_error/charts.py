"""Figures of the page Error by layer, besides the layer map."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank, template, words
from pages.shared.charts.figure import Figure, grid
from pages.shared.charts.labels import sides
from pages.shared.charts.layer_map import shares
from pages.shared.palette import Look, colour, harm_colour, harm_scale, marker
from pages.shared.units import spoken, three


def worst_tensors(
    percent: Mapping[str, float],
    count: int,
    selected: str,
    look: Look,
    formats: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the tensors with the largest error as bars, worst first, in the colours of the map.

    Where they differ, `formats` are written behind the names.
    """
    share = shares(percent, twice_the_best(percent))
    names = sorted(percent, key=percent.__getitem__, reverse=True)[:count]
    figure = blank(look, 26 * len(names) + 20, bargap=0.22, clickmode="event+select")
    figure.add_bar(
        y=[spoken(name) + (f", {formats[name]}" if formats else "") for name in names],
        x=[percent[name] for name in names],
        orientation="h",
        marker={
            "color": [harm_colour(share[name], look) for name in names],
            "line": {
                "color": [look.ink if name == selected else look.quiet for name in names],
                "width": [2.5 if name == selected else 1 for name in names],
            },
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        customdata=names,
        text=[f"{three(percent[name])}\u202f%" for name in names],
        textposition="outside",
        textfont={"size": 12, "color": look.ink},
        cliponaxis=False,
        hovertemplate="<b>%{customdata}</b><br>%{x:,.3~r} %<extra></extra>",
    )
    figure.update_yaxes(
        autorange="reversed", showgrid=False, tickfont={"size": 13, "color": look.ink}
    )
    figure.update_xaxes(visible=False, range=[0, 1.2 * percent[names[0]]])
    return figure


def twice_the_best(percent: Mapping[str, float]) -> tuple[float]:
    """Return what the colours of a map span at least, so that matrices that are alike look alike.

    >>> shares({"a": 7.0, "b": 7.7}, twice_the_best({"a": 7.0, "b": 7.7}))["b"] < 0.11
    True
    """
    return (2 * min(percent.values()),)


def small_maps(
    percent: Mapping[str, Mapping[str, float]],
    whole: Mapping[str, float],
    look: Look,
    columns: int = 4,
) -> Figure:
    """Draw the map of every type on one colour scale, in one figure that keeps its columns.

    `percent` are errors by type and matrix, `whole` those of all matrices together.
    """
    names = list(percent)
    rows = -(-len(names) // columns)
    figure = grid(
        rows,
        columns,
        subplot_titles=[f"<b>{name}</b>  {three(whole[name])}\u202f%" for name in names],
        horizontal_spacing=0.03,
        vertical_spacing=min(0.3, 30 / (118 * rows - 26)) if rows > 1 else 0,
    )
    top = max(max(values.values()) for values in percent.values())
    for at, name in enumerate(names):
        table, layers, roles = _table(percent[name])
        figure.add_heatmap(
            z=table,
            x=roles,
            y=[f"layer {layer}" for layer in layers],
            colorscale=harm_scale(look),
            zmin=0,
            zmax=top,
            showscale=False,
            xgap=1.5 if len(layers) < 20 else 0.5,
            ygap=1.5 if len(layers) < 20 else 0.5,
            hovertemplate=f"<b>{name}</b><br>%{{y}} %{{x}}: %{{z:,.3~r}} %<extra></extra>",
            row=at // columns + 1,
            col=at % columns + 1,
        )
    margin = {"l": 0, "r": 0, "t": 26, "b": 0}
    figure.update_layout(template=template(look), height=118 * rows, margin=margin)
    figure.update_annotations(font={"size": 12, "color": look.ink}, yshift=2)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    return figure


def _table(values: Mapping[str, float]) -> tuple[NDArray, list[int], list[str]]:
    cells = {tuple(n.split(".")[1:3]): v for n, v in values.items() if n.startswith("blk.")}
    layers = sorted({int(layer) for layer, _ in cells})
    roles = list(dict.fromkeys(role for _, role in cells))
    table = [[cells.get((str(layer), role), np.nan) for role in roles] for layer in layers]
    return np.array(table), layers, roles


def profile(
    percent: Mapping[str, float], bits: Mapping[str, float], chosen: str, look: Look
) -> Figure:
    """Draw one tensor in every format: bits a weight to the right, error upwards on a log scale."""
    figure = blank(look, 440)
    bound = _frontier(percent, bits)
    figure.add_scatter(
        x=[bits[name] for name in bound],
        y=[percent[name] for name in bound],
        mode="lines",
        line={"color": look.line, "width": 2},
        hoverinfo="skip",
    )
    low, high = min(percent.values()) / 1.7, max(percent.values()) * 1.6
    reach = max(bits.values()) - min(bits.values()) or 1
    left, right = min(bits.values()) - 0.12 * reach, max(bits.values()) + 0.12 * reach
    names = sorted(percent, key=lambda name: (name != chosen, name not in bound, percent[name]))
    size = (310.0, 370.0)  # of a phone, so that labels keep apart there too
    places = sides(
        [(bits[name] - left) / (right - left) * size[0] for name in names],
        [np.log(percent[name] / low) / np.log(high / low) * size[1] for name in names],
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
            textfont={"size": 12, "color": look.ink if strong else look.quiet},
            marker={
                "symbol": marker(name),
                "size": 14 if strong else 11,
                "color": colour(name, look),
                "line": {"color": look.page, "width": 1},
            },
            cliponaxis=False,
            customdata=[name],
            hovertemplate=f"<b>{name}</b><br>{bits[name]:.4g} bits per weight<br>"
            f"error {three(percent[name])} %<extra></extra>",
        )
    ticks = [t for t in (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300) if low < t < high]
    figure.update_yaxes(
        type="log",
        title="error, % of the tensor’s size",
        range=[np.log10(low), np.log10(high)],
        tickvals=ticks,
        ticktext=[f"{t:g}\u202f%" for t in ticks],
    )
    figure.update_xaxes(title="bits per weight, scales included", range=[left, right], nticks=7)
    return figure


def _frontier(percent: Mapping[str, float], bits: Mapping[str, float]) -> list[str]:
    """List the formats that no other beats in both size and error, smallest first."""
    best: list[str] = []
    for name in sorted(percent, key=lambda n: (bits[n], percent[n])):
        if not best or percent[name] < percent[best[-1]]:
            best.append(name)
    return best


def error_by_row(
    first: Sequence[int] | NDArray,
    percent: NDArray,
    chosen: int,
    mean: float,
    tone: str,
    look: Look,
) -> Figure:
    """Draw the error of every row, or the worst of a few neighbours; a click carries its number."""
    figure = blank(look, 300, clickmode="event+select")
    figure.add_hline(y=mean, line={"color": look.quiet, "width": 1, "dash": "dash"})
    figure.add_scatter(
        x=list(first),
        y=percent,
        mode="markers",
        marker={"color": tone, "size": 6, "opacity": 0.75, "line": {"width": 0}},
        selected={"marker": {"opacity": 0.75}},
        unselected={"marker": {"opacity": 0.75}},
        customdata=list(first),
        hovertemplate="row %{customdata}: %{y:,.3~r} %<extra></extra>",
    )
    at = int(np.searchsorted(first, chosen, side="right")) - 1
    figure.add_scatter(
        x=[first[at]],
        y=[percent[at]],
        mode="markers",
        marker={"symbol": "circle-open", "size": 15, "color": look.ink, "line": {"width": 2.5}},
        hoverinfo="skip",
    )
    right = first[at] > 0.8 * first[-1]
    side = {"xanchor": "right" if right else "left", "xshift": -12 if right else 12}
    words(figure, f"row {chosen}", look, strong=True, x=first[at], y=float(percent[at]), **side)
    low, high = min(float(np.min(percent)), mean), max(float(np.max(percent)), mean)
    pad = 0.12 * (high - low) or 0.1 * high or 1.0
    place: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left", "y": mean, "yshift": -9}
    words(figure, "the whole tensor", look, bgcolor=look.page, **place)
    step = first[-1] / 60 or 1
    figure.update_xaxes(title="row", showgrid=False, range=[-step, first[-1] + step])
    figure.update_yaxes(
        title="error, % of the row’s size", range=[max(0, low - pad), high + pad], nticks=5
    )
    return figure
