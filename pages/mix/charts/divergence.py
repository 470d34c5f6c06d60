"""Size against divergence of mixes: every way of choosing is a line, the recipe at hand a star."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pages.shared.charts.base import blank, powers_of_ten, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, blend
from pages.shared.units import number

HEIGHT = 520
GAP = 0.052  # of the height, between the names of two lines
SIGNS = {
    "square": "■", "circle": "●", "triangle-up-open": "△", "diamond-open": "◇",
    "triangle-down-open": "▽", "square-open": "□", "x-thin-open": "×", "star-open": "☆",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One mix that was measured."""

    name: str
    bits: float  # a weight, padding included
    divergence: float  # nats per token
    low: float
    high: float
    carries: tuple[str, str, bool]  # how the page chooses it: way, size, with imatrix or not


@dataclass(frozen=True, kw_only=True)
class Star:
    """The recipe at hand: measured, or only predicted."""

    bits: float
    divergence: float
    low: float | None = None  # None: predicted
    high: float | None = None


def size_against_divergence(
    lines: Mapping[str, Sequence[Mark]],
    called: Mapping[str, str],
    predicted: Sequence[tuple[float, float]],
    star: Star | None,
    look: Look,
    *,
    narrow: bool = False,
) -> Figure:
    """Draw bits per weight to the right and divergence upwards, with 95 % intervals.

    Parameters
    ----------
    lines
        Measured mixes by way of choosing; those by chance are several at one size.
    called
        What a label says of a way.
    predicted
        Bits and divergence of the best mixes, as single effects predict them.
    """
    figure = blank(look, HEIGHT)
    shown = {way: sorted(marks, key=lambda m: m.bits) for way, marks in lines.items() if marks}
    bits, low, high = _frame(shown, predicted, star)
    if predicted:
        figure.add_scatter(
            x=[x for x, _ in predicted],
            y=[max(y, 10**low) for _, y in predicted],
            mode="lines",
            line={"color": look.quiet, "width": 1.5, "dash": "dot"},
            text=[number(y) for _, y in predicted],
            hovertemplate="predicted: %{x:.2f} bits, %{text} nats<extra></extra>",
        )
    for way, marks in shown.items():
        _line(figure, way, marks, look)
    middle = bits[0] + 0.7 * (bits[1] - bits[0])
    for way, y in _heights(shown, low, high).items():
        last = shown[way][-1]
        text = f"{called[way]}, {last.name}" if way == "rules" and not narrow else called[way]
        _name(figure, way, last.bits, y, text, look, inside=last.bits > middle)
    for mark in () if narrow else shown.get("rules", ())[:-1]:
        place = {"x": mark.bits, "y": np.log10(mark.divergence), "xshift": 8, "yshift": 9}
        words(figure, mark.name, look, xanchor="left", bgcolor=look.page, borderpad=0, **place)
    if star is not None:
        _star(figure, star, 10**low, look)
    room = 0.04 * (bits[1] - bits[0])
    figure.update_xaxes(
        title="bits per weight of the whole file",
        range=[bits[0] - room, bits[1] + room],
        tickvals=[n for n in range(2, 17) if bits[0] - 0.5 <= n <= bits[1] + 0.5],
    )
    figure.update_yaxes(
        type="log", range=[low, high], title="divergence, nats per token",
        **powers_of_ten(10**low, 10**high),
    )  # fmt: skip
    return figure


def _frame(shown, predicted, star) -> tuple[tuple[float, float], float, float]:
    """Find the bits that are shown, and the lowest and highest divergence as powers of ten."""
    marks = [mark for each in shown.values() for mark in each]
    bits = [m.bits for m in marks] + [x for x, _ in predicted] + ([star.bits] if star else [])
    ends = [m.low for m in marks] + [m.high for m in marks]
    ends += [y for _, y in predicted] + ([star.divergence] if star else [])
    ends = [each for each in ends if each > 0] or [1e-4, 1e-1]
    low, high = float(np.log10(min(ends))) - 0.3, float(np.log10(max(ends))) + 0.25
    return (min(bits, default=2.0), max(bits, default=9.0)), low, high


