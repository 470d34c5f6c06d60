"""Charts of the first page: what each type costs and saves."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pages.shared.charts.base import blank, powers_of_ten, words
from pages.shared.charts.figure import Figure
from pages.shared.charts.labels import box, sides
from pages.shared.palette import Look, bits_colour, colour, marker
from pages.shared.units import decimal, number
from quantcore.model.original import Original

HEIGHT = 500


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model in one type, a mix or a format throughout."""

    type: str
    n_bytes: int
    bits_per_weight: float  # of all weights, those that stay in F32 included
    divergence: float  # mean KL divergence, nats per token
    says: str = ""  # a further line of the tooltip


def size_against_divergence(
    points: Sequence[Point],
    original: Original,
    look: Look,
    *,
    chosen: Sequence[str] = (),
    floor: tuple[float, str] | None = None,
    published: Mapping | None = None,
    narrow: bool = False,
) -> Figure:
    """Bits per weight to the right, divergence upwards, both on log scales; one mark a type.

    Parameters
    ----------
    points
        Those with a divergence above zero are drawn.
    chosen
        Types to stress, the most important first.
    floor
        The divergence of the least change, above zero, and what it is; without it, zero. One far
        below all types is named at the lower edge, so that the types keep the room.
    published
        Another model's published points, as in ``assets/published.json``.
    narrow
        Whether the window is that of a phone.
    """
    seen = [point for point in points if point.divergence > 0]
    theirs = published["formats"] if published else []
    low, high = _range([p.divergence for p in seen], [t["kl_nats"] for t in theirs], floor)
    figure = blank(look, HEIGHT)
    bottom = low + 0.03 * (high - low)  # stands for zero, which a log axis does not have
    named = _floor(figure, floor, bottom, look, narrow)
    if published:
        _published(figure, published, look, narrow)
    left, right = _reach(seen, theirs, original)
    size = (300.0 if narrow else 1000.0, HEIGHT - 70.0)
    frame = _Frame(left, right, low, high, size)
    avoid = [(frame.x(row["bits_per_weight"]), frame.y(row["kl_nats"])) for row in theirs]
    star = (frame.x(original.bits_per_weight) - 12, frame.y(10**bottom) + 10)
    written = [
        *(box(0, frame.y(10**at) + lift, line) for at, lift, line in named),
        box(star[0] - 7 * len(_of(original)), star[1], _of(original)),
    ]
    _marks(figure, seen, chosen, look, frame, (avoid, written))
    _star(figure, original, bottom, look)
    figure.update_xaxes(type="log", range=[left, right], **_size_ticks(original, published, narrow))
    figure.update_yaxes(
        type="log",
        title="divergence, nats per token"
        if narrow
        else "divergence from the original, nats per token",
        range=[low, high],
        **powers_of_ten(10**low, 10**high),
    )
    figure.update_layout(clickmode="event+select")
    return figure


@dataclass(frozen=True)
class _Frame:
    """Ends of both axes as powers of ten, and the plot's size in pixels."""

    left: float
    right: float
    low: float
    high: float
    size: tuple[float, float]

    def x(self, bits: float) -> float:
        return (np.log10(bits) - self.left) / (self.right - self.left) * self.size[0]

    def y(self, divergence: float) -> float:
        return (np.log10(divergence) - self.low) / (self.high - self.low) * self.size[1]


def _marks(figure, points, chosen, look, frame: _Frame, taken) -> None:
    rank = {name: i for i, name in enumerate(chosen)}
    ordered = sorted(points, key=lambda p: (rank.get(p.type, 99), len(p.type)))
    places = sides(
        [frame.x(p.bits_per_weight) for p in ordered],
        [frame.y(p.divergence) for p in ordered],
        [p.type for p in ordered],
        frame.size,
        *taken,
    )
    # The stressed ones are drawn last, on top.
    for point, side in reversed(list(zip(ordered, places, strict=True))):
        strong = point.type in rank
        name = point.type if side or strong else ""
        figure.add_scatter(
            x=[point.bits_per_weight],
            y=[point.divergence],
            mode="markers+text",
            text=[f"<b>{name}</b>" if strong else name],
            textposition=side or "top center",
            textfont={"size": 13 if strong else 12, "color": look.ink if strong else look.quiet},
            marker={
                "color": colour(point.type, look),
                "symbol": marker(point.type),
                "size": 15 if strong else 11,
                "line": {"color": look.ink if strong else look.page, "width": 2 if strong else 1.5},
            },
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
            customdata=[point.type],
            cliponaxis=False,
            hovertemplate=f"{_tooltip(point)}<extra></extra>",
        )


def _tooltip(point: Point) -> str:
    lines = [
        f"<b>{point.type}</b>  {point.bits_per_weight:.2f} bits per weight",
        decimal(point.n_bytes),
        f"divergence {number(point.divergence)} nats per token",
    ]
    return "<br>".join([*lines, point.says] if point.says else lines)


