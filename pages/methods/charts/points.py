"""Figure of a codebook of several dimensions: pairs of weights, and the points they go to."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pages.shared.charts.base import template, words
from pages.shared.charts.figure import Figure, grid
from pages.shared.palette import Look, bits_colour, blend
from quantcore.evaluate.two_bits import ALONE, BITS, FOUR, LATTICE, TurnedWeights
from quantcore.format import Weights

REACH = 3.1  # root mean squares on either side, or more where a weight is further out
NAMES = {LATTICE: "E8P, eight weights at once", ALONE: "four values, each weight alone"}


def points(
    turned: TurnedWeights, pair: tuple[int, int], places: Weights, look: Look, *, narrow: bool
) -> Figure:
    """Draw two planes: E8P's points, and those of four values for each weight."""
    rows, columns = (2, 1) if narrow else (1, 2)
    figure = grid(rows, columns, horizontal_spacing=0.06, vertical_spacing=0.1)
    figure.update_layout(template=template(look), height=760 if narrow else 540)
    figure.update_layout(margin={"t": 34})
    before, after = turned.vectors[:, list(pair)], turned.nearest()
    four = np.array([(x, y) for x in FOUR for y in FOUR], np.float32)
    for number, (code, free) in enumerate(((LATTICE, places), (ALONE, four)), start=1):
        cell = {"row": number, "col": 1} if narrow else {"row": 1, "col": number}
        _plane(figure, before, after[code][:, list(pair)], free, look, cell)
        nth = str(number) if number > 1 else ""
        words(
            figure, NAMES[code], look, strong=True, x=0.5, y=1, yshift=16,
            xref=f"x{nth} domain", yref=f"y{nth} domain",
        )  # fmt: skip
        figure.update_yaxes(scaleanchor=f"x{nth}", **cell)
    reach = max(REACH, float(np.abs(before).max()) + 0.3)
    axis: dict[str, Any] = {
        "range": [-reach, reach],
        "tickvals": list(range(-int(reach), int(reach) + 1)),
        "constrain": "domain",
        "showgrid": False,
    }
    figure.update_xaxes(title="first weight, σ", **axis)
    figure.update_yaxes(title="second weight, σ", **axis)
    return figure


def _plane(
    figure: Figure,
    before: Weights,
    after: Weights,
    free: Weights,
    look: Look,
    cell: dict[str, int],
) -> None:
    tone = bits_colour(BITS, look)
    figure.add_scatter(
        x=free[:, 0],
        y=free[:, 1],
        mode="markers",
        marker={"symbol": "circle", "size": 5, "color": blend(look.quiet, look.page, 0.55)},
        hoverinfo="skip",
        **cell,
    )
    figure.add_scatter(
        x=_joined(before[:, 0], after[:, 0]),
        y=_joined(before[:, 1], after[:, 1]),
        mode="lines",
        line={"color": blend(tone, look.page, 0.7), "width": 1.3},
        hoverinfo="skip",
        **cell,
    )
    taken, counts = np.unique(after, axis=0, return_counts=True)
    figure.add_scatter(
        x=taken[:, 0],
        y=taken[:, 1],
        mode="markers",
        marker={"size": 6 + 2.2 * np.sqrt(counts), "color": tone},
        customdata=counts,
        hovertemplate="%{x:.2f}, %{y:.2f}<br>pairs stored here: %{customdata}<extra></extra>",
        **cell,
    )
    figure.add_scatter(
        x=before[:, 0],
        y=before[:, 1],
        mode="markers",
        marker={"symbol": "circle-open", "size": 7, "color": look.ink, "line": {"width": 1.3}},
        hovertemplate="weights %{x:.2f}, %{y:.2f}<extra></extra>",
        **cell,
    )


def _joined(one: Weights, other: Weights) -> Sequence[float | None]:
    """Lines from one place to another, with a gap after each."""
    return [
        each for a, b in zip(one.tolist(), other.tolist(), strict=True) for each in (a, b, None)
    ]
