"""How a page speaks: its theme, the finding above a chart, the chart itself."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.shared import components
from pages.shared.palette import DARK, LIGHT, Look
from pages.shared.units import together

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The camera button exists, so that it can be pressed by the small control below the chart.
_CHART = {
    "displayModeBar": True,
    "modeBarButtons": [["toImage"]],
    "displaylogo": False,
    "responsive": True,
}


def current() -> Look:
    """Return the palette of the theme that the browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def narrow() -> bool:
    """Return whether the window is a phone's: room for fewer labels in a chart."""
    return components.narrow()


def watch_browser(again: bool) -> None:
    """Redraw when the theme changes or the window turns narrow, or once more where asked to.

    Called once, in ``app.py``.
    """
    components.watch_browser(current().page, again)


def show(figure: "go.Figure", key: str, alt: str, name: str | None = None, **more: Any):
    """Draw a chart with its one small control, which saves it as SVG or PNG.

    Parameters
    ----------
    key
        Unique on the page and the same in every rerun.
    alt
        What the chart shows, in one sentence, for those who cannot see it.
    name
        File name without ending; from the key where it is left out.
    more
        Passed on to `st.plotly_chart`, such as ``on_select``.
    """
    with st.container(key=f"{key}_frame", gap=None):
        event = st.plotly_chart(figure, theme=None, config=_CHART, key=key, alt=alt, **more)
        components.chart_saver(f"{key}_frame", f"quantlab-{(name or key).replace('_', '-')}")
    return event


def show_running(figure: "go.Figure", alt: str) -> None:
    """Draw a chart that is redrawn while work goes on.

    Streamlit mounts a new chart whenever a figure changes, with a key or without (streamlit issue
    8782); its place keeps its height meanwhile, so that nothing jumps.
    """
    config = {"displayModeBar": False, "responsive": True}
    st.plotly_chart(figure, theme=None, config=config, alt=alt)


def mend_tags() -> None:
    """Make the chips of a multiselect readable: in the dark theme they are white on light grey."""
    style = current()
    st.html(
        "<style>[data-testid='stMultiSelectTagsContainer'] > span > span, "
        "[data-testid='stMultiSelectTagsContainer'] > span > span * "
        f"{{background-color: {style.line} !important; color: {style.ink} !important}}</style>"
    )


def finding(sentence: str, how_to_read: str = "", help: str | None = None) -> None:
    """Write the headline of a chart: what it shows, in numbers that follow the state."""
    st.subheader(together(sentence), anchor=False, help=help)
    if how_to_read:
        note(how_to_read)


def note(text: str, help: str | None = None) -> None:
    """Write small secondary text. Not `st.caption`, which fades it below a contrast of 4.5."""
    st.markdown(f":small[:gray[{together(text)}]]", help=help)
