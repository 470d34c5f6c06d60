"""What every chart starts from: a blank figure in the lab's style, and axes on a log scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pages.shared.charts.figure import Figure
from pages.shared.palette import SANS, Look, ink_on


def blank(look: Look, height: int, **layout) -> Figure:
    """Make an empty figure of a fixed height in pixels."""
    return Figure(template=template(look), height=height, **layout)


def template(look: Look) -> dict:
    """Hairline grid, no zero line, no legend: labels stand beside their marks.

    The paper has the page's colour rather than none, so that a saved picture can be read anywhere.
    """
    axis = {
        "gridcolor": look.line,
        "gridwidth": 1,
        "griddash": "dot",
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "exponentformat": "power",
        "minexponent": 6,
        "title": {"font": {"size": 13, "color": look.quiet}, "standoff": 8},
        "tickfont": {"size": 12, "color": look.quiet},
        "fixedrange": True,
        "automargin": True,
    }
    font = {"family": SANS, "size": 13, "color": look.ink}
    return {
        "layout": {
            "paper_bgcolor": look.page,
            "plot_bgcolor": look.page,
            "font": font,
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "showlegend": False,
            "hovermode": "closest",
            "hoverlabel": {
                "bgcolor": look.panel,
                "bordercolor": look.line,
                "font": font,
                "align": "left",
            },
            "xaxis": axis,
            "yaxis": axis,
            "bargap": 0.25,
            "dragmode": False,
            "transition": {"duration": 0},
        }
    }


@dataclass(frozen=True, slots=True)
class Word:
    """A word in a chart, in the middle of its place."""

    x: float
    y: float
    text: str
    colour: str


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks of a log axis, by powers of ten where there are two of them, else also 2 and 5.

    >>> log_ticks(0.0003, 0.003)["ticktext"]
    ['0.0005', '0.001', '0.002']
    """
    if (powers := powers_of_ten(low, high))["tickvals"][1:]:
        return powers
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    between = [(m, p) for p in range(first, last + 1) for m in (1, 2, 5)]
    shown = [(m, p) for m, p in between if low <= m * 10.0**p <= high]
    text = [
        f"{m * 10.0**p:,.{max(-p, 0)}f}" if p > -5 else f"{m} × 10<sup>−{-p}</sup>"
        for m, p in shown
    ]
    return {"tickvals": [m * 10.0**p for m, p in shown], "ticktext": text}


def powers_of_ten(low: float, high: float) -> dict[str, Any]:
    """Ticks of a log axis: plain decimals down to 0.0001, powers below.

    >>> powers_of_ten(0.005, 20)["ticktext"]
    ['0.01', '0.1', '1', '10']
    """
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    text = [f"{10.0**p:,.{max(-p, 0)}f}" if p > -5 else f"10<sup>−{-p}</sup>" for p in powers]
    return {"tickvals": [10.0**p for p in powers], "ticktext": text}


def segment(fill: str, look: Look) -> dict:
    """Describe a piece of a lying bar whose name stands inside it, where there is room."""
    return {
        "orientation": "h",
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "constraintext": "inside",
        "textfont": {"size": 12, "color": ink_on(fill)},
        "marker": {"color": fill, "line": {"color": look.page, "width": 1.5}},
    }


def words(figure: Figure, text: str, look: Look, *, strong: bool = False, **place) -> None:
    """Write into a chart, without an arrow; `place` is plotly's x, y, xanchor, xshift and so on."""
    row_and_column = {key: place.pop(key) for key in ("row", "col") if key in place}
    figure.add_annotation(**wording(text, look, strong=strong, **place), **row_and_column)


def wording(text: str, look: Look, *, strong: bool = False, **place) -> dict:
    """Describe words in a chart, for `extend`."""
    font = {"size": 13 if strong else 12, "color": look.ink if strong else look.quiet}
    return {"text": text, "showarrow": False, "font": font, **place}


def write_into_cells(figure: Figure, words: Sequence[Word], look: Look) -> None:
    """Write words that stand in their cells, as one trace: plotly draws notes one by one."""
    figure.add_scatter(
        x=[word.x for word in words],
        y=[word.y for word in words],
        text=[word.text for word in words],
        textfont={"size": 12, "color": [word.colour for word in words]},
        mode="text",
        cliponaxis=False,
        hoverinfo="skip",
        selected={"textfont": {"color": look.ink}},  # else what is not selected turns pale
    )


def extend(figure: Figure, notes: list[dict], shapes: list[dict] | None = None) -> None:
    """Add many words and shapes at once."""
    for note in notes:
        figure.add_annotation(**note)
    for shape in shapes or ():
        figure.add_shape(**shape)
