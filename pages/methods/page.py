"""Page: what methods that look at a layer's inputs make of the same bits."""

import streamlit as st

from pages.methods import columns, compare, outlier_lab, two_bits, whole, words
from pages.shared import controls, definitions, look, saving
from quantcore.methods.inputs.calibration import place_of

FIRST = "blk.3.ffn_down.weight"  # the widest kind, in the middle of the shipped model
TYPE = "INT3_G128_ASYM"


def main() -> None:
    """Draw the page."""
    model, style = controls.model(), look.current()
    definitions.head("Methods", words.PURPOSE, words.DEFINED)
    one, two = st.columns([3, 2], vertical_alignment="bottom")
    if "tensor" not in st.session_state and "tensor" not in st.query_params:
        st.session_state["tensor"] = FIRST if FIRST in model.tensors else model.quantizable[-1]
    with one:
        tensor = controls.tensor()
    with two:
        type_name = controls.type_(tensor, TYPE)
    saving.of(model.name, tensor, type_name)
    try:
        place_of(model.config, tensor)
    except ValueError:
        look.finding(words.no_inputs(tensor))
        return
    st.space("small")
    compare.errors(model, tensor, type_name, style)
    compare.plane(model, tensor, type_name, style)
    st.space("medium")
    columns.section(model, tensor, type_name, style)
    st.space("medium")
    left, right = st.columns(2, gap="large")
    with left:
        compare.scaling(model, tensor, type_name, style)
    with right:
        compare.turning(model, tensor, style)
    two_bits.section(model, tensor, style)
    whole.recipes(model, style)
    whole.kv_cache(model, style)
    outlier_lab.section(model, tensor, style)
