"""Entry point: the list of pages, and what every page shares."""

from pathlib import Path

import streamlit as st

from pages.shared import controls, frame, look

PAGES = {
    "home": "Home",
    "weights": "Weights",
    "block": "Block microscope",
    "scales": "Scales",
    "layer_error": "Error by layer",
    "drift": "Drift",
    "memory": "Memory",
}

# A local icon: for a Material icon the browser would fetch a font from the internet.
st.set_page_config(page_title="Quantlab", page_icon="assets/icon.png", layout="wide")
page = st.navigation(
    [
        st.Page(f"pages/{name}.py", title=title, default=name == "home")
        for name, title in PAGES.items()
        if Path(__file__).with_name("pages").joinpath(f"{name}.py").exists()
    ],
    position="top",
)
frame.go_on()
controls.carry_over()
controls.choose_model()
frame.run(page)
look.watch_browser()
