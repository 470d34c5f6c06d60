"""Figures of the page Mix, besides the layer map."""

from collections.abc import Mapping, Sequence

import numpy as np

from pages.shared.charts.base import blank, segment, words
from pages.shared.charts.figure import Figure
from pages.shared.charts.labels import sides
from pages.shared.charts.layer_map import Scale, layer_map
from pages.shared.palette import Look, bits_colour, colour, marker
from pages.shared.units import decimal, three
from quantcore.evaluate.mix_error import MixSummary
from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES

HEIGHT = 500


def tone(type: str, look: Look) -> str:
    """Colour of a ggml type, also of one that the lab cannot write: by the bits of its codes."""
    if type in FORMATS:
        return colour(type, look)
    return bits_colour(int(GGML_TYPES[type].bits_per_weight), look)


def type_map(
    types: Mapping[str, str],
    fallbacks: Sequence[str],
    changed: Sequence[str],
    selected: str,
    look: Look,
) -> Figure:
    """Draw the types by layer and role; those changed by hand are outlined."""
    fills = {name: tone(type, look) for name, type in types.items()}
    tones = list(dict.fromkeys(fills.values()))
    values = {name: tones.index(fill) for name, fill in fills.items()}
    texts = {name: type + (" ▾" if name in fallbacks else "") for name, type in types.items()}
    return layer_map(values, texts, selected, look, scale=Scale(tones=tones), dashed=changed)


def bytes_by_role(sizes: Mapping[str, Mapping[str, int]], look: Look) -> Figure:
    """Draw a bar a role, the most bytes first, cut by type."""
    roles = sorted(sizes, key=lambda role: -sum(sizes[role].values()))
    figure = blank(look, 30 * len(roles) + 50, barmode="stack")
    for type in dict.fromkeys(type for role in roles for type in sizes[role]):
        held = [role for role in roles if type in sizes[role]]
        figure.add_bar(
            y=held,
            x=[sizes[role][type] / 1e6 for role in held],
            text=[type] * len(held),
            hovertemplate=[
                f"<b>{role}</b><br>{decimal(sizes[role][type])} in {type}<extra></extra>"
                for role in held
            ],
            **segment(tone(type, look), look),
        )
    figure.update_xaxes(title="MB (10<sup>6</sup> bytes)")
    figure.update_yaxes(categoryorder="array", categoryarray=roles[::-1], showgrid=False)
    figure.update_layout(uniformtext={"minsize": 11, "mode": "hide"})
    return figure


def size_against_error(
    stock: Sequence[MixSummary], hand: MixSummary, look: Look, narrow: bool
) -> Figure:
    """Draw bits per weight against the error of all weights: stock mixes, and the recipe on top.

    Shorter names choose their places first; one that finds none is in the tooltip.
    """
    figure = blank(look, HEIGHT)
    points = [hand, *sorted((one for one in stock if one.error), key=lambda one: len(one.name))]
    x = [np.log10(one.bits_per_weight) for one in points]
    errors = [one.error for one in points if one.error]
    y = [np.log10(error) for error in errors]
    left, right = min(x) - 0.06, max(x) + 0.1
    low, high = min(y) - 0.15, max(y) + 0.15
    size = (300.0 if narrow else 680.0, HEIGHT - 70.0)
    places = sides(
        [(each - left) / (right - left) * size[0] for each in x],
        [(each - low) / (high - low) * size[1] for each in y],
        [hand.name + "  ", *(one.name for one in points[1:])],  # the first is bold, and larger
        size,
    )
    for one, error, side in reversed(list(zip(points, errors, places, strict=True))):
        mine = one is hand
        name = one.name if side or mine else ""
        figure.add_scatter(
            x=[one.bits_per_weight],
            y=[100 * error],
            mode="markers+text",
            text=[f"<b>{name}</b>" if mine else name],
            textposition=side or "top center",
            textfont={"size": 13 if mine else 12, "color": look.ink if mine else look.quiet},
            marker={
                "symbol": "star" if mine else marker(one.name),
                "size": 16 if mine else 10,
                "color": look.ink if mine else colour(one.name, look),
                "line": {"color": look.page, "width": 1.5},
            },
            cliponaxis=False,
            hovertemplate=f"<b>{one.name}</b><br>{decimal(one.n_bytes)}, "
            f"{one.bits_per_weight:.2f} bits per weight<br>error {three(100 * error)} %"
            "<extra></extra>",
        )
    bits, percents = [2, 3, 4, 5, 6, 8, 16], [0.01, 0.1, 0.3, 1, 3, 10, 20, 50, 100]
    figure.update_xaxes(
        type="log", range=[left, right], tickvals=bits, title="bits per weight of the whole file"
    )
    figure.update_yaxes(
        type="log",
        range=[low + 2, high + 2],
        tickvals=percents,
        ticktext=[f"{each:g} %" for each in percents],
        title="error of all weights",
    )
    if len(points) == 1:
        words(
            figure, "no stock mix has been measured yet", look, xref="paper", x=0, yref="paper", y=0
        )
    return figure
