"""Charts for a presentation: letters, marks and distances larger than on a desk."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

# By the name of what they belong to, sizes that are pixels; others are in units of the data.
_IN_PIXELS = {
    "size": ("font", "marker"),
    "width": ("line",),
    "l": ("margin",), "r": ("margin",), "t": ("margin",), "b": ("margin",), "pad": ("margin",),
}  # fmt: skip
_ALWAYS_PIXELS = {
    "height", "xshift", "yshift", "standoff", "minsize", "borderwidth", "borderpad", "gridwidth",
}  # fmt: skip


def enlarged(figure: go.Figure, factor: float) -> go.Figure:
    """Return the same chart with everything `factor` times as large that is measured in pixels.

    Examples
    --------
    >>> larger = enlarged(go.Figure(layout={"height": 100, "xaxis": {"range": [0, 8]}}), 1.5)
    >>> larger.layout.height, larger.layout.xaxis.range
    (150.0, (0, 8))
    """
    layout = _scaled(figure.layout.to_plotly_json(), "layout", factor)
    data = [_scaled(trace.to_plotly_json(), "trace", factor) for trace in figure.data]
    return go.Figure(data=data, layout=layout, skip_invalid=False)


def _scaled(value: Any, owner: str, factor: float) -> Any:
    if isinstance(value, dict):
        return {
            key: _times(each, factor) if _is_pixels(key, owner) else _scaled(each, key, factor)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        return [_scaled(each, owner, factor) for each in value]
    return value


def _is_pixels(key: str, owner: str) -> bool:
    # Owners are called font, tickfont, textfont, hoverlabel's font and so on.
    return key in _ALWAYS_PIXELS or owner.endswith(_IN_PIXELS.get(key, ("\0",)))


def _times(size: Any, factor: float) -> Any:
    return (np.asarray(size, float) * factor).tolist()
