"""The two small components that Streamlit lacks: one watches the browser, one saves a chart."""

import streamlit as st

# Streamlit does not rerun the script when the theme changes, so charts would keep the old colours;
# and Python never learns how wide the window is. This draws nothing: its function runs at each
# rerun and at each change of theme, and asks for a rerun where the page was drawn for another one.
_browser_watch = st.components.v2.component(
    "browser_watch",
    js="""export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
        const host = parentElement.host ?? parentElement;
        const page = getComputedStyle(host).getPropertyValue("--st-background-color");
        if (page && page.trim().toLowerCase() !== data.page) setTriggerValue("changed", page);
        if (data.again) setTriggerValue("again", true);
        const phone = window.matchMedia("(max-width: 640px)");
        const tell = () => {
            if (phone.matches !== data.narrow) setStateValue("narrow", phone.matches);
        };
        tell();
        phone.addEventListener("change", tell);
        return () => phone.removeEventListener("change", tell);
    }""",
)

# Plotly's own camera button offers one format only. It is hidden, and pressed from here after the
# format was set; the picture is made in the browser and never leaves it.
_chart_saver = st.components.v2.component(
    "chart_saver",
    isolate_styles=False,  # the camera button lies outside of this component
    html="""<div class="lab-save"><span>Save</span>
        <button type="button" data-format="svg">SVG</button>
        <button type="button" data-format="png">PNG</button></div>""",
    css="""
        .js-plotly-plot .modebar {display: none !important}
        .lab-save {display: flex; gap: .1rem; justify-content: flex-end; align-items: baseline;
            font: 400 .8rem/1.2 var(--st-font); color: var(--st-gray-text-color)}
        .lab-save span {margin-right: .2rem}
        .lab-save button {font: inherit; color: inherit; background: none; border: 0;
            cursor: pointer; padding: .3rem .35rem; border-radius: .25rem;
            text-decoration: underline;
            text-decoration-color: var(--st-border-color); text-underline-offset: .2em}
        .lab-save button:hover {color: var(--st-text-color); background:
            var(--st-secondary-background-color)}
        .lab-save button:focus-visible {outline: 2px solid var(--st-text-color)}
    """,
    js="""export default function ({ parentElement, data }) {
        const host = parentElement.host ?? parentElement;
        for (const button of parentElement.querySelectorAll(".lab-save button")) {
            const format = button.dataset.format;
            button.ariaLabel = `Save the chart “${data.name}” as ${format.toUpperCase()}`;
            button.onclick = () => {
                const frame = host.closest(`.st-key-${data.frame}`);
                const chart = frame?.querySelector(".js-plotly-plot");
                const camera = chart?.querySelector(".modebar-btn");
                if (!camera) return;
                chart._context.toImageButtonOptions = { format, filename: data.name, scale: 2 };
                camera.click();
            };
        }
    }""",
)


def narrow() -> bool:
    """Whether the window is as narrow as a phone's, as far as the browser has said."""
    return bool(st.session_state.get("browser_watch", {}).get("narrow", False))


def watch_browser(page_colour: str, again: bool) -> None:
    """Rerun the script when the page's colour or the kind of window is no longer as drawn.

    With `again` the browser asks for one more run in any case.
    """
    _browser_watch(
        key="browser_watch",
        data={"page": page_colour, "narrow": narrow(), "again": again},
        on_changed_change=lambda: None,
        on_again_change=lambda: None,
        on_narrow_change=lambda: None,
        height=1,
    )


def chart_saver(frame: str, name: str) -> None:
    """Draw two small buttons that save the chart in the container with the key `frame`."""
    _chart_saver(key=f"{frame}_save", data={"frame": frame, "name": name})
