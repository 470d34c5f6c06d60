"""How a page speaks: its theme, the finding above a chart, the chart itself."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.shared import components, saving, style
from pages.shared.charts.enlarged import enlarged
from pages.shared.outside import as_text
from pages.shared.palette import DARK, LIGHT, SANS, Look
from pages.shared.units import together

if TYPE_CHECKING:
    from pages.shared.charts.figure import Figure

_CHART = {"displayModeBar": False, "responsive": True}


def current() -> Look:
    """Return the palette of the theme that the browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def narrow() -> bool:
    """Return whether the window is a phone's: room for fewer labels in a chart."""
    return components.narrow()


def large() -> bool:
    """Return whether type is that of a presentation."""
    return bool(st.session_state.get("large"))


def dress() -> None:
    """Give the page its style sheet. Called once, in ``app.py``, before the page is drawn."""
    st.html(style.sheet(current(), large()))


def watch_browser(again: bool) -> None:
    """Redraw when the theme changes or the window turns narrow, or once more where asked to.

    Called once, in ``app.py``.
    """
    components.watch_browser(current().page, again)


def show(figure: "Figure", key: str, alt: str, **more: Any):
    """Draw a chart with its one small control, which saves it as SVG or PNG.

    Parameters
    ----------
    key
        Unique on the page and the same in every rerun.
    alt
        What the chart shows, in one sentence, for those who cannot see it.
    more
        Passed on to `st.plotly_chart`, such as ``on_select``.
    """
    with st.container(key=f"{key}_frame", gap=None):
        drawn = _sized(figure).finished()
        event = st.plotly_chart(drawn, theme=None, config=_CHART, key=key, alt=alt, **more)
        tones = current()
        looks = {"page": tones.page, "ink": tones.ink, "quiet": tones.quiet, "family": SANS}
        components.chart_saver(f"{key}_frame", saving.stem(key), saving.source(), looks)
    return event


def show_running(figure: "Figure", alt: str) -> None:
    """Draw a chart that is redrawn while work goes on.

    Streamlit mounts a new chart whenever a figure changes, with a key or without (streamlit issue
    8782); its place keeps its height meanwhile, so that nothing jumps.
    """
    st.plotly_chart(_sized(figure).finished(), theme=None, config=_CHART, alt=alt)


def _sized(figure: "Figure") -> "Figure":
    return enlarged(figure, style.LARGER) if large() else figure


def commands(text: str) -> None:
    """Draw text to be copied into a terminal, in ink: colours of a language are hard to read."""
    st.code(text, language=None, wrap_lines=True)


def finding(sentence: str, how_to_read: str = "", help: str | None = None) -> None:
    """Write the headline of a chart: what it shows, in numbers that follow the state."""
    st.header(as_text(together(sentence)), anchor=False, help=help and as_text(help))
    if how_to_read:
        note(how_to_read)


def note(text: str, help: str | None = None) -> None:
    """Write small secondary text. Not `st.caption`, which fades it below a contrast of 4.5."""
    st.markdown(f":small[:gray[{as_text(together(text))}]]", help=help and as_text(help))


def say(text: str, help: str | None = None) -> None:
    """Write a sentence of the usual size."""
    st.markdown(as_text(together(text)), help=help and as_text(help))


def problem(text: str) -> None:
    """Say what went wrong, in one sentence."""
    st.error(as_text(text))
