"""The model as a table of its matrices, layers by roles, the number in the cell."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from pages.shared.charts.base import Word, blank, extend, write_into_cells
from pages.shared.charts.figure import Figure
from pages.shared.palette import Look, harm_scale, ink_on, signed_colour, signed_scale

PARTS = {"attn": "attention", "ffn": "feed-forward"}
WHOLE_ROWS = {"token_embd.weight": "embedding", "output.weight": "output"}

FAINTEST = 0.15  # of a scale with two sides: what is not zero shows, however small it is

Name = TypeVar("Name", bound=Hashable)


def shares(values: Mapping[Name, float], ends: Sequence[float] = ()) -> dict[Name, float]:
    """Place each value between the least (0) and the most (1); by ratio where they lie far apart.

    With `ends` the scale spans these too, so that two maps can share it.

    >>> shares({"a": 1.0, "b": 2.0, "c": 3.0})
    {'a': 0.0, 'b': 0.5, 'c': 1.0}
    >>> shares({"a": 1.0, "b": 10.0, "c": 100.0})
    {'a': 0.0, 'b': 0.5, 'c': 1.0}
    """
    low, high = min([*values.values(), *ends]), max([*values.values(), *ends])
    if high == low:
        return dict.fromkeys(values, 0.0)
    if high > 20 * low > 0:
        reach = np.log(high / low)
        return {name: float(np.log(value / low) / reach) for name, value in values.items()}
    return {name: float((value - low) / (high - low)) for name, value in values.items()}


def signed_shares(values: Mapping[Name, float], ends: Sequence[float] = ()) -> dict[Name, float]:
    """Place each value by its size as `shares` does, gains on the other side of zero: -1 to 1.

    >>> signed_shares({"a": 100.0, "b": -1.0, "c": 0.0})
    {'a': 1.0, 'b': -0.15, 'c': 0.0}
    """
    sizes = {name: abs(value) for name, value in values.items() if value}
    others = [abs(end) for end in ends if end]
    if len({*sizes.values(), *others}) < 2:
        placed = dict.fromkeys(sizes, 1.0)
    else:
        placed = shares(sizes, others)
    depth = {name: FAINTEST + (1 - FAINTEST) * share for name, share in placed.items()}
    return {name: float(np.copysign(depth.get(name, 0.0), value)) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Scale:
    """How a map turns values into colours."""

    ends: Sequence[float] = ()  # spanned besides the values, so that two maps can share it
    signed: bool = False  # values below zero are gains, in colours of their own
    tones: Sequence[str] = ()  # where there are some, values are places in this list

    @property
    def low(self) -> float:
        """Place of its beginning; it ends at 1."""
        return -1.0 if self.signed else 0.0

    def places(self, values: Mapping[Name, float]) -> dict[Name, float]:
        """Place each value between `low` and 1."""
        if self.tones:
            return {name: at / self._last for name, at in values.items()}
        return (signed_shares if self.signed else shares)(values, self.ends)

    def colour(self, place: float, look: Look) -> str:
        """Return the colour of a place."""
        return self.tones[round(place * self._last)] if self.tones else signed_colour(place, look)

    def steps(self, look: Look) -> list[list]:
        """Return it as plotly's colour scale."""
        if self.tones:
            whole = [*self.tones, self.tones[-1]][: self._last + 1]
            return [[at / self._last, tone] for at, tone in enumerate(whole)]
        return signed_scale(look) if self.signed else harm_scale(look)

    @property
    def _last(self) -> int:
        return max(1, len(self.tones) - 1)


PLAIN = Scale()


