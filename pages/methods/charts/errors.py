"""Figures of methods side by side: two errors each, bits against error, where errors lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pages.shared.charts.base import blank, powers_of_ten, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, colour, marker
from pages.shared.units import percent
from quantcore.evaluate.gptq_course import ErrorByImportance
from quantcore.evaluate.method_table import MethodRow
from quantcore.methods import METHODS


def two_errors(rows: Sequence[MethodRow], look: Look) -> Figure:
    """Draw a line a method from the error of its weights to that of its output, the best on top."""
    rows = sorted(rows, key=lambda row: row.output_error)
    figure = blank(look, 34 * len(rows) + 64)
    for y, row in enumerate(rows):
        ends = [row.output_error, row.weight_error]
        tone, symbol = colour(row.asked, look), marker(row.asked)
        figure.add_scatter(
            x=ends,
            y=[y, y],
            mode="lines",
            line={"color": look.line, "width": 3},
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=ends,
            y=[y, y],
            mode="markers",
            marker={
                "symbol": [symbol, f"{symbol}-open"],
                "size": 12,
                "color": tone,
                "line": {"color": tone, "width": 2},
            },
            text=[
                f"<b>{METHODS[row.by].title}</b><br>output off by {percent(row.output_error)}",
                f"<b>{METHODS[row.by].title}</b><br>weights off by {percent(row.weight_error)}",
            ],
            hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        )
        left = row.output_error <= row.weight_error
        place: dict[str, Any] = {
            "xanchor": "right" if left else "left",
            "xshift": -11 if left else 11,
        }
        words(figure, percent(row.output_error), look, x=np.log10(row.output_error), y=y, **place)
    every = [each for row in rows for each in (row.output_error, row.weight_error)]
    low, high = min(every), max(every)
    figure.update_xaxes(
        type="log",
        range=[np.log10(low) - 0.16, np.log10(high) + 0.06],
        title="relative error",
        **ticks(low / 1.4, high * 1.1),
    )
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[METHODS[row.by].title for row in rows],
        tickfont={"size": 13, "color": look.ink},
        range=[len(rows) - 0.4, -0.6],
        showgrid=False,
    )
    return figure


def ticks(low: float, high: float) -> dict:
    """Ticks in percent at 1, 2 and 5 of every power of ten."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [lead * 10.0**power for power in powers for lead in (1, 2, 5)]
    shown = [value for value in values if low <= value <= high]
    return {"tickvals": shown, "ticktext": [percent(value) for value in shown]}


def by_importance(found: ErrorByImportance, tones: Mapping[str, str], look: Look) -> Figure:
    """Draw the error of each group of columns, a line a method."""
    figure = blank(look, 340)
    x = list(range(len(found.importance)))
    for by, errors in found.errors.items():
        shown = np.clip(errors, 1e-6, None)
        figure.add_scatter(
            x=x,
            y=shown,
            mode="lines+markers",
            line={"color": tones[by], "width": 2},
            marker={"size": 7, "color": tones[by]},
            text=[
                f"<b>{METHODS[by].title}</b><br>inputs {size:.2g} × the mean<br>error {error:.2g}"
                for size, error in zip(found.importance, errors, strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
        )
        words(
            figure,
            "rounding" if by == "rtn" else METHODS[by].title,  # short: it stands behind the line
            look,
            x=x[-1],
            y=float(np.log10(shown[-1])),
            xanchor="left",
            xshift=9,
        )
    every = np.clip(np.concatenate(list(found.errors.values())), 1e-6, None)
    low, high = float(every.min()), float(every.max())
    ticks = powers_of_ten(low, high) if high > 20 * low else {"dtick": "D2"}
    figure.update_yaxes(
        type="log",
        range=[np.log10(low) - 0.1, np.log10(high) + 0.1],
        title="mean squared error of weights",
        **ticks,
    )
    figure.update_xaxes(
        tickvals=[0, x[-1]],
        ticktext=["smallest inputs", "largest inputs"],
        range=[-0.4, x[-1] * 1.3 + 0.4],
        showgrid=False,
    )
    return figure
