"""Figures of the page Memory: what lies on each device, and how it grows."""

from collections.abc import Mapping, Sequence

import numpy as np

from pages.shared.charts.base import blank, segment, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, bits_colour, blend, colour
from pages.shared.units import binary
from quantcore.memory.deployed_formats import DEPLOYED
from quantcore.memory.placement import DeviceLoad
from quantcore.memory.rules_of_thumb import nominal_bits

GIB = 2**30


def tone(type_name: str, look: Look) -> str:
    """Return the colour of a type by its bits; of a checkpoint for GPUs by those in its name."""
    named = type_name in DEPLOYED or type_name == "FP8"
    bits = nominal_bits(type_name) if named else None
    return colour(type_name, look) if bits is None else bits_colour(bits, look)


def by_device(loads: Sequence[DeviceLoad], weights: str, cache: str, look: Look) -> Figure:
    """Stack what lies on each device, and the free rest; what lacks runs over the dashed end.

    `weights` and `cache` are formats, whose colours the parts have.
    """
    each = 62 if len(loads) < 4 else 38
    figure = blank(look, each * len(loads) + 70, barmode="stack", bargap=0.42)
    parts = {
        "weights": ([load.weights_bytes for load in loads], tone(weights, look)),
        "KV cache": (
            [load.cache_bytes for load in loads],
            blend(tone(cache, look), look.page, 0.6),
        ),
        "compute buffer": (
            [load.compute_bytes for load in loads],
            blend(look.quiet, look.page, 0.55),
        ),
        "kept free": ([load.overhead_bytes for load in loads], blend(look.quiet, look.page, 0.25)),
        "free": ([max(load.free_bytes or 0, 0) for load in loads], look.panel),
    }
    names = [load.name for load in loads]
    rows = [
        f"<b>{name}</b> {names[:at].count(name) + 1}" if names.count(name) > 1 else f"<b>{name}</b>"
        for at, name in enumerate(names)
    ]
    largest = max(max(load.used_bytes, load.capacity_bytes or 0) for load in loads) or 1
    for name, (sizes, fill) in parts.items():
        figure.add_bar(
            y=rows,
            x=[size / GIB for size in sizes],
            text=[f"{name} {binary(size)}" if size > 0.09 * largest else "" for size in sizes],
            **segment(fill, look),
            hovertemplate=[
                f"{row}<br>{name} {binary(size)}<extra></extra>"
                for row, size in zip(rows, sizes, strict=True)
            ],
        )
    for row, load in zip(rows, loads, strict=True):
        if load.capacity_bytes is not None:
            _mark_end(figure, row, load.used_bytes, load.capacity_bytes, look)
    figure.update_layout(margin={"r": 60})  # for what is said at the end of a bar, on a phone
    figure.update_xaxes(range=[0, 1.16 * largest / GIB], title="GiB (2<sup>30</sup> bytes)")
    figure.update_yaxes(
        autorange="reversed", showgrid=False, tickfont={"size": 13, "color": look.ink}
    )
    figure.update_layout(uniformtext={"minsize": 11, "mode": "hide"})
    return figure


def _mark_end(figure: Figure, row: str, used: int, capacity: int, look: Look) -> None:
    free = capacity - used
    says = f"<b>{binary(free)} free</b>" if free >= 0 else f"<b>{binary(-free)} too much</b>"
    if not used:
        says = "not used"
    at = max(capacity, used) / GIB
    words(figure, says, look, strong=bool(used), x=at, y=row, xanchor="left", xshift=5)
    figure.add_scatter(
        x=[capacity / GIB],
        y=[row],
        mode="markers",
        marker={"symbol": "line-ns", "size": 34, "line": {"color": look.ink, "width": 2}},
        hovertemplate=f"{row}<br>{binary(capacity)} can be used<extra></extra>",
    )


