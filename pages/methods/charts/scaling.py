"""Figures of what is done to weights before they are rounded: scaled columns, turned sides."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.shared.charts.base import blank, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look
from pages.shared.units import percent
from quantcore.methods.awq import ScaleSearch

BINS, REACH = 81, 8.0  # of histograms, in standard deviations on either side


def ratios(search: ScaleSearch, look: Look) -> Figure:
    """Draw the squared error of the output at each ratio, beside that without scales."""
    figure = blank(look, 300)
    tone, best = look.methods[1], search.ratios.index(search.best_ratio)
    relative = np.asarray(search.losses) / search.losses[0]
    figure.add_hline(y=1.0, line={"color": look.quiet, "width": 1.5, "dash": "dash"})
    figure.add_scatter(
        x=search.ratios,
        y=relative,
        mode="lines+markers",
        line={"color": tone, "width": 2},
        marker={"size": [13 if i == best else 7 for i in range(len(relative))], "color": tone},
        text=[percent(each) for each in relative],
        hovertemplate="ratio %{x:.2f}<br>%{text} of the error without scales<extra></extra>",
    )
    words(
        figure,
        f"ratio {search.best_ratio:.2f}",
        look,
        x=search.best_ratio,
        y=float(relative[best]),
        yshift=-18,
        strong=True,
    )
    low, high = float(relative.min()), float(min(relative.max(), 2.5))
    room = 0.18 * (high - low) or 0.1
    figure.update_xaxes(title="ratio", showgrid=False)
    figure.update_yaxes(
        title="squared error of the output", tickformat=".0%", range=[low - room, high + room / 3]
    )
    return figure


def rotation(before: NDArray, after: NDArray, look: Look) -> Figure:
    """Draw two distributions of weights in standard deviations, and the normal one."""
    figure = blank(look, 320)
    edges = np.linspace(-REACH, REACH, BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    normal = np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi)
    for values, name, tone in (
        (before, "before", look.quiet),
        (after, "rotated", look.methods[0]),
    ):
        scaled = np.clip(values.ravel() / (values.std() or 1.0), -REACH, REACH)
        density = np.histogram(scaled, edges)[0] / scaled.size / np.diff(edges)
        shown = np.where(density > 0, density, np.nan)
        figure.add_scatter(
            x=middles,
            y=shown,
            mode="lines",
            line={"color": tone, "width": 2, "shape": "hvh"},
            hovertemplate=f"{name}, %{{x:.1f}} σ<extra></extra>",
        )
        last = int(np.flatnonzero(density > 0)[-1])
        place: dict[str, Any] = {"x": float(middles[last]), "y": float(np.log10(density[last]))}
        words(figure, name, look, xanchor="left", xshift=8, **place)
    figure.add_scatter(
        x=middles,
        y=np.where(normal > 1e-7, normal, np.nan),
        mode="lines",
        line={"color": look.ink, "width": 1.2, "dash": "dash"},
        hoverinfo="skip",
    )
    figure.update_xaxes(title="weight, in standard deviations (σ)", showgrid=False, nticks=9)
    figure.update_yaxes(type="log", title="density", range=[-5.6, 0], dtick=1, showticklabels=False)
    return figure