def _star(figure, original: Original, low: float, look: Look) -> None:
    figure.add_scatter(
        x=[original.bits_per_weight],
        y=[10**low],
        mode="markers",
        cliponaxis=False,
        marker={"symbol": "star", "size": 15, "color": look.ink},
        hovertemplate=f"<b>original, {original.stored_as}</b><br>{decimal(original.n_bytes)}, "
        "divergence zero<extra></extra>",
    )
    place = {"x": np.log10(original.bits_per_weight), "y": low, "xanchor": "right"}
    words(figure, _of(original), look, strong=True, xshift=-12, yshift=10, **place)


def _of(original: Original) -> str:
    return f"original, {original.stored_as}: 0"


def _published(figure, published: Mapping, look: Look, narrow: bool) -> None:
    rows = sorted(published["formats"], key=lambda row: row["bits_per_weight"])
    figure.add_scatter(
        x=[row["bits_per_weight"] for row in rows if row["curve"]],
        y=[row["kl_nats"] for row in rows if row["curve"]],
        mode="lines",
        line={"color": look.quiet, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[row["bits_per_weight"] for row in rows],
        y=[row["kl_nats"] for row in rows],
        mode="markers",
        marker={
            "symbol": [f"{row['marker']}-open" for row in rows],
            "color": [bits_colour(row["bits"], look) for row in rows],
            "size": 9,
            "line": {"width": 1.5},
        },
        customdata=[[row["format"], decimal(row["size_gib"] * 2**30)] for row in rows],
        hovertemplate=f"<b>{published['model']}, %{{customdata[0]}}</b><br>%{{customdata[1]}}"
        "<br>divergence %{y:.4f} nats per token<extra></extra>",
    )
    if narrow:  # no room for a name: the sentence above the chart has it
        return
    top = max(rows, key=lambda row: row["kl_nats"])
    place = {"x": np.log10(top["bits_per_weight"]), "y": np.log10(top["kl_nats"])}
    words(figure, f"{published['model']}, published", look, xanchor="left", xshift=12, **place)


def _floor(
    figure, floor: tuple[float, str] | None, bottom: float, look: Look, narrow: bool
) -> list[tuple[float, float, str]]:
    """Draw the floor; return its lines of words, with the power of ten and pixels above it."""
    at, says = (np.log10(floor[0]), floor[1]) if floor else (bottom, "floor: no divergence")
    if floor and at < bottom:
        at, says = bottom, f"{says}, {number(floor[0])} ↓"
    lines, lift = textwrap.wrap(says, 28 if narrow else 99), 26 if narrow else 9
    figure.add_hline(y=10**at, line={"color": look.quiet, "width": 1, "dash": "dash"})
    at_left: dict[str, Any] = {"xref": "paper", "x": 0, "xanchor": "left", "align": "left"}
    words(figure, "<br>".join(lines), look, y=at, yshift=lift, **at_left)
    middle = (len(lines) - 1) / 2
    return [(at, lift + 15 * (middle - i), line) for i, line in enumerate(lines)]


def _range(ours: list[float], theirs: list[float], floor) -> tuple[float, float]:
    """Choose the ends of the divergence axis, as powers of ten; a floor may cost two decades."""
    every = [*ours, *theirs] or [1e-3, 1.0]
    if floor and floor[0] > 0.01 * min(every):
        every.append(floor[0])
    return np.floor(np.log10(min(every)) - 0.3), np.log10(max(every)) + 0.35


def _reach(points: Sequence[Point], theirs, original: Original) -> tuple[float, float]:
    bits = [p.bits_per_weight for p in points] + [t["bits_per_weight"] for t in theirs] or [2.0]
    return np.log10(0.86 * min(bits)), np.log10(1.14 * max(*bits, original.bits_per_weight))


def _size_ticks(original: Original, published: Mapping | None, narrow: bool) -> dict:
    """Name the bits and, below them, the size of the file: size is proportional to bits."""
    bits = [2, 3, 4, 5, 6, 8, 16]
    per_bit = original.n_bytes / original.bits_per_weight
    text = [f"{b}<br>{b * per_bit / 1e6:.1f}" + ("" if narrow else " MB") for b in bits]
    title = "bits per weight; file, MB" if narrow else "bits per weight, and size of the file"
    if published:
        theirs = published["n_weights"] / 8e9
        text = [
            f"{t}<br>{b * theirs:.1f}" + ("" if narrow else " GB")
            for t, b in zip(text, bits, strict=True)
        ]
        title += f"; {published['model']}, GB" if narrow else f" (below: {published['model']})"
    return {"tickvals": bits, "ticktext": text, "title": title}
