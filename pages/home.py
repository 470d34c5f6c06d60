"""Page: what the lab is, and the one chart that matters."""

import streamlit as st

from pages.shared import frame

frame.enter(__file__)

st.title("How many bits does a thought need?", anchor=False)
