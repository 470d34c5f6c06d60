"""Charts of the drift page: how unevenly the damage falls, and how it grows while measuring."""

from collections.abc import Mapping, Sequence

import numpy as np

from pages.drift.sureness_words import label
from pages.shared.charts.base import blank, powers_of_ten, words
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, blend, colour, marker
from pages.shared.units import number, percent
from quantcore.evaluate.sureness import SureBin

LEAST = 1e-9  # nats; what is below is drawn here, a log axis knows no zero
PERCENTAGES = {
    50: "median_kl_nats",
    90: "kl_90_nats",
    95: "kl_95_nats",
    99: "kl_99_nats",
    99.9: "kl_99_9_nats",
}


def quantiles(table: Sequence[Mapping]) -> dict[str, dict[float, float]]:
    """Take divergence by percentage out of the ranked rows, by type; the original's comes first."""
    return {row["type"]: {p: row[key] for p, key in PERCENTAGES.items()} for row in table[1:]}


def damage_by_token(
    quantiles: Mapping[str, Mapping[float, float]],
    means: Mapping[str, float],
    chosen: str,
    look: Look,
) -> Figure:
    """Draw a row a type: the divergence of the median token, and how far the tail goes.

    Parameters
    ----------
    quantiles
        By type: divergence in nats by percentage, 50 to 99.9.
    means
        By type: mean divergence in nats, drawn as a hollow mark.
    """
    names = sorted(means, key=means.__getitem__)
    figure = blank(look, 27 * len(names) + 84)
    for name in names:
        _row(figure, name, quantiles[name], means[name], look, strong=name == chosen)
    every = [max(value, LEAST) for name in names for value in quantiles[name].values()]
    low, high = np.log10(min(every)) - 0.3, np.log10(max(every)) + 0.3
    top = names[-1]
    # Where the tail is short the two stand near each other.
    for percentage, text, side in ((50, "half", "right"), (99.9, "99.9 %", "center")):
        x = np.log10(max(quantiles[top][percentage], LEAST))
        words(figure, text, look, x=x, y=top, yshift=15, xanchor=side)
    figure.update_xaxes(
        type="log",
        title="divergence at one token, nats",
        range=[low, high],
        **powers_of_ten(10**low, 10**high),
    )
    figure.update_yaxes(
        tickfont={"size": 13, "color": look.ink},
        tickvals=names,
        ticktext=[f"<b>{name}</b>" if name == chosen else name for name in names],
        range=[-0.6, len(names) - 0.2],
    )
    return figure


def _row(
    figure: Figure, name: str, quantiles: Mapping, mean: float, look: Look, strong: bool
) -> None:
    tone = colour(name, look)
    places = sorted(quantiles)
    x = [max(quantiles[p], LEAST) for p in places]
    figure.add_scatter(
        x=[x[0], x[-1]],
        y=[name, name],
        mode="lines",
        line={"color": blend(tone, look.page, 0.5), "width": 5 if strong else 3},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=x,
        y=[name] * len(x),
        mode="markers",
        marker={
            "symbol": marker(name),
            "size": [12 if p == 50 else 8 for p in places],
            "color": tone,
            "line": {"color": look.page, "width": 1},
        },
        customdata=[[f"{p:g} %", number(quantiles[p])] for p in places],
        hovertemplate=f"<b>{name}</b><br>%{{customdata[0]}} of the tokens diverge less than "
        "%{customdata[1]} nats<extra></extra>",
    )
    figure.add_scatter(
        x=[max(mean, LEAST)],
        y=[name],
        mode="markers",
        marker={"symbol": "line-ns", "size": 15, "line": {"color": look.ink, "width": 2}},
        hovertemplate=f"<b>{name}</b><br>mean {number(mean)} nats<extra></extra>",
    )


