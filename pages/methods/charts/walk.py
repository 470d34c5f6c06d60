"""Figures of a trellis: some steps of its path, and what it leaves beside other codes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import Word, blank, template, words, write_into_cells
from pages.shared.charts.figure import Figure, grid
from pages.shared.palette import Look, bits_colour, blend, ink_on
from pages.shared.units import percent
from quantcore.evaluate.two_bits import ALONE, BITS, BOUND, LATTICE, TRELLIS, Walk
from quantcore.methods.trellis import STATE_BITS

ROW = 32  # pixels
REACH = 3.6  # root mean squares on either side
NAMES = {TRELLIS: "trellis, 256 at once", LATTICE: "E8P, eight at once", ALONE: "each alone"}


def walk(found: Walk, first: int, n_shown: int, look: Look, *, narrow: bool) -> Figure:
    """Draw a line per step: the bits of the state, and its value beside the weight."""
    widths = [0.36, 0.64] if narrow else [0.4, 0.6]
    figure = grid(1, 2, shared_yaxes=True, horizontal_spacing=0.04, column_widths=widths)
    figure.update_layout(template=template(look), height=ROW * n_shown + 84)
    figure.update_layout(margin={"t": 30})
    steps = np.arange(first, first + n_shown)
    heads = ("state, 16 bits", "its value, and the weight")
    for number, head in enumerate(heads, start=1):
        axis = str(number) if number > 1 else ""
        words(figure, head, look, strong=True, x=0.5, y=1, yshift=16,
              xref=f"x{axis} domain", yref=f"y{axis} domain")  # fmt: skip
    figure.update_yaxes(
        range=[steps[-1] + 0.6, steps[0] - 0.6], tickvals=steps.tolist(), showgrid=False
    )
    figure.update_yaxes(title="step", row=1, col=1)
    _bits(figure, found.states[steps].astype(np.int64), steps, look, narrow)
    _values(figure, found, steps, look)
    return figure


def _bits(
    figure: Figure, states: NDArray[np.int64], steps: NDArray[np.intp], look: Look, narrow: bool
) -> None:
    tone = bits_colour(BITS, look)
    bits = states[:, None] >> np.arange(STATE_BITS)[::-1] & 1
    new = np.arange(STATE_BITS) >= STATE_BITS - BITS
    tones = [look.panel, blend(look.quiet, look.page, 0.4), blend(tone, look.page, 0.3), tone]
    kinds = bits + 2 * new
    scale = [[(i + at) / 4, each] for i, each in enumerate(tones) for at in (0, 1)]
    figure.add_heatmap(
        x=np.arange(STATE_BITS),
        y=steps,
        z=kinds,
        zmin=-0.5,
        zmax=3.5,
        colorscale=scale,
        showscale=False,
        xgap=1 if narrow else 2,
        ygap=8,
        hoverinfo="skip",
        row=1,
        col=1,
    )
    if not narrow:
        cells = [
            Word(x, int(step), str(bits[i, x]), ink_on(tones[kinds[i, x]]))
            for i, step in enumerate(steps)
            for x in range(STATE_BITS)
        ]
        write_into_cells(figure, cells, look)
    figure.update_xaxes(showticklabels=False, showgrid=False, row=1, col=1)
    title = "new bits coloured" if narrow else "older bits on the left, new ones coloured"
    figure.update_xaxes(title=title, row=1, col=1)


def _values(figure: Figure, found: Walk, steps: NDArray[np.intp], look: Look) -> None:
    tone, cell = bits_colour(BITS, look), {"row": 1, "col": 2}
    weights, restored = found.weights[steps], found.restored[steps]
    figure.update_yaxes(showgrid=True, griddash="solid", **cell)
    figure.add_scatter(
        x=found.within_reach[steps].ravel(),
        y=np.repeat(steps, 1 << BITS),
        mode="markers",
        marker={"symbol": "line-ns", "size": 13, "line": {"color": look.quiet, "width": 2}},
        hovertemplate="within reach: %{x:.2f} σ<extra></extra>",
        **cell,
    )
    gap = np.full(len(steps), np.nan)
    figure.add_scatter(
        x=np.stack([weights, restored, gap], axis=1).ravel(),
        y=np.repeat(steps, 3),
        mode="lines",
        line={"color": tone, "width": 4},
        hoverinfo="skip",
        **cell,
    )
    figure.add_scatter(
        x=restored,
        y=steps,
        mode="markers",
        marker={"size": 10, "color": tone},
        hovertemplate="step %{y}: value %{x:.2f} σ<extra></extra>",
        **cell,
    )
    figure.add_scatter(
        x=weights,
        y=steps,
        mode="markers",
        marker={"symbol": "circle-open", "size": 12, "color": look.ink, "line": {"width": 1.8}},
        hovertemplate="step %{y}: weight %{x:.2f} σ<extra></extra>",
        **cell,
    )
    figure.update_xaxes(
        range=[-REACH, REACH], tickvals=list(range(-3, 4)), showgrid=False, title="σ", **cell
    )


def errors(here: Mapping[str, float], whole: Mapping[str, float], look: Look) -> Figure:
    """Draw the error of each code, over the matrix and over one run of weights."""
    order = sorted(NAMES, key=whole.__getitem__)
    figure, tone = blank(look, 200), bits_colour(BITS, look)
    figure.add_vline(x=BOUND, line={"color": look.quiet, "width": 1.5, "dash": "dash"})
    for of, symbol, size in ((here, "square-open", 12), (whole, "square", 12)):
        figure.add_scatter(
            x=[of[code] for code in order],
            y=list(range(len(order))),
            mode="markers",
            marker={
                "symbol": symbol,
                "size": size,
                "color": tone,
                "line": {"color": tone, "width": 2},
            },
            text=[percent(of[code]) for code in order],
            hovertemplate="off by %{text}<extra></extra>",
        )
    for y, code in enumerate(order):
        right = whole[code] >= here[code]
        words(figure, percent(whole[code]), look, x=whole[code], y=y, yshift=0,
              xanchor="left" if right else "right", xshift=12 if right else -12)  # fmt: skip
    every = [*here.values(), *whole.values()]
    figure.update_xaxes(
        title="error of the turned weights", range=[0.23, max(every) + 0.03], tickformat=".0%"
    )
    figure.update_yaxes(
        tickvals=list(range(len(order))),
        ticktext=[NAMES[code] for code in order],
        tickfont={"size": 13, "color": look.ink},
        range=[len(order) - 0.4, -0.6],
    )
    return figure
