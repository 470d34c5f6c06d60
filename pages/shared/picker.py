"""The picker of the model on the bench, in the frame of every page."""

import streamlit as st

import quantcore
from pages.shared import bench, controls, look
from pages.shared.units import both_ends, decimal, millions, plural
from quantcore.model.original import original_of

SHORT_NAME = 18  # letters of a model's name that need no wide picker
MOST_MADE = 4  # models that were made on the Outlier lab and stay in the picker
_MADE = "_made"  # models with outlier channels in their names that were on the bench, the last ones
_ABSENT = "_absent"  # the model that the address asked for in vain
_OWN_MODEL = (
    "The model on the bench, here and on every page. To add one, put the folder of another "
    "Llama-family model (config.json, safetensors, tokenizer.json), or its GGUF file, into "
    "`models/` beside `app.py`, or into the folder that the environment variable `QUANTLAB_MODELS` "
    "names."
)


def choose_model() -> None:
    """Draw the model picker. Called once, in ``app.py``, so that it outlives a change of page."""
    asked = st.query_params.get("model", "")
    if "model" not in st.session_state and asked:
        here = asked in bench.sources() or bench.can_be_made(asked)
        st.session_state["model" if here else _ABSENT] = asked
    made = st.session_state.setdefault(_MADE, [])
    if (chosen := st.session_state.get("model", "")) not in made and bench.can_be_made(chosen):
        made[:] = [*made, chosen][-MOST_MADE:]
    names = bench.names(*made)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        chosen = st.selectbox(
            "Model",
            names,
            format_func=both_ends(names).__getitem__,
            key="model",
            width=190 if max(map(len, names)) <= SHORT_NAME else 320,
            label_visibility="collapsed",
            on_change=lambda: st.session_state.pop(_ABSENT, None),
        )
        _write_model(chosen, names[0])
        try:
            look.note(_model_line(controls.model()), help=_OWN_MODEL)
        except Exception:  # whatever it is, the page below says it
            look.note("This model cannot be opened.", help=_OWN_MODEL)  # the page says why
        st.space("stretch")
        st.toggle(
            "Large type",
            key="large",
            help="Larger letters and marks, for a projector.",
            **controls.BOUND,
        )
    if absent := st.session_state.get(_ABSENT):
        look.note(f"The link asks for the model {absent}, which is not here; this is {chosen}.")


def _write_model(chosen: str, default: str) -> None:
    """Write the model into the address, in full: a bound control would write the picker's label."""
    written = None if chosen == default else chosen
    if st.query_params.get("model") == written:
        return
    if written is None:
        del st.query_params["model"]
    else:
        st.query_params["model"] = written


def _model_line(opened: "quantcore.Model") -> str:
    tensors, file = plural(len(opened.quantizable), "matrix", "matrices"), original_of(opened)
    return (
        f"{millions(opened.n_weights)} weights, {plural(opened.config.n_layers, 'layer')}, "
        f"{tensors}; {decimal(file.n_bytes)} in {file.stored_as}"
        + (f". It computes what {opened.base.name} computes" if opened.base else "")
    )