def by_sureness(
    bins: Sequence[SureBin],
    floor: Sequence[SureBin],
    name: str,
    look: Look,
    narrow: bool = False,
) -> Figure:
    """Draw the mean divergence by the original's top probability, and the noise floor below it."""
    figure = blank(look, 300)
    total = sum(each.tokens for each in bins) or 1
    ticks = [f"{label(each)}<br>{percent(each.tokens / total)} of tokens" for each in bins]
    if narrow:
        for long, short in ((" to ", "<br>to "), (" or ", "<br>or "), (" of tokens", "")):
            ticks = [each.replace(long, short) for each in ticks]
    drawn = [(bins, name, colour(name, look), marker(name), "solid")]
    if floor:
        drawn.append((floor, "noise floor", look.quiet, "line-ew", "dash"))
    heights = []
    for rows, title, tone, symbol, dash in drawn:
        known = [(i, each) for i, each in enumerate(rows) if each.mean_kl_divergence > 0]
        heights += [each.mean_kl_divergence for _, each in known]
        figure.add_scatter(
            x=[i for i, _ in known],
            y=[each.mean_kl_divergence for _, each in known],
            mode="lines+markers",
            line={"color": tone, "width": 2, "dash": dash},
            marker={"symbol": symbol, "size": 11, "color": tone, "line": {"color": tone}},
            customdata=[
                [number(each.mean_kl_divergence), percent(each.changed)] for _, each in known
            ],
            hovertemplate=f"<b>{title}</b><br>%{{customdata[0]}} nats; another first choice at "
            "%{customdata[1]} of the places<extra></extra>",
        )
        if known:
            (first, each), *_ = known
            y = np.log10(each.mean_kl_divergence)
            words(figure, f"<b>{title}</b>", look, x=first, y=y, yshift=14, xanchor="left")
    low, high = min(heights, default=LEAST), max(heights, default=1.0)
    figure.update_xaxes(
        title="probability of the original's first choice",
        tickvals=list(range(len(bins))),
        ticktext=ticks,
        tickangle=0,
        range=[-0.4, len(bins) - 0.6],
        showgrid=False,
    )
    figure.update_yaxes(
        type="log",
        title="divergence, nats",
        range=[np.log10(low) - 0.3, np.log10(high) + 0.5],
        **powers_of_ten(low / 2, 3 * high),
    )
    return figure


def so_far(
    running: Mapping[str, Sequence[float]], chunks: Sequence[int], n_chunks: int, look: Look
) -> Figure:
    """Draw the mean divergence of each type after so many chunks."""
    figure = blank(look, 260)
    finals = {name: values[-1] for name, values in running.items() if len(values)}
    for name, values in running.items():
        figure.add_scatter(
            x=list(chunks[: len(values)]),
            y=[max(value, LEAST) for value in values],
            mode="lines+markers",
            line={"color": colour(name, look), "width": 2.5},
            marker={"symbol": marker(name), "size": 6},
            hoverinfo="skip",
        )
    for name, y in _apart(finals).items():
        x = chunks[len(running[name]) - 1]
        words(figure, f"<b>{name}</b>", look, x=x, y=y, xanchor="left", xshift=8)
    figure.update_xaxes(range=[0, 1.25 * n_chunks], title="chunks scored", showgrid=False)
    every = [max(v, LEAST) for values in running.values() for v in values] or [1e-3, 1.0]
    low, high = np.log10(min(every)) - 0.3, np.log10(max(every)) + 0.3
    figure.update_yaxes(
        type="log", title="divergence", range=[low, high], **powers_of_ten(10**low, 10**high)
    )
    return figure


def _apart(finals: Mapping[str, float], gap: float = 0.22) -> dict[str, float]:
    """Heights of the labels as powers of ten, pushed apart so that none covers another."""
    heights, last = {}, -np.inf
    for name in sorted(finals, key=finals.__getitem__):
        last = max(np.log10(max(finals[name], LEAST)), last + gap)
        heights[name] = last
    return heights