def by_type(
    names: Sequence[str],
    weights: Sequence[int],
    rest: int,
    chosen: str,
    limit: int | None,
    look: Look,
) -> Figure:
    """Draw a bar a type: weights, then cache and buffers, which no type changes.

    `limit` is the memory of all GPUs, a dashed line.
    """
    figure = blank(look, 27 * len(names) + 70, barmode="stack", bargap=0.28)
    grey = blend(look.quiet, look.page, 0.35)
    largest = max(weights) + rest
    figure.add_bar(
        y=list(names),
        x=[size / GIB for size in weights],
        orientation="h",
        marker={"color": [tone(name, look) for name in names]},
        hovertemplate=[f"<b>{n}</b><br>weights {binary(w)}<extra></extra>" for n, w in
                       zip(names, weights, strict=True)],
    )  # fmt: skip
    figure.add_bar(
        y=list(names),
        x=[rest / GIB] * len(names),
        orientation="h",
        marker={"color": grey},
        hovertemplate=f"cache and buffers {binary(rest)}<extra></extra>",
    )
    for name, size in zip(names, weights, strict=True):
        total = binary(size + rest)
        words(
            figure,
            f"<b>{total}</b>" if name == chosen else total,
            look,
            strong=name == chosen,
            x=(size + rest) / GIB,
            y=name,
            xanchor="left",
            xshift=5,
        )
    if limit and limit < 1.2 * largest:
        line = {"color": look.ink, "width": 1.5, "dash": "dash"}
        figure.add_vline(x=limit / GIB, line=line)
        words(figure, f"GPU memory {binary(limit)}", look, x=limit / GIB, yref="paper", y=1,
              yanchor="bottom")  # fmt: skip
    figure.update_xaxes(range=[0, 1.2 * largest / GIB], title="GiB (2<sup>30</sup> bytes)")
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"color": look.ink})
    figure.update_layout(margin={"t": 24})
    return figure


def growth(
    at: Sequence[int],
    curves: Mapping[str, Sequence[int]],
    weights: tuple[str, int],
    here: tuple[int, int],
    what: str,
    look: Look,
    dashed: Mapping[str, Sequence[int]] | None = None,
) -> Figure:
    """Draw bytes of the cache by context or by sequences, log both ways.

    Parameters
    ----------
    at
        Tokens or sequences, rising.
    curves
        Cache format to bytes at each; the first is the chosen one.
    weights
        Type and bytes of the weights, drawn as a level.
    here
        The chosen place and its bytes, marked.
    what
        Title of the axis.
    dashed
        Bytes at each by formulas that are wrong; their name is written at the line.
    """
    figure = blank(look, 400)
    dashed = dashed or {}
    for place, (name, sizes) in enumerate(sorted(dashed.items(), key=lambda item: -item[1][-1])):
        _line(figure, at, sizes, name, {"color": look.quiet, "width": 1.5, "dash": "dash"})
        end = -1 - 2 * place if len(at) > 2 * place else -1  # so that names do not meet
        x, y = np.log10(at[end]), np.log10(sizes[end] / GIB)
        words(figure, name, look, x=x, y=y, xanchor="right", xshift=-4, yshift=10)
    for name, sizes in curves.items():
        line = {"color": tone(name, look), "width": 3 if name == next(iter(curves)) else 2}
        _line(figure, at, sizes, f"cache in {name}", line)
        x, y = np.log10(at[-1]), np.log10(sizes[-1] / GIB)
        words(figure, f"<b>{name}</b>", look, strong=True, x=x, y=y, xanchor="left", xshift=6)
    figure.update_layout(margin={"r": 8 * max(map(len, curves))})  # for the names at their ends
    level = weights[1] / GIB
    figure.add_hline(y=level, line={"color": look.ink, "width": 1, "dash": "dot"})
    text = f"the weights in {weights[0]}: {binary(weights[1])}"
    words(figure, text, look, xref="paper", x=0, y=np.log10(level), xanchor="left", yshift=9)
    figure.add_scatter(
        x=[here[0]],
        y=[here[1] / GIB],
        mode="markers",
        marker={"symbol": "circle-open", "size": 13, "color": look.ink, "line": {"width": 2.5}},
        cliponaxis=False,  # one sequence stands on the axis
        hovertemplate=f"{here[0]:,}: {binary(here[1])}<extra></extra>",
    )
    _log_axes(figure, at, [*curves.values(), *dashed.values(), [weights[1]]], what)
    return figure


