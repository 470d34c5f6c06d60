"""Whose sizes the page Memory counts with: a known model's, the opened one's, or typed ones."""

import dataclasses
from fractions import Fraction

import streamlit as st

from pages.shared import controls
from quantcore.shape import (
    LayerCache,
    ModelShape,
    preset,
    preset_ids,
    shape_from_config,
    shape_from_json,
)

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
KEYS = {
    "n_layers": "num_hidden_layers", "hidden_size": "hidden_size",
    "feed_forward_size": "intermediate_size", "vocabulary_size": "vocab_size",
    "n_heads": "num_attention_heads", "n_kv_heads": "num_key_value_heads", "head_size": "head_dim",
    "context_length": "max_position_embeddings",
}  # fmt: skip
USUAL = "Llama-3.1-8B"


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
    names = [preset(model_id).name for model_id in preset_ids()]
    at = names.index(USUAL)
    says = "Sizes as in the model’s config.json; the table below says whose."
    known = right.selectbox("Known model", names, at, key="known", help=says, **controls.BOUND)
    return preset(known)


def typed_shape() -> ModelShape:
    """Ask for every size; Llama-3.1-8B's are filled in."""
    start = preset(USUAL)
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
    tied = asked.checkbox(
        "Output shares the embedding", key="own_tied",
        help="Many small models keep one matrix for both.", **controls.BOUND,
    )  # fmt: skip
    config = {
        "model_type": "llama",
        "tie_word_embeddings": tied,
        **{KEYS[key]: value for key, value in sizes.items()},
    }
    if window:
        n_layers = sizes["n_layers"]
        kinds = ["full_attention"] * min(n_full, n_layers)
        kinds += ["sliding_attention"] * (n_layers - len(kinds))
        config |= {"sliding_window": window, "use_sliding_window": True, "layer_types": kinds}
    return shape_from_json(config, "Your model", "this page")


def misread(shape: ModelShape) -> dict[str, ModelShape]:
    """Shapes as a formula takes them that overlooks something, by what it overlooks."""
    wrong = {}
    if shape.latent or shape.n_kv_heads < shape.n_heads:
        wrong["if every head kept its own"] = all_heads(shape)
    if shape.window and shape.n_full_layers < shape.n_layers:
        row = shape.n_kv_heads * shape.head_size
        wrong["if no layer had a window"] = _all_full(shape, row)
    narrow = shape.hidden_size // shape.n_heads
    if not shape.latent and narrow not in (0, shape.head_size) and narrow % 32 == 0:
        ratio = Fraction(narrow, shape.head_size)
        caches = tuple(
            dataclasses.replace(
                cache,
                key_values=int(cache.key_values * ratio),
                value_values=int(cache.value_values * ratio),
            )
            for cache in shape.caches
        )
        narrowed = dataclasses.replace(shape, head_size=narrow, caches=caches)
        wrong["if heads were hidden size / heads"] = narrowed
    return wrong


def all_heads(shape: ModelShape) -> ModelShape:
    """Take the shape without grouped or latent attention."""
    return _all_full(shape, shape.n_heads * shape.head_size, latent=None)


def _all_full(shape: ModelShape, row: int, **changes) -> ModelShape:
    one = LayerCache(kind="full", key_values=row, value_values=row)
    return dataclasses.replace(shape, caches=(one,) * shape.n_layers, **changes)
