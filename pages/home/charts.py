"""The model as it lies in the file, coloured by what happened to each matrix."""

from collections.abc import Mapping

from pages.shared.charts.base import blank, segment
from pages.shared.charts.figure import Figure
from pages.shared.charts.layer_map import shares
from pages.shared.palette import Look, harm_colour
from pages.shared.units import number, spoken


def anatomy(
    n_weights: Mapping[str, int], damage: Mapping[str, float], look: Look, unit: str
) -> Figure:
    """Draw the model as it lies in the file: a row a layer, a segment a matrix, as wide as it is.

    Colour is the damage, on a log scale where it spans more than a factor of 20. A click on a
    segment carries the tensor's name as customdata.
    """
    share = shares(damage)
    rows = list(dict.fromkeys(_row_of(name) for name in n_weights))
    # A label that does not fit is hidden.
    fits = {"minsize": 11, "mode": "hide"}
    figure = blank(look, 32 * len(rows) + 16, barmode="stack", bargap=0.14, uniformtext=fits)
    for name, count in n_weights.items():
        fill = harm_colour(share[name], look)
        tip = f"<b>{spoken(name)}</b><br>{count:,} weights<br>{number(damage[name])} {unit}"
        figure.add_bar(
            y=[_row_of(name)],
            x=[count],
            text=_short(name),
            **segment(fill, look),
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
            customdata=[name],
            hovertemplate=f"{tip}<extra></extra>",
        )
    font = {"size": 13, "color": look.ink}
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont=font)
    widths = {row: sum(n for t, n in n_weights.items() if _row_of(t) == row) for row in rows}
    figure.update_xaxes(visible=False, range=[0, max(widths.values())])
    figure.update_layout(clickmode="event+select")
    return figure


def _row_of(tensor: str) -> str:
    return f"layer {tensor.split('.')[1]}" if tensor.startswith("blk.") else spoken(tensor)


def _short(tensor: str) -> str:
    role = tensor.split(".")[-2] if tensor.startswith("blk.") else ""
    part = role.removeprefix("attn_").removeprefix("ffn_")
    return {"q": "query", "k": "key", "v": "value"}.get(part, part)
