"""Cheap guides against the measured divergence, one small chart each, in one figure."""

from collections.abc import Sequence

import numpy as np

from pages.sensitivity.charts.against import label
from pages.sensitivity.charts.dots import KEEP, reach, ticks
from pages.sensitivity.words.trust import guide_title
from pages.shared.charts.base import template
from pages.shared.charts.figure import Figure, grid
from pages.shared.palette import Look, colour, marker
from pages.shared.units import number
from quantcore.sensitivity.compare import GuideOrder

NAMED = 2  # tensors that a guide misjudges most, in each chart
WIDE, NARROW = 330, 260  # pixels of height, of one chart


def against_guides(
    orders: Sequence[GuideOrder], format_name: str, selected: str, look: Look, narrow: bool
) -> Figure:
    """Draw a mark a tensor: what the guide says along, what was measured upwards, both on logs."""
    each_high = NARROW if narrow else WIDE
    columns = 1 if narrow else min(2, len(orders)) if len(orders) < 4 else 4
    rows = -(-len(orders) // columns)
    figure = grid(
        rows, columns, shared_yaxes=True, horizontal_spacing=0.03,
        vertical_spacing=0.25 / rows if rows > 1 else 0,
        subplot_titles=[guide_title(each) for each in orders],
    )  # fmt: skip
    every = [cost for each in orders for _, cost in each.points.values()]
    low, high = reach(every)
    for at, each in enumerate(orders):
        cell = {"row": at // columns + 1, "col": at % columns + 1}
        _one(figure, each, format_name, selected, (low, high), look, cell)
    figure.update_yaxes(type="log", range=[low, high], **ticks(low, high))
    figure.update_yaxes(title="measured divergence, nats", col=1)
    figure.update_annotations(font={"size": 13, "color": look.ink}, yshift=4)
    figure.update_layout(
        template=template(look), height=each_high * rows + 20, clickmode="event+select",
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
    )  # fmt: skip
    return figure


def _one(figure, order: GuideOrder, format_name: str, selected: str, span, look, cell) -> None:
    low, _ = span
    names = list(order.points)
    guessed = [order.points[name][0] for name in names]
    measured = [max(order.points[name][1].size, 10**low) for name in names]
    least = min((value for value in guessed if value > 0), default=1e-9)
    guessed = [max(value, least) for value in guessed]
    misplaced = order.misplaced[:NAMED]
    figure.add_scatter(
        x=guessed,
        y=measured,
        mode="markers",
        marker={
            "symbol": marker(format_name),
            "size": [12 if name == selected else 8 for name in names],
            "color": colour(format_name, look),
            "opacity": 0.8,
            "line": {
                "color": [look.ink if n in (selected, *misplaced) else look.page for n in names],
                "width": [2.5 if n == selected else 2 if n in misplaced else 1 for n in names],
            },
        },
        customdata=names,
        text=[
            f"<b>{name}</b><br>guide {number(order.points[name][0])}: place {order.ranks[name][0]}"
            f"<br>measured {number(order.points[name][1].value)}: place {order.ranks[name][1]}"
            for name in names
        ],
        hovertemplate="%{text}<extra></extra>",
        **KEEP,
        **cell,
    )
    pad = 0.12 * max(np.log10(max(guessed) / least), 0.2)
    left, right = np.log10(least) - pad, np.log10(max(guessed)) + pad
    label(figure, names, guessed, measured, misplaced, span, look, (250.0, NARROW - 60.0),
          x_span=(left, right), **cell)  # fmt: skip
    figure.update_xaxes(type="log", range=[left, right], **ticks(left, right), **cell)
