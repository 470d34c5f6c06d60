"""Figures of the page Scales: how a super-block stores its sub-scales."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank, extend, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, blend
from pages.shared.units import real_minus
from quantcore.format import Part
from quantcore.formats.k.sub_scale_bits import SubScaleBits


def bit_picture(packed: NDArray[np.uint8], layout: SubScaleBits, chosen: int, look: Look) -> Figure:
    """Draw the bytes that hold sub-scales as columns of bits, each marked with its sub-block.

    Bits of scales have one colour, bits of minima another; those of the chosen sub-block are set
    strong, the others pale.
    """
    n_bytes = layout.where.stop - layout.where.start
    figure = blank(look, 330)
    tones = np.full((8, n_bytes), np.nan)  # places on the colour scale
    texts, says = np.full((8, n_bytes), "", dtype=object), np.full((8, n_bytes), "", dtype=object)
    frames = []
    for (byte, bit), (kind, sub_block, power) in _owners(layout).items():
        strong, x = sub_block == chosen, byte - layout.where.start
        tones[bit, x] = 2 * (kind == "minimum") + strong
        value = packed[byte] >> bit & 1
        texts[bit, x] = f"<b>{value}</b>" if strong else str(value)
        says[bit, x] = (
            f"byte {byte}, bit {bit}<br>{kind} of sub-block {sub_block}, worth {2**power}"
        )
        if strong:
            frames.append(_frame(x, bit, look))
    extend(figure, [], frames)
    figure.add_heatmap(
        z=tones,
        text=texts,
        customdata=says,
        texttemplate="%{text}",
        textfont={"size": 13},
        hovertemplate="%{customdata}<extra></extra>",
        colorscale=_four_tones(look),
        zmin=-0.5,
        zmax=3.5,
        showscale=False,
        xgap=4,
        ygap=4,
    )
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


def _frame(x: int, bit: int, look: Look) -> dict:
    """Draw a line around the cell of a bit."""
    return {
        "type": "rect",
        **{"x0": x - 0.47, "x1": x + 0.47, "y0": bit - 0.46, "y1": bit + 0.46},
        "line": {"color": look.ink, "width": 1.5},
    }


def _four_tones(look: Look) -> list[tuple[float, str]]:
    """Make the steps of the colour scale: scale pale and strong, minimum pale and strong."""
    tones = [
        blend(look.fields[kind], look.page, share)
        for kind in ("scale", "minimum")
        for share in (0.2, 1.0)
    ]
    return [(edge / 4, tone) for i, tone in enumerate(tones) for edge in (i, i + 1)]


def _owners(layout: SubScaleBits) -> dict[tuple[int, int], tuple[str, int, int]]:
    """Kind of field, sub-block and weight (power of two) of every bit."""
    owners = {}
    for kind, fields in (("scale", layout.scales), ("minimum", layout.minimums or ())):
        for sub_block, bits in enumerate(fields):
            for power, place in enumerate(bits):
                owners[place] = (kind, sub_block, power)
    return owners


def stored_numbers(parts: Sequence[Part], chosen: int, kind: str, look: Look) -> Figure:
    """Draw the stored small numbers of a super-block as bars; `kind` is "scale" or "minimum"."""
    figure = blank(look, 165, bargap=0.25)
    tone = look.fields[kind]
    stored = [part.scale_code if kind == "scale" else part.minimum_code for part in parts]
    codes = [code for code in stored if code is not None]
    figure.add_bar(
        x=list(range(len(codes))),
        y=codes,
        marker={
            "color": [tone if at == chosen else blend(tone, look.page, 0.35)
                      for at in range(len(codes))],
            "line": {"width": 0},
        },
        text=[real_minus(str(code)) for code in codes],
        textposition="outside",
        textfont={"size": 12, "color": look.ink},
        cliponaxis=False,
        customdata=[getattr(part, kind) for part in parts],
        hovertemplate=f"sub-block %{{x}}: stored %{{y}}, {kind} %{{customdata:,.4~r}}"
        "<extra></extra>",
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