def _line(figure, at, sizes, name, line) -> None:
    figure.add_scatter(
        x=list(at),
        y=[size / GIB for size in sizes],
        mode="lines",
        line=line,
        text=[binary(size) for size in sizes],
        hovertemplate=f"{name}<br>%{{x:,}}: %{{text}}<extra></extra>",
    )


def _log_axes(figure, at, curves, what) -> None:
    ticks = [
        2**p for p in range(0, 25, 2 if at[-1] / at[0] > 100 else 1) if at[0] <= 2**p <= at[-1]
    ]
    figure.update_xaxes(
        type="log",
        title=what,
        range=[np.log10(at[0]), np.log10(at[-1] * (at[-1] / at[0]) ** 0.09)],
        tickvals=ticks,
        ticktext=[f"{t // 1024:,} k" if t >= 1024 else str(t) for t in ticks],
    )
    low = min(min(sizes) for sizes in curves) / GIB
    high = max(max(sizes) for sizes in curves) / GIB
    sizes = [2.0**p for p in range(-30, 16, 2) if 0.7 * low <= 2.0**p <= 1.5 * high]
    figure.update_yaxes(
        type="log",
        title="memory",
        range=[np.log10(0.7 * low), np.log10(1.8 * high)],
        tickvals=sizes,
        ticktext=[binary(gib * GIB).replace(".00", "").replace(".0", "") for gib in sizes],
    )


def buffer_by_batch(
    at: Sequence[int], curves: Mapping[str, Sequence[int]], here: tuple[int, int], look: Look
) -> Figure:
    """Draw bytes of the compute buffer by micro-batch, log both ways; `here` is marked."""
    figure = blank(look, 300)
    for place, (name, sizes) in enumerate(curves.items()):
        line = {"color": look.ink if place == 0 else look.quiet, "width": 2.5 - place}
        _line(figure, at, sizes, name, line)
        end = {"x": np.log10(at[-1]), "y": np.log10(sizes[-1] / GIB)}
        words(figure, name, look, xanchor="left", xshift=6, yshift=8 * place, **end)
    figure.add_scatter(
        x=[here[0]],
        y=[here[1] / GIB],
        mode="markers",
        marker={"symbol": "circle-open", "size": 13, "color": look.ink, "line": {"width": 2.5}},
        cliponaxis=False,
        hovertemplate=f"{here[0]:,}: {binary(here[1])}<extra></extra>",
    )
    _log_axes(figure, at, [*curves.values(), [here[1]]], "micro-batch, tokens")
    return figure


def kept_side_by_side(
    names: Sequence[str], parts: Sequence[Mapping[str, int]], types: Sequence[tuple], look: Look
) -> Figure:
    """Draw a bar a set-up: weights, cache, buffers; `types` are those of weights and cache."""
    figure = blank(look, 46 * len(names) + 60, barmode="stack", bargap=0.35)
    largest = max(sum(each.values()) for each in parts) or 1
    for part in ("weights", "KV cache", "buffers"):
        tones = {
            "weights": [tone(weights, look) for weights, _ in types],
            "KV cache": [blend(tone(cache, look), look.page, 0.6) for _, cache in types],
            "buffers": [blend(look.quiet, look.page, 0.45)] * len(names),
        }[part]
        for name, each, fill in zip(names, parts, tones, strict=True):
            size = each[part]
            figure.add_bar(
                y=[name],
                x=[size / GIB],
                text=[f"{part} {binary(size)}" if size > 0.12 * largest else ""],
                **segment(fill, look),
                hovertemplate=f"<b>{name}</b><br>{part} {binary(size)}<extra></extra>",
            )
    for name, each in zip(names, parts, strict=True):
        total = sum(each.values())
        words(figure, f"<b>{binary(total)}</b>", look, strong=True, x=total / GIB, y=name,
              xanchor="left", xshift=5)  # fmt: skip
    figure.update_xaxes(range=[0, 1.2 * largest / GIB], title="GiB (2<sup>30</sup> bytes)")
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"color": look.ink})
    figure.update_layout(uniformtext={"minsize": 11, "mode": "hide"})
    return figure
