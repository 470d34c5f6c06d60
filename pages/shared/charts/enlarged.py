"""Charts for a presentation: letters, marks and distances larger than on a desk."""

from typing import Any

import numpy as np

from pages.shared.charts.figure import Figure

# By the name of what they belong to, sizes that are pixels; others are in units of the data.
_IN_PIXELS = {
    "size": ("font", "marker"),
    "width": ("line",),
    "l": ("margin",), "r": ("margin",), "t": ("margin",), "b": ("margin",), "pad": ("margin",),
}  # fmt: skip
_ALWAYS_PIXELS = {
    "height", "xshift", "yshift", "standoff", "minsize", "borderwidth", "borderpad", "gridwidth",
}  # fmt: skip


def enlarged(figure: Figure, factor: float) -> Figure:
    """Return the same chart with everything `factor` times as large that is measured in pixels.

    Examples
    --------
    >>> larger = enlarged(Figure(height=100, xaxis={"range": [0, 8]}), 1.5)
    >>> larger.settings
    {'height': 150.0, 'xaxis': {'range': [0, 8]}}
    """
    larger = Figure(figure.n_columns, **_scaled(figure.settings, "layout", factor))
    larger.traces = [_scaled(trace, "trace", factor) for trace in figure.traces]
    return larger


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