def _line(figure: Figure, way: str, marks: Sequence[Mark], look: Look) -> None:
    tone, width, size, symbol = _style(way, look)
    figure.add_scatter(
        x=[m.bits for m in marks],
        y=[m.divergence for m in marks],
        mode="markers" if way in ("random", "hand") else "lines+markers",
        line={"color": tone, "width": width},
        marker={"symbol": symbol, "size": size, "color": tone,
                "line": {"color": tone if "open" in symbol else look.page, "width": 1.2}},
        error_y={
            "type": "data", "symmetric": False, "width": 3, "thickness": 1.2,
            "color": blend(tone, look.page, 0.7),
            "array": [m.high - m.divergence for m in marks],
            "arrayminus": [m.divergence - m.low for m in marks],
        },
        customdata=[list(m.carries) for m in marks],
        text=[
            f"<b>{m.name}</b><br>{m.bits:.2f} bits per weight<br>{number(m.divergence)} nats per "
            f"token, 95 % {number(m.low)} to {number(m.high)}"
            for m in marks
        ],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _style(way: str, look: Look) -> tuple[str, float, int, str]:
    """Colour, width of line, size and symbol of a way: the two that matter stand out."""
    strong = {
        "rules": (look.ink, 1.6, 9, "square"),
        "measured": (look.fields["codes"], 2.6, 8, "circle"),
        "swapped": (look.fields["codes"], 1.2, 9, "diamond-open"),
        "hand": (look.ink, 0, 11, "star-open"),
        "random": (look.quiet, 0, 6, "x-thin-open"),
    }
    guides = ("fisher", "output_error", "weighted_error", "weight_error")
    symbols = ("triangle-up-open", "diamond-open", "triangle-down-open", "square-open")
    if way in strong:
        return strong[way]
    at = guides.index(way)
    return look.methods[at], 1.4, 7, symbols[at]


def _name(
    figure: Figure, way: str, bits: float, y: float, text: str, look: Look, *, inside: bool
) -> None:
    """Write a line's name at its right end: behind it, or below where the chart ends there."""
    tone, _, _, symbol = _style(way, look)
    strong = way in ("rules", "measured")
    place = {"xanchor": "right", "xshift": 6} if inside else {"xanchor": "left", "xshift": 12}
    text = f'<span style="color:{tone}">{SIGNS[symbol]}</span> {text}'
    words(figure, text, look, strong=strong, x=bits, y=y, yshift=-14 if inside else 8, **place)


def _heights(shown: Mapping, low: float, high: float) -> dict[str, float]:
    """Heights of the names beside the right ends, as powers of ten, pushed apart."""
    ends = {
        way: float(np.log10(max(m.divergence for m in marks if m.bits == marks[-1].bits)))
        for way, marks in shown.items()
        if way != "hand"
    }
    gap, order = GAP * (high - low), sorted(ends, key=ends.__getitem__)
    heights, last = {}, -np.inf
    for way in order:
        last = heights[way] = max(ends[way], last + gap)
    over = max(0.0, last - (high - gap / 2))  # nothing may leave the chart above
    return {way: y - over for way, y in heights.items()}


def _star(figure: Figure, star: Star, least: float, look: Look) -> None:
    error = {}
    if star.low is not None and star.high is not None:
        error = {
            "type": "data", "symmetric": False, "color": look.ink, "width": 4, "thickness": 1.4,
            "array": [star.high - star.divergence], "arrayminus": [star.divergence - star.low],
        }  # fmt: skip
    measured = bool(error)
    says = "measured" if measured else "predicted"
    figure.add_scatter(
        x=[star.bits],
        y=[max(star.divergence, least)],
        mode="markers",
        error_y=error,
        marker={
            "symbol": "star" if measured else "star-open",
            "size": 17,
            "color": look.ink,
            "line": {"color": look.page if measured else look.ink, "width": 1.5},
        },
        cliponaxis=False,
        hovertemplate=f"<b>this recipe</b>, {says}<br>{star.bits:.2f} bits per weight<br>"
        f"{number(star.divergence)} nats per token<extra></extra>",
    )
