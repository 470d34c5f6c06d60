"""Entry point: the list of pages, and what every page shares."""

import streamlit as st

from pages.shared import bench, controls, frame, look, picker, saving, serving

# A local icon: for a Material icon the browser would fetch a font from the internet.
st.set_page_config(page_title="Quantlab", page_icon="assets/icon.png", layout="wide")
serving.tidy()
serving.send_at_once()
page = st.navigation(
    [
        st.Page("pages/home.py", title="Home", default=True),
        st.Page("pages/weights.py", title="Weights"),
        st.Page("pages/block.py", title="Block microscope"),
        st.Page("pages/scales.py", title="Scales"),
        st.Page("pages/imatrix.py", title="Importance"),
        st.Page("pages/layer_error.py", title="Error by layer"),
        st.Page("pages/methods.py", title="Methods"),
        st.Page("pages/sensitivity.py", title="Sensitivity"),
        st.Page("pages/drift.py", title="Drift"),
        st.Page("pages/trial.py", title="Try"),
        st.Page("pages/mix.py", title="Mix"),
        st.Page("pages/file.py", title="File"),
        st.Page("pages/memory.py", title="Memory"),
    ],
    position="top",
)
frame.go_on()
with bench.looked_at_once():
    controls.carry_over(page.url_path)
    picker.choose_model()
    look.dress()
    saving.begin(page.title, controls.model_name())
    frame.run(page)
look.watch_browser(again=controls.unwritten())
