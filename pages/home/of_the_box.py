"""The models that ship: which of them is on the bench, and what it is."""

import streamlit as st

from pages.home import words
from pages.shared import bench, controls, look, shipped
from quantcore.evaluate.measured import PROMPT, ShippedResults
from quantcore.model.original import original_of
from quantcore.model.source import Model

COMPARED = "Q4_K_M"  # in which a model with outlier channels is compared with its base


def choose() -> None:
    """Draw a switch between the models that ship, where one of them is on the bench."""
    st.session_state["shipped_model"] = controls.model_name()

    def take() -> None:
        st.session_state["model"] = st.session_state["shipped_model"]

    st.segmented_control(
        "Shipped model",
        bench.every_shipped(),
        key="shipped_model",
        required=True,
        on_change=take,
        help=words.SHIPPED,
    )


def introduce(model: Model, results: ShippedResults) -> None:
    """Say which model the figures are of, where it is the one on the bench."""
    if controls.model_name() != model.name:
        return
    first = next(iter(results.drifts.values()))
    original = original_of(model)
    look.note(
        words.the_model(model.name, model.config, model.n_weights, first, original)
        + (_compared(model, model.base, results) if model.base else "")
        + " "
        + words.sample(PROMPT, model.tokenizer.continuation(results.continuations["F32"].original))
    )
    if results.stale:
        look.note(f"The figures here are those of {model.name} as it was when it was measured.")


def _compared(model: Model, base: Model, results: ShippedResults) -> str:
    """Say what outlier channels are, and what rounding costs with and without them."""
    mine, plain = (
        drifts[COMPARED].mean_kl_divergence
        for drifts in (results.drifts, shipped.measured(base.name).drifts)
    )
    figures = shipped.published()
    (large,) = (row["kl_nats"] for row in figures["formats"] if row["format"] == COMPARED)
    return words.same_function(
        COMPARED, (model.name, mine), (base.name, plain), (figures["model"], large)
    )