def layer_map(
    values: Mapping[str, float],
    texts: Mapping[str, str],
    selected: str,
    look: Look,
    *,
    scale: Scale = PLAIN,
    dashed: Collection[str] = (),
    says: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a cell a matrix, stronger colour for a larger value; embedding and output lie across.

    `texts` are written into the cells. A click on a cell carries the tensor's name as customdata.
    `dashed` cells get an outline. `says` are the tooltips where they say more than the cells.
    """
    rows, roles = _layout(values)
    height = min(46, max(20, 520 // len(rows)))
    figure = blank(look, height * len(rows) + 52, clickmode="event+select")
    place = {
        name: (row, column)
        for row, names in enumerate(rows.values())
        for column, name in enumerate(names)
    }
    share = scale.places(values)
    figure.add_heatmap(
        # Cells of whole rows are left out: the shapes behind them cover the gaps too.
        z=[
            [np.nan if name in WHOLE_ROWS else share.get(name, np.nan) for name in names]
            for names in rows.values()
        ],
        colorscale=scale.steps(look),
        zmin=scale.low,
        zmax=1,
        showscale=False,
        xgap=3,
        ygap=3,
        hoverinfo="skip",
    )
    written, shapes = [], []
    for name in values:
        fill = scale.colour(share[name], look)
        text = f"<b>{texts[name]}</b>" if name == selected else texts[name]
        (row, column), edges = place[name], _edges(name, place[name], roles)
        if name in WHOLE_ROWS:
            shapes.append(edges | {"fillcolor": fill, "line": {"width": 0}, "layer": "below"})
        if name in (selected, *dashed):
            line = {"width": 2.5} if name == selected else {"width": 2, "dash": "dot"}
            shapes.append(edges | {"line": {"color": look.ink, **line}})
        middle = (len(roles) - 1) / 2 if name in WHOLE_ROWS else column
        written.append(Word(middle, row, text, ink_on(fill)))
    extend(figure, _heads(roles, look), shapes)
    if says is None:
        says = {name: f"<b>{name}</b><br>{texts[name]}" for name in place if name}
    _clickable(figure, place, says, look, height)
    write_into_cells(figure, written, look)
    figure.update_xaxes(visible=False, range=[-0.5, len(roles) - 0.5])
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=list(rows),
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
    )
    figure.update_layout(margin={"t": 44})
    return figure


def _layout(values: Mapping[str, float]) -> tuple[dict[str, list[str]], list[str]]:
    """Names of the cells by row, and the roles that head the columns."""
    cells = {tuple(n.split(".")[1:3]): n for n in values if n.startswith("blk.")}
    roles = list(dict.fromkeys(role for _, role in cells)) or [""]
    layers = sorted({int(layer) for layer, _ in cells})
    rows = {f"layer {i}": [cells.get((str(i), role), "") for role in roles] for i in layers}
    wide = {WHOLE_ROWS[n]: [n] * len(roles) for n in WHOLE_ROWS if n in values}
    first = {k: v for k, v in wide.items() if k == "embedding"}
    return {**first, **rows, **{k: v for k, v in wide.items() if k != "embedding"}}, roles


def _edges(name: str, place: tuple[int, int], roles: Sequence[str]) -> dict[str, Any]:
    """Describe the rectangle of a cell, or of a whole row."""
    row, column = place
    left, right = (0, len(roles) - 1) if name in WHOLE_ROWS else (column, column)
    return {
        "type": "rect",
        "x0": left - 0.48,
        "x1": right + 0.48,
        "y0": row - 0.46,
        "y1": row + 0.46,
    }


def _clickable(figure, place, says, look, height) -> None:
    """Lay clear markers over the cells: plotly cannot select in a heat map."""
    spots = []
    for name, (row, column) in place.items():
        if name:
            columns = range(column + 1) if name in WHOLE_ROWS else [column]
            spots += [(each, row, name) for each in columns]
    figure.add_scatter(
        x=[x for x, _, _ in spots],
        y=[y for _, y, _ in spots],
        mode="markers",
        marker={"symbol": "square", "size": height, "opacity": 0, "color": look.ink},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=[name for _, _, name in spots],
        text=[says[name] for _, _, name in spots],
        hovertemplate="%{text}<extra></extra>",
    )


def _heads(roles, look) -> list[dict]:
    """Head the columns in two lines: attention and feed-forward, then what each matrix is."""
    across = {"showarrow": False, "yref": "paper", "y": 1, "yanchor": "bottom"}
    font = {"size": 12, "color": look.quiet}
    heads = [
        {"x": column, "text": role.partition("_")[2], "font": font, "yshift": 2, **across}
        for column, role in enumerate(roles)
    ]
    for prefix, words in PARTS.items():
        columns = [c for c, role in enumerate(roles) if role.startswith(prefix)]
        if columns:
            middle = (columns[0] + columns[-1]) / 2
            font = {"size": 13, "color": look.ink}
            heads.append({"x": middle, "text": words, "font": font, "yshift": 21, **across})
    return heads
