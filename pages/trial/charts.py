"""The figure of the page Try: how many more or fewer answers are right, with intervals."""

from collections.abc import Sequence
from typing import Any

from pages.shared.charts.base import blank, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, colour, marker
from pages.trial.words import points
from quantcore.trial.verdict import Z_90, Verdict, interval

Found = tuple[str, Verdict]  # a version's name and what was counted of it


def differences(found: Sequence[Found], margin: float, look: Look, narrow: bool = False) -> Figure:
    """Draw a row a version: the difference in right answers, its 95 and its 90 % interval."""
    figure = blank(look, 46 * len(found) + 70)
    for y, (name, verdict) in enumerate(found):
        tone = colour(name.partition(" by ")[0], look)
        inner = interval(verdict.better, verdict.worse, verdict.n, Z_90)
        for ends, width in (
            ((verdict.difference_low, verdict.difference_high), 2),
            (inner, 6),
        ):
            figure.add_scatter(
                x=[100 * end for end in ends],
                y=[y, y],
                mode="lines",
                line={"color": tone, "width": width},
                hoverinfo="skip",
            )
        figure.add_scatter(
            x=[100 * verdict.difference],
            y=[y],
            mode="markers",
            marker={
                "symbol": marker(name.partition(" by ")[0]),
                "size": 15,
                "color": tone,
                "line": {"color": look.page, "width": 2},
            },
            text=[
                f"<b>{name}</b><br>{verdict.better} better, {verdict.worse} worse of {verdict.n}"
                f"<br>{points(verdict.difference)} points"
            ],
            hovertemplate="%{text}<extra></extra>",
        )
        words(
            figure,
            f"{points(verdict.difference)} ({points(verdict.difference_low)} to "
            f"{points(verdict.difference_high)})",
            look,
            x=100 * verdict.difference_high,
            y=y,
            xanchor="left",
            xshift=8,
        )
    edges = [100 * end for _, each in found for end in (each.difference_low, each.difference_high)]
    low, high = min(*edges, -130 * margin), max(*edges, 130 * margin)
    room = 0.06 * (high - low)
    for_words = (0.55 if narrow else 0.22) * (high - low)
    line: dict[str, Any] = {"width": 1.5, "color": look.quiet}
    figure.add_vline(x=0, line=line)
    figure.add_vline(x=-100 * margin, line=line | {"dash": "dash"})
    figure.update_xaxes(
        range=[low - room, high + room + for_words],
        title="right answers, points more than the original",
    )
    figure.update_yaxes(
        tickvals=list(range(len(found))),
        ticktext=[name for name, _ in found],
        tickfont={"size": 13, "color": look.ink},
        range=[len(found) - 0.5, -0.5],
        showgrid=False,
    )
    return figure
