"""The figure of the KV cache: bytes per token against divergence."""

from collections.abc import Sequence

import numpy as np

from pages.shared.charts.base import blank, powers_of_ten
from pages.shared.charts.figure import Figure
from pages.shared.charts.labels import sides
from pages.shared.palette import Look, bits_colour
from pages.shared.units import number
from quantcore.evaluate.cache_drift import CacheDrift
from quantcore.model.cache_types import TURBO

KINDS = {"keys only": "triangle-up", "values only": "triangle-down", "both": "circle"}
HEIGHT = 440
LEAST = 1e-9  # nats: below it is the arithmetic's own noise


def kind_of(cache: CacheDrift) -> str:
    """Say what of a cache is rounded further than to F16."""
    if cache.values == "F16":
        return "keys only"
    return "values only" if cache.keys == "F16" else "both"


def cache_types(caches: Sequence[CacheDrift], look: Look, narrow: bool) -> Figure:
    """Draw a mark a cache: shape says what is rounded, colour the bits, hollow no rotation."""
    figure = blank(look, HEIGHT)
    drawn = [each for each in caches if each.keys == each.values or "F16" in _pair(each)]
    for kind, symbol in KINDS.items():
        mine = [each for each in drawn if kind_of(each) == kind]
        hollow = [not each.rotation and not _turns(each) for each in mine]
        tones = [bits_colour(_bits(each), look) for each in mine]
        figure.add_scatter(
            x=[each.bytes_per_token for each in mine],
            y=[max(each.mean_kl_divergence, LEAST) for each in mine],
            mode="markers",
            marker={
                "symbol": [symbol + "-open" * each for each in hollow],
                "size": 11,
                "color": tones,
                "line": {"color": tones, "width": 2},
            },
            text=[
                f"<b>K {each.keys}, V {each.values}</b>{', not rotated' * off}<br>"
                f"{each.bytes_per_token:,} bytes per token<br>"
                f"{number(each.mean_kl_divergence)} nats per token"
                for each, off in zip(mine, hollow, strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    values = [max(each.mean_kl_divergence, LEAST) for each in drawn]
    low, high = min(values), max(values)
    if not narrow:  # a phone has room for tooltips only
        _name_types(figure, drawn, (low, high), look)
    figure.update_xaxes(title="bytes of the cache per token, all layers", nticks=8, tickformat=",")
    figure.update_yaxes(
        type="log",
        range=[np.log10(low) - 0.2, np.log10(high) + 0.2],
        title="divergence, nats per token",
        **powers_of_ten(low / 2, 2 * high),
    )
    return figure


def _name_types(
    figure: Figure,
    drawn: Sequence[CacheDrift],
    span: tuple[float, float],
    look: Look,
) -> None:
    """Write the types beside the marks of whole caches, where there is room."""
    named = [each for each in drawn if kind_of(each) == "both" and each.rotation]
    widths = [each.bytes_per_token for each in drawn]
    least, most = min(widths), max(widths)
    size = (980.0, HEIGHT - 70.0)

    def places(of: Sequence[CacheDrift]) -> tuple[list[float], list[float]]:
        ends = np.log10(span)
        errors = [np.log10(max(each.mean_kl_divergence, LEAST)) for each in of]
        x = [(each.bytes_per_token - least) / (most - least or 1) * size[0] for each in of]
        return x, [float((e - ends[0]) / (ends[1] - ends[0]) * size[1]) for e in errors]

    others = [each for each in drawn if each not in named]
    taken = list(zip(*places(others), strict=True))
    for each, side in zip(
        named, sides(*places(named), [e.keys for e in named], size, taken), strict=True
    ):
        if side:
            figure.add_scatter(
                x=[each.bytes_per_token],
                y=[max(each.mean_kl_divergence, LEAST)],
                mode="markers+text",  # an unseen mark keeps the word off the one below
                marker={"size": 11, "opacity": 0},
                text=[each.keys],
                textposition=side,
                textfont={"size": 12, "color": look.quiet},
                hoverinfo="skip",
            )


def _pair(cache: CacheDrift) -> tuple[str, str]:
    return cache.keys, cache.values


def _turns(cache: CacheDrift) -> bool:
    return any(each in TURBO for each in _pair(cache))


def _bits(cache: CacheDrift) -> int:
    """Bits of a code of what is rounded most."""
    every = []
    for name in _pair(cache):
        every.append(TURBO.get(name) or {"F": 16, "B": 16, "I": 4}.get(name[0]) or int(name[1]))
    return min(every)
