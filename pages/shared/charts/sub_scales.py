"""Figures of the page Scales: how a super-block stores its sub-scales."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from pages.shared.charts.base import blank, extend, wording, words
from pages.shared.palette import Look, ink_on, mix
from pages.shared.units import real_minus
from quantcore.format import Part
from quantcore.formats.layout import SubScaleBits


def bit_picture(
    packed: NDArray[np.uint8], layout: SubScaleBits, chosen: int, look: Look
) -> go.Figure:
    """Draw the bytes that hold sub-scales as columns of bits, each marked with its sub-block.

    Bits of scales have one colour, bits of minima another; those of the chosen sub-block are set
    strong, the others pale.
    """
    n_bytes = layout.where.stop - layout.where.start
    figure = blank(look, 330)
    owners = _owners(layout)
    notes, shapes = [], []
    for (byte, bit), (kind, sub_block, _) in owners.items():
        strong, value = sub_block == chosen, packed[byte] >> bit & 1
        fill = mix(look.fields[kind], look.page, 1.0 if strong else 0.2)
        x, tone = byte - layout.where.start, ink_on(fill) if strong else look.ink
        shapes.append(
            {
                "type": "rect",
                **{"x0": x - 0.46, "x1": x + 0.46, "y0": bit - 0.45, "y1": bit + 0.45},
                "fillcolor": fill,
                "line": {"color": look.ink if strong else fill, "width": 1.5 if strong else 0},
            }
        )
        text = f"<b>{value}</b>" if strong else str(value)
        notes.append(wording(text, look, x=x, y=bit, font={"size": 13, "color": tone}))
    extend(figure, notes, shapes)
    _readable_bits(figure, packed, layout, owners, look)
    figure.update_xaxes(
        side="top",
        tickvals=list(range(n_bytes)),
        ticktext=[f"{packed[layout.where.start + b]:02x}" for b in range(n_bytes)],
        tickfont={"size": 13, "color": look.ink},
        range=[-0.5, n_bytes - 0.5],
        showgrid=False,
    )
    figure.update_yaxes(
        tickvals=list(range(8)),
        ticktext=[f"bit {bit}" for bit in range(8)],
        range=[-0.5, 7.5],
        showgrid=False,
    )
    return figure


def _owners(layout: SubScaleBits) -> dict[tuple[int, int], tuple[str, int, int]]:
    """Kind of field, sub-block and weight (power of two) of every bit."""
    owners = {}
    for kind, fields in (("scale", layout.scales), ("minimum", layout.minimums or ())):
        for sub_block, bits in enumerate(fields):
            for power, place in enumerate(bits):
                owners[place] = (kind, sub_block, power)
    return owners


def _readable_bits(figure, packed, layout, owners, look) -> None:
    """Let every bit say on hover whose it is."""
    places = sorted(owners)
    says = [
        f"byte {byte}, bit {bit}<br>{kind} of sub-block {sub}, worth {2**power}"
        for (byte, bit), (kind, sub, power) in ((p, owners[p]) for p in places)
    ]
    figure.add_scatter(
        x=[byte - layout.where.start for byte, _ in places],
        y=[bit for _, bit in places],
        mode="markers",
        marker={"symbol": "square", "size": 24, "opacity": 0, "color": look.ink},
        text=says,
        hovertemplate="%{text}<extra></extra>",
    )


def stored_numbers(parts: Sequence[Part], chosen: int, kind: str, look: Look) -> go.Figure:
    """Draw the stored small numbers of a super-block as bars; `kind` is "scale" or "minimum"."""
    figure = blank(look, 165, bargap=0.25)
    tone = look.fields[kind]
    codes = [part.scale_code if kind == "scale" else part.minimum_code for part in parts]
    figure.add_bar(
        x=list(range(len(codes))),
        y=codes,
        marker={
            "color": [tone if at == chosen else mix(tone, look.page, 0.35)
                      for at in range(len(codes))],
            "line_width": 0,
        },
        text=[real_minus(str(code)) for code in codes],
        textposition="outside",
        textfont={"size": 12, "color": look.ink},
        cliponaxis=False,
        customdata=[getattr(part, kind) for part in parts],
        hovertemplate=f"sub-block %{{x}}: stored %{{y}}, {kind} %{{customdata:.4g}}<extra></extra>",
    )  # fmt: skip
    reach = max(map(abs, codes)) or 1
    span = [-1.35 * reach if min(codes) < 0 else 0, 1.35 * reach if max(codes) > 0 else 0.1]
    figure.update_yaxes(visible=False, range=span)
    figure.update_xaxes(tickvals=list(range(len(codes))), showgrid=False)
    words(
        figure,
        f"stored {'scales' if kind == 'scale' else 'minima'}, by sub-block",
        look,
        xref="paper",
        x=0,
        yref="paper",
        y=1.0,
        xanchor="left",
        yanchor="bottom",
    )
    figure.update_layout(margin={"t": 24})
    return figure
