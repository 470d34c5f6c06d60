"""A figure as plain data, in plotly's words and without its objects.

Plotly's own objects check every property whenever a chart is drawn, which was most of what a page
cost. These do not; tests hand each chart to plotly's own (`Figure.checked`), which refuses what is
wrong.
"""

import base64
import math
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from plotly.basedatatypes import BaseFigure

from pages.shared.outside import in_chart

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Arrays that plotly.js reads as bytes, where they are data; a range of an axis must be a list.
_AS_BYTES, _SHORT = {"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"}, 8


class Figure:
    """Traces and layout; the words of `add_scatter` and its like are plotly's.

    `row` and `col`, counted from 1, name a cell of a `grid`.
    """

    def __init__(self, n_columns: int = 1, **layout: Any) -> None:
        self.n_columns = n_columns
        self.traces: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = layout

    def add_scatter(self, **trace: Any) -> None:
        """Add points, lines or both."""
        self._add("scatter", **trace)

    def add_bar(self, **trace: Any) -> None:
        """Add bars."""
        self._add("bar", **trace)

    def add_heatmap(self, **trace: Any) -> None:
        """Add coloured cells."""
        self._add("heatmap", **trace)

    def add_treemap(self, **trace: Any) -> None:
        """Add rectangles by size."""
        self.traces.append({"type": "treemap", **trace})

    def add_shape(self, **shape: Any) -> None:
        """Add a line or a rectangle."""
        self.settings["shapes"] = [*self.settings.get("shapes", ()), shape]

    def add_hline(self, y: float, line: dict[str, Any], row: int = 1, col: int = 1) -> None:
        """Draw a line from left to right."""
        x, at_y = self._axes(row, col)
        place = {"xref": f"{x} domain", "x0": 0, "x1": 1, "yref": at_y, "y0": y, "y1": y}
        self.add_shape(type="line", line=line, **place)

    def add_vline(self, x: float, line: dict[str, Any], row: int = 1, col: int = 1) -> None:
        """Draw a line from bottom to top."""
        at_x, y = self._axes(row, col)
        place = {"xref": at_x, "x0": x, "x1": x, "yref": f"{y} domain", "y0": 0, "y1": 1}
        self.add_shape(type="line", line=line, **place)

    def add_annotation(self, *, row: int = 0, col: int = 0, **note: Any) -> None:
        """Write words."""
        if row:
            x, y = self._axes(row, col)
            note = {"xref": x, "yref": y, **note}
        self.settings["annotations"] = [*self.settings.get("annotations", ()), note]

    def update_layout(self, **layout: Any) -> None:
        """Set what the whole figure has."""
        self.settings = _joined(self.settings, layout)

    def update_annotations(self, **note: Any) -> None:
        """Set what all words have."""
        notes = self.settings.get("annotations", ())
        self.settings["annotations"] = [_joined(each, note) for each in notes]

    def update_xaxes(self, *, row: int = 0, col: int = 0, **axis: Any) -> None:
        """Set what the axes have, or only those of a row, of a column, of a cell."""
        self._update_axes("xaxis", row, col, axis)

    def update_yaxes(self, *, row: int = 0, col: int = 0, **axis: Any) -> None:
        """Set what the axes have, or only those of a row, of a column, of a cell."""
        self._update_axes("yaxis", row, col, axis)

    def to_dict(self) -> dict[str, Any]:
        """Return what is sent to the browser."""
        return {"data": _sent(self.traces), "layout": _sent(self.settings)}

    def finished(self) -> BaseFigure:
        """Return what `st.plotly_chart` takes, and does not check again."""
        return _Finished(self)

    @cached_property
    def checked(self) -> "go.Figure":
        """Plotly's own figure of it, for tests and notebooks; `ValueError` where there is none."""
        import plotly.graph_objects as go

        return go.Figure(data=self.traces, layout=self.settings)

    def _add(self, kind: str, *, row: int = 1, col: int = 1, **trace: Any) -> None:
        x, y = self._axes(row, col)
        cell = {"xaxis": x, "yaxis": y} if self.n_columns > 1 or row > 1 else {}
        self.traces.append({"type": kind, **cell, **trace})

    def _axes(self, row: int, col: int) -> tuple[str, str]:
        at = (row - 1) * self.n_columns + col
        return (f"x{at}", f"y{at}") if at > 1 else ("x", "y")

    def _update_axes(self, kind: str, row: int, col: int, axis: dict[str, Any]) -> None:
        there = [name for name in self.settings if name.startswith(kind)] or [kind]
        self.update_layout(
            **{name: axis for name in there if self._is_in(name.removeprefix(kind), row, col)}
        )

    def _is_in(self, number: str, row: int, col: int) -> bool:
        """Whether an axis is in that row and column; 0 stands for any."""
        its_row, its_col = divmod(int(number or 1) - 1, self.n_columns)
        return row in (0, its_row + 1) and col in (0, its_col + 1)


class _Finished(BaseFigure):
    """Of plotly's class it has the name, which Streamlit asks for, and `to_dict`."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def to_dict(self) -> dict[str, Any]:
        return self._figure.to_dict()


def grid(rows: int, columns: int, **options: Any) -> Figure:
    """Make a figure of several cells; `options` are those of plotly's `make_subplots`."""
    keys = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    return Figure(columns, **deepcopy(_layout_of_grid(rows, columns, **keys)))


@lru_cache(maxsize=64)
def _layout_of_grid(rows: int, columns: int, **options: Any) -> dict[str, Any]:
    from plotly.subplots import make_subplots

    layout = make_subplots(rows, columns, **options).to_plotly_json()["layout"]
    return {name: value for name, value in layout.items() if name != "template"}


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Set some properties anew; those that are dictionaries before and after are joined."""
    both = dict(old)
    for name, value in new.items():
        before, after = _as_title(name, old.get(name)), _as_title(name, value)
        is_deep = isinstance(before, Mapping) and isinstance(after, Mapping)
        both[name] = _joined(before, after) if is_deep else after
    return both


def _as_title(name: str, value: Any) -> Any:
    """Give a title as plotly.js wants it: its words are one property of several."""
    return {"text": value} if name == "title" and isinstance(value, str) else value


_NUMBERS = {int, bool, type(None)}


def _sent(value: Any) -> Any:
    """Turn arrays of numbers into what plotly.js reads as bytes, other sequences into lists."""
    if isinstance(value, str):
        return in_chart(value)
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    kinds = set(map(type, value)) if isinstance(value, list | tuple) else None
    if kinds == {str}:
        return list(map(in_chart, value))
    if kinds is not None and kinds <= _NUMBERS:
        return list(value)
    if isinstance(value, Mapping):
        return {
            name: _sent(_as_title(name, each)) for name, each in value.items() if each is not None
        }
    if isinstance(value, np.generic):
        return _sent(value.item())
    if isinstance(value, np.ndarray) and value.size > _SHORT and value.dtype.str[1:] in _AS_BYTES:
        return _as_bytes(value)
    return [_sent(each) for each in (value.tolist() if isinstance(value, np.ndarray) else value)]


def _as_bytes(array: np.ndarray) -> dict[str, str]:
    kind = array.dtype.str[1:]
    little = np.ascontiguousarray(array, f"<{kind}")
    spec = {"dtype": kind, "bdata": base64.b64encode(little.tobytes()).decode("ascii")}
    return spec | ({"shape": ", ".join(map(str, array.shape))} if array.ndim > 1 else {})
