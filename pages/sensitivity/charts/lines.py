"""Costs over bits and over depth, and sums of single effects beside the joint one."""

from collections.abc import Mapping, Sequence

import numpy as np

from pages.sensitivity.charts.dots import arms, reach, ticks
from pages.sensitivity.words.figures import called
from pages.shared.charts.base import blank, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, blend, colour, marker
from pages.shared.units import number
from quantcore.sensitivity.compare import Sum
from quantcore.sensitivity.costs import Cost

Curve = Mapping[str, tuple[float, Cost]]
HEIGHT = 440


def curves(
    lines: Mapping[str, Curve],
    chosen_format: str,
    selected: str,
    title: str,
    look: Look,
    *,
    narrow: bool = False,
) -> Figure:
    """Draw cost against bits per weight, a line a tensor, with intervals; names at the right."""
    every = [cost for line in lines.values() for _, cost in line.values()]
    low, high = reach(every)
    figure = blank(look, HEIGHT)
    bits = sorted({at for line in lines.values() for at, _ in line.values()})
    heights = _apart({name: list(line.values())[-1][1].size for name, line in lines.items()}, low)
    for name, line in lines.items():
        strong = name == selected
        shown = [cost for _, cost in line.values()]
        figure.add_scatter(
            x=[at for at, _ in line.values()],
            y=[max(cost.size, 10**low) for cost in shown],
            mode="lines+markers",
            line={"color": look.ink if strong else look.quiet, "width": 2 if strong else 1.2},
            error_y=arms(shown, low) | {"color": look.ink if strong else look.quiet},
            marker={
                "symbol": [marker(f) + "-open" * (line[f][1].value < 0) for f in line],
                "size": [13 if f == chosen_format else 9 for f in line],
                "color": [colour(f, look) for f in line],
                "opacity": 1,
                "line": {
                    "color": [look.ink if f == chosen_format else look.page for f in line],
                    "width": [2 if f == chosen_format else 1 for f in line],
                },
            },
            text=[
                f"<b>{name}</b><br>{f}, {at:.3g} bits<br>{number(cost.value)}, "
                f"95 % {number(cost.low)} to {number(cost.high)}"
                for f, (at, cost) in line.items()
            ],
            hovertemplate="%{text}<extra></extra>",
        )
        text = f"<b>{called(name)}</b>" if strong else called(name)
        last = list(line.values())[-1][0]
        place = {"x": last, "y": heights[name], "xanchor": "left", "xshift": 12}
        words(figure, text, look, strong=strong, **place)
    room = (0.75 if narrow else 0.42) * (bits[-1] - bits[0] + 1)  # for the names
    figure.update_xaxes(
        title="bits per weight, scales included",
        range=[bits[0] - 0.3, bits[-1] + room],
        tickvals=[n for n in range(1, 17) if bits[0] - 0.3 <= n <= bits[-1] + 0.3],
    )
    figure.update_yaxes(type="log", range=[low, high], title=title, **ticks(low, high))
    return figure


def _apart(finals: Mapping[str, float], low: float, gap: float = 0.28) -> dict[str, float]:
    """Heights of labels as powers of ten, pushed apart so that none covers another."""
    heights, last = {}, -np.inf
    for name in sorted(finals, key=finals.__getitem__):
        last = heights[name] = max(np.log10(max(finals[name], 10**low)), last + gap)
    return heights


def depth(
    layers: Mapping[str, Cost], ends: Mapping[str, Cost], format_name: str, title: str, look: Look
) -> Figure:
    """Draw what each whole layer costs, by depth; embedding and output stand at the ends."""
    names = [*(n for n in ends if n == "token_embd"), *layers, *(n for n in ends if n == "output")]
    shown = [layers.get(name) or ends[name] for name in names]
    low, high = reach(shown)
    tone = colour(format_name, look)
    figure = blank(look, 330)
    size = [max(cost.size, 10**low) for cost in shown]
    inner = [i for i, name in enumerate(names) if name in layers]
    figure.add_scatter(
        x=inner, y=[size[i] for i in inner], mode="lines", hoverinfo="skip",
        line={"color": blend(tone, look.page, 0.45), "width": 2},
    )  # fmt: skip
    figure.add_scatter(
        x=list(range(len(names))),
        y=size,
        mode="markers",
        error_y=arms(shown, low) | {"color": blend(tone, look.page, 0.6)},
        marker={
            "symbol": [
                (marker(format_name) if n in layers else "diamond") + "-open" * (c.value < 0)
                for n, c in zip(names, shown, strict=True)
            ],
            "size": 11,
            "color": [tone if name in layers else look.ink for name in names],
        },
        text=[
            f"<b>{called(n)}</b><br>{number(c.value)}, 95 % {number(c.low)} to {number(c.high)}"
            for n, c in zip(names, shown, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
    )
    every = max(1, len(layers) // 12)
    text = [n if n in layers and int(n) % every == 0 else "" for n in names]
    text = [called(n) if n in ends else t for n, t in zip(names, text, strict=True)]
    figure.update_xaxes(
        tickvals=list(range(len(names))), ticktext=text, title="layer", showgrid=False, tickangle=0,
        range=[-0.6, len(names) - 0.4],
    )  # fmt: skip
    figure.update_yaxes(type="log", range=[low, high], title=title, **ticks(low, high))
    return figure


def additivity(sums: Sequence[Sum], tones: Mapping[str, str], chosen: str, look: Look) -> Figure:
    """Draw a row a sum: how many times the joint effect it is, and where that may lie; 1 fits."""
    ratios = [each.ratio for each in sums]
    figure = blank(look, max(27 * len(sums) + 60, HEIGHT))
    rows = list(range(len(sums)))
    figure.add_vline(x=1, line={"color": look.ink, "width": 1.5, "dash": "dash"})
    colours = [tones.get(each.name, look.quiet) for each in sums]
    for row, ratio, tone in zip(rows, ratios, colours, strict=True):
        figure.add_scatter(
            x=[ratio.low, ratio.high], y=[row, row], mode="lines", hoverinfo="skip",
            line={"color": blend(tone, look.page, 0.5), "width": 4},
        )  # fmt: skip
    figure.add_scatter(
        x=[ratio.value for ratio in ratios],
        y=rows,
        mode="markers",
        marker={
            "size": 11,
            "color": colours,
            "symbol": [marker(s.name) if s.name in tones else "circle" for s in sums],
            "line": {"color": look.page, "width": 1},
        },
        text=[
            f"<b>{called(each.name)}</b><br>sum {number(each.total)}, together "
            f"{number(each.joint.value)} nats per token<br>{each.ratio.value:.3g} times, 95 % "
            f"{each.ratio.low:.3g} to {each.ratio.high:.3g}"
            for each in sums
        ],
        hovertemplate="%{text}<extra></extra>",
    )
    low = min(0.98, *(ratio.low for ratio in ratios))
    high = max(1.02, *(ratio.high for ratio in ratios))
    pad = 0.08 * (high - low)
    figure.update_xaxes(
        title="sum of single effects ÷ joint effect", range=[low - pad, high + pad], nticks=6
    )
    named = [f"<b>{s.name}</b>" if s.name == chosen else called(s.name) for s in sums]
    figure.update_yaxes(
        tickvals=rows, ticktext=named, range=[len(sums) - 0.4, -0.6],
        tickfont={"size": 13, "color": look.ink},
    )  # fmt: skip
    return figure
