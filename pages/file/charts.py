"""Figures of the page File: what fills a file, why it is so large, and two files side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pages.shared.charts.base import blank, powers_of_ten, segment, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, bits_colour, blend, ink_on, marker
from pages.shared.units import decimal, spoken
from quantcore.evaluate.two_files import TensorPair
from quantcore.formats import FORMATS
from quantcore.recipe.file_sums import counted_as
from quantcore.recipe.promise import HeldTensor, code_bits


def type_colour(type: str, look: Look) -> str:
    """Pick the colour of a ggml type, also of those that are no format of the lab."""
    return bits_colour(bits, look) if (bits := code_bits(type)) else look.quiet


def treemap(tensors: Sequence[HeldTensor], look: Look, height: int) -> Figure:
    """Draw every tensor as an area, its bytes, grouped by role; colour says the bits of its type.

    Values of groups add up, so that a group can be enlarged by a click.
    """
    groups = dict.fromkeys(map(counted_as, tensors))
    sizes = {g: sum(t.bytes for t in tensors if counted_as(t) == g) for g in groups}
    total = sum(sizes.values())
    names = [*groups, *(tensor.name for tensor in tensors)]
    fills = [look.panel] * len(groups) + [type_colour(t.type, look) for t in tensors]
    inks = [look.ink] * len(groups) + [ink_on(fill) for fill in fills[len(groups) :]]
    labels = [f"<b>{spoken(g)}</b>  {100 * n / max(total, 1):.0f}\u202f%" for g, n in sizes.items()]
    tips = [f"<b>{g}</b><br>{decimal(n)}" for g, n in sizes.items()]
    for t in tensors:
        labels.append(t.type if t.layer < 0 else f"{t.layer} · {t.type}")
        shape = " × ".join(map(str, t.shape))
        tips.append(f"<b>{t.name}</b><br>{t.type}, {shape}<br>{decimal(t.bytes)}")
    figure = blank(look, height, margin={"l": 0, "r": 0, "t": 0, "b": 0})
    figure.add_treemap(
        ids=[f"group {g}" for g in groups] + [tensor.name for tensor in tensors],
        labels=labels,
        parents=[""] * len(groups) + [f"group {counted_as(tensor)}" for tensor in tensors],
        values=[*sizes.values(), *(tensor.bytes for tensor in tensors)],
        branchvalues="total",
        marker={"colors": fills, "line": {"color": look.page, "width": 1}, "pad": {"t": 22}},
        tiling={"pad": 1},
        textinfo="label",
        textfont={"size": 12, "color": inks},
        customdata=tips,
        hovertemplate="%{customdata}<extra></extra>",
        text=names,
        sort=True,
        pathbar={"visible": False},
    )
    figure.update_layout(uniformtext={"minsize": 11, "mode": "hide"})
    return figure


def by_cause(
    causes: Mapping[str, float], texts: Mapping[str, str], total: str, type: str, look: Look
) -> Figure:
    """Draw what the bits per weight are made of, each bar where the one above ends.

    `causes` by words; those that add nothing are left out, but for the first. `total` heads the
    last bar, the sum.
    """
    shown = [
        (name, bits) for i, (name, bits) in enumerate(causes.items()) if not i or abs(bits) >= 5e-3
    ]
    figure = blank(look, 34 * (len(shown) + 1) + 12, bargap=0.3)
    tone, start = type_colour(type, look), 0.0
    for i, (name, bits) in enumerate(shown):
        fill = tone if not i else blend(tone, look.page, 0.55) if bits > 0 else look.line
        _bar(figure, name, start, bits, fill, texts[name], look)
        start += bits
    end = sum(causes.values())
    _bar(figure, total, 0.0, end, look.ink, f"<b>{end:.2f}</b>", look)
    font = {"size": 13, "color": look.ink}
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont=font, ticklabelstandoff=6)
    reach = max(np.cumsum(list(causes.values())).max(), end)
    figure.update_xaxes(range=[0, 1.12 * reach], visible=False)
    return figure


def _bar(figure, name, start, bits, fill, text, look) -> None:
    figure.add_bar(
        y=[name],
        x=[bits],
        base=[start],
        orientation="h",
        marker={"color": fill, "line": {"color": look.page, "width": 0}},
        hovertemplate=f"<b>{name}</b><br>{text} bits per weight<extra></extra>",
    )
    right = max(start, start + bits)
    words(figure, text, look, strong=True, x=right, y=name, xanchor="left", xshift=5)


def parts(sizes: Mapping[str, int], look: Look) -> Figure:
    """Draw one bar: the bytes of the header by what they are for."""
    figure = blank(look, 76, barmode="stack", uniformtext={"minsize": 11, "mode": "hide"})
    total = sum(sizes.values())
    for place, (name, size) in enumerate(sizes.items()):
        fill = blend(look.quiet, look.page, 1 - 0.18 * place)
        figure.add_bar(
            y=[""],
            x=[size],
            text=f"{name}, {100 * size / total:.0f}\u202f%",
            **segment(fill, look),
            hovertemplate=f"<b>{name}</b><br>{decimal(size)}<extra></extra>",
        )
    figure.update_xaxes(range=[0, total], visible=False)
    figure.update_yaxes(visible=False)
    return figure


def types_of(files: Mapping[str, Mapping[str, int]], look: Look) -> Figure:
    """Draw a bar a file: its bytes by type, few bits first; files by their label."""
    figure = blank(look, 54 * len(files) + 26, barmode="stack", bargap=0.45)
    figure.update_layout(uniformtext={"minsize": 11, "mode": "hide"})
    for label, sizes in files.items():
        for type in sorted(sizes, key=code_bits):
            fill = type_colour(type, look)
            figure.add_bar(
                y=[label],
                x=[sizes[type]],
                text=type,
                **segment(fill, look),
                hovertemplate=f"<b>{label}</b><br>{type}: {decimal(sizes[type])}<extra></extra>",
            )
        total = sum(sizes.values())
        words(figure, f"<b>{label}</b>  {decimal(total)}", look, x=0, y=label, xanchor="left",
              yshift=25, strong=True)  # fmt: skip
    most = max(sum(sizes.values()) for sizes in files.values())
    figure.update_xaxes(range=[0, most], visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    figure.update_layout(margin={"t": 22})
    return figure


def error_pairs(pairs: Sequence[TensorPair], labels: Sequence[str], look: Look) -> Figure:
    """Draw each matrix by its error in two files, in percent; its colour is the second's type."""
    figure = blank(look, 420)
    percents = {
        pair.name: (100 * pair.error_first, 100 * pair.error_second)
        for pair in pairs
        if pair.error_first and pair.error_second
    }
    low = min(map(min, percents.values())) / 1.4
    high = max(map(max, percents.values())) * 1.4
    line = {"color": look.quiet, "width": 1, "dash": "dash"}
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", line=line, hoverinfo="skip")
    for type in sorted({pair.second.type for pair in pairs}, key=code_bits):
        some = [pair for pair in pairs if pair.second.type == type]
        figure.add_scatter(
            x=[percents[pair.name][0] for pair in some],
            y=[percents[pair.name][1] for pair in some],
            mode="markers",
            marker={
                "color": type_colour(type, look),
                "size": 11,
                "symbol": marker(type) if type in FORMATS else "circle",
                "line": {"color": look.page, "width": 1},
            },
            text=[
                f"<b>{pair.name}</b><br>{pair.first.type}, then {pair.second.type}" for pair in some
            ],
            hovertemplate="%{text}<br>%{x:,.3~r} %, then %{y:,.3~r} %<extra></extra>",
        )
    far = max(pairs, key=lambda pair: pair.error_ratio)
    x, y = np.log10(percents[far.name])
    words(figure, spoken(far.name), look, x=x, y=y, xanchor="left", yshift=-18)
    ticks = powers_of_ten(low, high)
    if len(ticks["tickvals"]) < 2:
        ticks = {"tickvals": [t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if low < t < high]}
    log: dict[str, Any] = {"type": "log", "range": [np.log10(low), np.log10(high)], **ticks}
    figure.update_xaxes(title=f"error in {labels[0]}, %", **log)
    figure.update_yaxes(title=f"error in {labels[1]}, %", **log)
    return figure
