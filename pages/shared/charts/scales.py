"""Figures of the page Scales: how large scale factors are, where, what they cost, how they lie."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from pages.shared.charts.base import blank, extend, wording, words
from pages.shared.charts.labels import sides
from pages.shared.palette import Look, colour, ink_on, marker, mix
from pages.shared.units import exact, real_minus
from quantcore.format import Part
from quantcore.formats.layout import SubScaleBits


def spread(
    counts: NDArray, edges: NDArray, marks: Mapping[str, float], word: str, tone: str, look: Look
) -> go.Figure:
    """Draw how many scales have which size; `marks` are named sizes, drawn as lines."""
    figure = blank(look, 380, bargap=0.04)
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges),
        marker={"color": mix(tone, look.page, 0.75), "line_width": 0},
        customdata=np.column_stack([edges[:-1], edges[1:]]),
        hovertemplate="%{customdata[0]:.4g} to %{customdata[1]:.4g}<br>%{y:,}<extra></extra>",
    )
    top = 1.0
    middle = (edges[0] + edges[-1]) / 2
    for place, (name, size) in enumerate(marks.items()):
        figure.add_vline(x=size, line={"color": look.ink, "width": 1, "dash": "dash"})
        left = size > middle
        at = {"xanchor": "right" if left else "left", "xshift": -6 if left else 6}
        words(
            figure,
            f"{name} {exact(size, 3)}",
            look,
            x=size,
            yref="paper",
            y=top - 0.09 * place,
            yanchor="top",
            **at,
        )
    figure.update_xaxes(title=f"size of a {word}", showgrid=False, nticks=6)
    figure.update_yaxes(title="how many", nticks=5)
    return figure


def scale_map(
    sizes: NDArray, rows: Sequence[int], columns: Sequence[int], tone: str, look: Look
) -> go.Figure:
    """Draw the size of each scale where it lies: rows down, along the row to the right.

    `rows` and `columns` are the numbers of the cells' first row and scale, where neighbours were
    merged. A click carries both as customdata.
    """
    figure = blank(look, 380, clickmode="event+select", hoverdistance=100)
    figure.add_heatmap(
        z=sizes,
        colorscale=[[0, mix(tone, look.page, 0.04)], [0.5, mix(tone, look.page, 0.5)], [1, tone]],
        zmin=float(sizes.min()),
        zmax=float(sizes.max()),
        showscale=False,
        hoverinfo="skip",
    )
    y, x = np.indices(sizes.shape)
    places = np.column_stack([np.asarray(rows)[y.ravel()], np.asarray(columns)[x.ravel()]])
    figure.add_scatter(
        x=x.ravel(),
        y=y.ravel(),
        mode="markers",
        marker={"symbol": "square", "size": 7, "opacity": 0, "color": look.ink},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=places,
        text=[f"{size:.4g}" for size in sizes.ravel()],
        hovertemplate="row %{customdata[0]}, scale %{customdata[1]}: %{text}<extra></extra>",
    )
    top, along = np.unravel_index(int(sizes.argmax()), sizes.shape)
    figure.add_scatter(
        x=[along],
        y=[top],
        mode="markers",
        marker={"symbol": "circle-open", "size": 16, "color": look.ink, "line": {"width": 2}},
        hoverinfo="skip",
    )
    _numbered(figure.update_xaxes, columns, "scale along the row", sizes.shape[1], False)
    _numbered(figure.update_yaxes, rows, "row", sizes.shape[0], True)
    return figure


def _numbered(update, numbers: Sequence[int], title: str, count: int, down: bool) -> None:
    """Write the numbers that cells stand for along an axis."""
    places = list(range(0, count, max(1, count // 6)))
    span = [-0.5, count - 0.5]
    update(
        title=title,
        tickvals=places,
        ticktext=[str(numbers[place]) for place in places],
        range=span[::-1] if down else span,
        showgrid=False,
    )


def cost(
    bits: Mapping[str, float],
    errors: Mapping[str, float],
    chosen: str,
    look: Look,
    *,
    narrow: bool = False,
) -> go.Figure:
    """Draw what scales cost against what they save: bits a weight for scales, error of the tensor.

    The line joins integers of the same width whose scale covers ever fewer weights.
    """
    figure = blank(look, 400)
    percent = {name: 100 * error for name, error in errors.items()}
    line = [name for name in bits if name.startswith("INT") and not name.endswith("_ASYM")]
    line.sort(key=bits.get)
    figure.add_scatter(
        x=[bits[name] for name in line],
        y=[percent[name] for name in line],
        mode="lines",
        line={"color": look.line, "width": 2},
        hoverinfo="skip",
    )
    right, top = 1.12 * max(bits.values()), 1.12 * max(percent.values())
    left = -0.06 * right
    names = sorted(bits, key=lambda name: (name != chosen, name in line, percent[name]))
    size = (290.0, 340.0) if narrow else (1180.0, 340.0)
    places = sides(
        [(bits[name] - left) / (right - left) * size[0] for name in names],
        [percent[name] / top * size[1] for name in names],
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
            textfont={"size": 12, "color": look.ink if strong or name not in line else look.quiet},
            marker={
                "symbol": marker(name),
                "size": 14 if strong else 11,
                "color": colour(name, look),
                "line": {"color": look.page, "width": 1},
            },
            cliponaxis=False,
            hovertemplate=f"<b>{name}</b><br>{bits[name]:.4f} bits a weight for scales<br>"
            f"error {percent[name]:.3g} %<extra></extra>",
        )
    figure.update_xaxes(title="bits a weight spent on scales and minima", range=[left, right])
    figure.update_yaxes(
        title="error, % of the tensor’s size", range=[0, top], nticks=6, ticksuffix="\u202f%"
    )
    return figure


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


def sub_scales(parts: Sequence[Part], chosen: int, kind: str, look: Look) -> go.Figure:
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
