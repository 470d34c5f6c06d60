"""Whose sizes the page Memory counts with: a known model's, the opened one's, or typed ones."""

import dataclasses

import streamlit as st

from pages.shared import controls
from quantcore.memory import ModelShape, presets, shape_from_config

KNOWN, OPENED, TYPED = WHOSE = ("Known model", "Model on the bench", "Sizes of my own")
SIZES = {
    "n_layers": ("Layers", "Blocks of attention and feed-forward, one after the other."),
    "hidden_size": ("Hidden size", "Numbers that stand for one token between layers."),
    "feed_forward_size": ("Feed-forward size", "Width inside the feed-forward part."),
    "vocabulary_size": ("Vocabulary", "Different tokens."),
    "n_heads": ("Heads", "Query heads of attention."),
    "n_kv_heads": ("KV heads", "Heads of keys and values: fewer in grouped-query attention."),
    "head_size": ("Head size", "Numbers a head keeps of a token; not always hidden size / heads."),
    "context_length": ("Trained context", "Tokens that the model was made for."),
}


def choose_shape() -> ModelShape:
    """Ask whose memory is meant: a known model's, the opened one's, or that of typed sizes."""
    left, right = st.columns(2, vertical_alignment="bottom")
    whose = left.segmented_control(
        "Whose memory", WHOSE, default=KNOWN, required=True, key="whose", **controls.BOUND
    )
    if whose == OPENED:
        return shape_from_config(controls.model().config, controls.model_name())
    if whose == TYPED:
        return typed_shape()
    names = list(presets())
    at = names.index("Llama-3.1-8B")
    says = "Sizes as in the model’s config.json; the table below says whose."
    known = right.selectbox("Known model", names, at, key="known", help=says, **controls.BOUND)
    return presets()[known]


def typed_shape() -> ModelShape:
    """Ask for every size; Llama-3.1-8B's are filled in."""
    start = presets()["Llama-3.1-8B"]
    asked = st.container(horizontal=True, vertical_alignment="bottom")
    bound = {"width": 180, **controls.BOUND}
    sizes = {
        key: asked.number_input(
            label, 1, 10_000_000, getattr(start, key), key=f"own_{key}", help=says, **bound
        )
        for key, (label, says) in SIZES.items()
    }
    window = asked.number_input(
        "Window, tokens", 0, 10_000_000, 0, key="own_window",
        help="Layers with a sliding window keep only so many tokens. 0: none.", **bound,
    )  # fmt: skip
    n_full = asked.number_input(
        "Layers without window", 0, 10_000, 0, key="own_full", disabled=not window,
        help="Layers that see everything all the same: 10 of 62 in Gemma-3-27B.", **bound,
    )  # fmt: skip
    billions = asked.number_input(
        "Weights, billion", 0.0, 10_000.0, 0.0, key="own_weights",
        help="0: count them from the sizes. Type a number where the model has parts that the sizes "
        "do not tell, such as experts.", **bound,
    )  # fmt: skip
    tied = asked.checkbox(
        "Output shares the embedding", key="own_tied",
        help="Many small models keep one matrix for both.", **controls.BOUND,
    )  # fmt: skip
    return ModelShape(
        name="Your model",
        tied_embedding=tied,
        window=window or None,
        full_layers=tuple(range(min(n_full, sizes["n_layers"]))) if window else None,
        n_weights=round(billions * 1e9) or None,
        **sizes,
    )


def misread(shape: ModelShape) -> dict[str, ModelShape]:
    """Shapes as a formula takes them that overlooks something, by what it overlooks."""
    wrong = {}
    if shape.latent or shape.n_kv_heads < shape.n_heads:
        wrong["if every head kept its own"] = all_heads(shape)
    if shape.window and shape.n_full_layers < shape.n_layers:
        wrong["if no layer had a window"] = dataclasses.replace(shape, window=None)
    narrow = shape.hidden_size // shape.n_heads
    if not shape.latent and narrow not in (0, shape.head_size) and narrow % 32 == 0:
        wrong["if heads were hidden size / heads"] = dataclasses.replace(shape, head_size=narrow)
    return wrong


def all_heads(shape: ModelShape) -> ModelShape:
    """Take the shape without grouped or latent attention."""
    return dataclasses.replace(shape, n_kv_heads=shape.n_heads, latent=None)
