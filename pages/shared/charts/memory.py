"""Figures of the page Memory: what lies in it, how the cache grows, known models side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from pages.shared.charts.base import blank, segment, words
from pages.shared.palette import Look, bits_colour, colour, ink_on, marker, mix
from pages.shared.units import binary

GIB = 2**30
LINES_GIB = (8, 16, 24, 48, 80, 192, 512, 1024)  # round sizes that machines come in


def by_format(
    formats: Sequence[str],
    weights: Sequence[int],
    cache: tuple[str, int],
    compute: int,
    chosen: str,
    look: Look,
) -> go.Figure:
    """Stack weights, cache and compute buffer, a bar a format; dashed lines are sizes of memory.

    `cache` is the format of the cache and its bytes, which no bar changes.
    """
    figure = blank(look, 34 * len(formats) + 78, barmode="stack", bargap=0.28)
    totals = [w + cache[1] + compute for w in weights]
    largest = max(totals)
    word, unit = ("GiB", GIB) if largest >= GIB else ("MiB", 2**20)
    rest = mix(colour(cache[0], look), look.page, 0.6), mix(look.quiet, look.page, 0.3)
    for name, sizes, tones in (
        ("weights", weights, [colour(fmt, look) for fmt in formats]),
        ("KV cache", [cache[1]] * len(formats), [rest[0]] * len(formats)),
        ("compute buffer", [compute] * len(formats), [rest[1]] * len(formats)),
    ):
        _bars(figure, formats, sizes, tones, name, unit, look)
    for name, total in zip(formats, totals, strict=True):
        strong = name == chosen
        text = f"<b>{binary(total)}</b>" if strong else binary(total)
        words(
            figure,
            text,
            look,
            strong=strong,
            x=total / unit,
            y=name,
            xanchor="left",
            xshift=5,
            bgcolor=look.page,
        )
    for gib in LINES_GIB:
        if 0.12 * largest < gib * GIB < 1.08 * largest:
            line = {"color": look.quiet, "width": 1, "dash": "dash"}
            figure.add_vline(x=gib, line=line, layer="below")
            words(figure, f"{gib} GiB", look, x=gib, yref="paper", y=1, yanchor="bottom")
    figure.update_yaxes(
        autorange="reversed", showgrid=False, tickfont={"size": 13, "color": look.ink}
    )
    power = {"GiB": 30, "MiB": 20}[word]
    title = f"{word} (2<sup>{power}</sup> bytes)"
    figure.update_xaxes(range=[0, 1.22 * largest / unit], title=title)
    figure.update_layout(margin={"t": 26}, uniformtext={"minsize": 11, "mode": "hide"})
    return figure


def _bars(figure, formats, sizes, tones, name, unit, look) -> None:
    hover = [
        f"<b>{fmt}</b><br>{name} {binary(size)}<extra></extra>"
        for fmt, size in zip(formats, sizes, strict=True)
    ]
    figure.add_bar(
        y=list(formats),
        x=[size / unit for size in sizes],
        orientation="h",
        marker={"color": list(tones), "line": {"color": look.page, "width": 1.5}},
        text=[name] * len(formats),
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        constraintext="inside",
        textfont={"size": 12, "color": [ink_on(tone) for tone in tones]},
        hovertemplate=hover,
    )


def cache_growth(
    contexts: Sequence[int],
    curves: Mapping[str, Sequence[int]],
    dashed: Mapping[str, Sequence[int]],
    weights: tuple[str, int],
    at: int,
    look: Look,
) -> go.Figure:
    """Draw bytes of the cache by context, log both ways.

    Parameters
    ----------
    contexts
        Tokens, rising.
    curves
        Cache format to bytes at each context.
    dashed
        Likewise for formulas that are wrong: their name is written at the line.
    weights
        Format and bytes of the weights, drawn as a level.
    at
        The chosen context, marked on the first curve.
    """
    figure = blank(look, 400)
    for place, (name, sizes) in enumerate(sorted(dashed.items(), key=lambda item: -item[1][-1])):
        line = {"color": look.quiet, "width": 1.5, "dash": "dash"}
        _growth(figure, contexts, sizes, name, line)
        end = -1 - 2 * place if len(contexts) > 2 * place else -1  # so that names do not meet
        x, y = np.log10(contexts[end]), np.log10(sizes[end] / GIB)
        words(figure, name, look, x=x, y=y, xanchor="right", xshift=-4, yshift=10)
    for name, sizes in curves.items():
        line = {"color": colour(name, look), "width": 3 if name == next(iter(curves)) else 2}
        _growth(figure, contexts, sizes, f"cache in {name}", line)
        place = {"x": np.log10(contexts[-1]), "y": np.log10(sizes[-1] / GIB)}
        words(figure, f"<b>{name}</b>", look, strong=True, xanchor="left", xshift=6, **place)
    level = weights[1] / GIB
    figure.add_hline(y=level, line={"color": look.ink, "width": 1, "dash": "dot"})
    text = f"the weights in {weights[0]}: {binary(weights[1])}"
    words(figure, text, look, xref="paper", x=0, y=np.log10(level), xanchor="left", yshift=9)
    first = next(iter(curves.values()))
    here = float(np.interp(at, contexts, first)) / GIB
    figure.add_scatter(
        x=[at],
        y=[here],
        mode="markers",
        marker={"symbol": "circle-open", "size": 13, "color": look.ink, "line": {"width": 2.5}},
        hovertemplate=f"{at:,} tokens: {binary(here * GIB)}<extra></extra>",
    )
    _log_axes(figure, contexts, [*curves.values(), *dashed.values(), [weights[1]]])
    return figure


def _growth(figure, contexts, sizes, name, line) -> None:
    figure.add_scatter(
        x=list(contexts),
        y=[size / GIB for size in sizes],
        mode="lines",
        line=line,
        hovertemplate=f"{name}<br>%{{x:,}} tokens: %{{y:.3g}} GiB<extra></extra>",
    )


def _log_axes(figure, contexts, curves) -> None:
    ticks = [2**p for p in range(4, 25, 2) if contexts[0] <= 2**p <= 1.01 * contexts[-1]]
    figure.update_xaxes(
        type="log",
        title="tokens in the context",
        range=[np.log10(contexts[0]), np.log10(contexts[-1] * 1.9)],
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
        ticktext=[_size(gib) for gib in sizes],
    )


def _size(gib: float) -> str:
    """Word a power of two: KiB, MiB or GiB without decimals."""
    for unit, scale in (("GiB", 1.0), ("MiB", 1024.0), ("KiB", 1024.0**2)):
        if gib * scale >= 1:
            return f"{gib * scale:,.0f} {unit}"
    return f"{gib * GIB:,.0f} B"


def side_by_side(
    names: Sequence[str],
    weights: Sequence[int],
    caches: Sequence[int],
    chosen: str | None,
    type_name: str,
    look: Look,
) -> go.Figure:
    """Draw two marks a model on one log axis: its weights, and its cache at a common context."""
    figure = blank(look, 23 * len(names) + 64)
    tones = colour(type_name, look), look.ink
    for name, size, cache in zip(names, weights, caches, strict=True):
        tone = look.ink if name == chosen else look.line
        figure.add_scatter(
            x=[size / GIB, cache / GIB],
            y=[name, name],
            mode="lines",
            line={"color": tone, "width": 2.5 if name == chosen else 1.5},
            hoverinfo="skip",
        )
    for sizes, tone, symbol, word in (
        (weights, tones[0], marker(type_name), "weights"),
        (caches, tones[1], "line-ns", "KV cache"),
    ):
        figure.add_scatter(
            x=[size / GIB for size in sizes],
            y=list(names),
            mode="markers",
            marker={
                "color": tone,
                "size": 11,
                "symbol": symbol,
                "line": {"color": tone, "width": 3 if symbol == "line-ns" else 0},
            },
            customdata=[binary(size) for size in sizes],
            hovertemplate=f"<b>%{{y}}</b><br>{word} %{{customdata}}<extra></extra>",
        )
    for sizes, word in ((weights, "weights"), (caches, "KV cache")):
        words(
            figure,
            word,
            look,
            strong=True,
            x=np.log10(sizes[0] / GIB),
            y=-1,
            yref="y",
            xanchor="center",
        )
    reach = [size / GIB for size in [*weights, *caches]]
    low, high = np.log10(min(reach)) - 0.15, np.log10(max(reach)) + 0.15
    ticks = [2.0**p for p in range(-12, 14, 2) if low <= np.log10(2.0**p) <= high]
    figure.update_xaxes(
        type="log", range=[low, high], tickvals=ticks, ticktext=[_size(t) for t in ticks]
    )
    figure.update_yaxes(
        range=[len(names) - 0.4, -1.6], showgrid=False, tickfont={"size": 12, "color": look.ink}
    )
    return figure


def parts_of(sizes: Mapping[str, int], bits: int, look: Look) -> go.Figure:
    """Draw one bar: the weights by part of the model."""
    figure = blank(look, 92, barmode="stack", uniformtext={"minsize": 11, "mode": "hide"})
    total = sum(sizes.values())
    tone = bits_colour(bits, look)
    for place, (name, size) in enumerate(sizes.items()):
        fill = mix(tone, look.page, 0.95 - 0.22 * place)
        figure.add_bar(
            y=[""],
            x=[size / GIB],
            text=f"{name}, {100 * size / total:.0f}\u202f%",
            **segment(fill, look),
            hovertemplate=f"<b>{name}</b><br>{binary(size)}<extra></extra>",
        )
    figure.update_xaxes(range=[0, total / GIB], visible=False)
    figure.update_yaxes(visible=False)
    return figure
