"""The two small components that Streamlit lacks: one watches the browser, one saves a chart.

What they do in the browser stands in the folder ``browser``.
"""

from pathlib import Path

import streamlit as st

_BROWSER = Path(__file__).parent / "browser"


def _source(name: str) -> str:
    return (_BROWSER / name).read_text(encoding="utf-8")


# Streamlit does not rerun the script when the theme changes, so charts would keep the old colours;
# and Python never learns how wide the window is.
_browser_watch = st.components.v2.component("browser_watch", js=_source("watch.js"))

_chart_saver = st.components.v2.component(
    "chart_saver",
    isolate_styles=False,  # the chart lies outside of this component
    html="""<div class="lab-save"><span>Save</span>
        <button type="button" data-format="svg">SVG</button>
        <button type="button" data-format="png">PNG</button></div>""",
    css=_source("save.css"),
    js=_source("save.js"),
)


def narrow() -> bool:
    """Whether the window is as narrow as a phone's, as far as the browser has said."""
    return bool(st.session_state.get("browser_watch", {}).get("narrow", False))


def watch_browser(page_colour: str, again: bool) -> None:
    """Rerun the script when the page's colour or the kind of window is no longer as drawn.

    With `again` the browser asks for one more run in any case.
    """
    run = st.session_state["_run"] = (
        st.session_state.get("_run", 0) + 1
    )  # so that it runs each time
    _browser_watch(
        key="browser_watch",
        data={"page": page_colour, "narrow": narrow(), "again": again, "run": run},
        on_changed_change=lambda: None,
        on_again_change=lambda: None,
        on_narrow_change=lambda: None,
        height=1,
    )


def chart_saver(frame: str, name: str, source: str, looks: dict[str, str]) -> None:
    """Draw two small buttons that save the chart in the container with the key `frame`.

    Parameters
    ----------
    frame
        Key of the container.
    name
        File name without ending.
    source
        Stands below the chart in the picture.
    looks
        Colours of the picture's ``page``, ``ink`` and ``quiet``, and the ``family`` of its letters.
    """
    data = {"frame": frame, "name": name, "source": source, **looks}
    _chart_saver(key=f"{frame}_save", data=data)
