"""Whose memory the page Memory counts: known, opened, pasted, on the Hub, or typed."""

from dataclasses import replace
from typing import Any

import streamlit as st

from pages.memory import cache, words
from pages.shared import bench, controls, drifts, look, owner, texts, uploads
from pages.shared.outside import as_text
from quantcore.memory import FoundModel, find_by_name, find_pasted
from quantcore.memory.lookup.sources import MAX_PASTED_BYTES
from quantcore.shape import preset, shape_from_json
from quantcore.which_type import KnownCosts, measured_costs

KNOWN, OPENED, CONFIG, HUB, TYPED = WHOSE = (
    "Known model", "Model on the bench", "config.json", "Hugging Face Hub", "Custom sizes",
)  # fmt: skip
USUAL = "Llama-3.1-8B"
SIZES = {  # key of the control: config.json's key, label, help
    "own_layers": ("num_hidden_layers", "Layers", "Blocks of attention and feed-forward."),
    "own_hidden": ("hidden_size", "Hidden size", "Numbers that represent one token."),
    "own_wide": ("intermediate_size", "Feed-forward size", "Width inside the feed-forward part."),
    "own_vocabulary": ("vocab_size", "Vocabulary", "Number of different tokens."),
    "own_heads": ("num_attention_heads", "Heads", "Query heads of attention."),
    "own_kv": ("num_key_value_heads", "KV heads", "Fewer than heads in grouped-query attention."),
    "own_head": ("head_dim", "Head size", "Not always hidden size / heads."),
    "own_context": ("max_position_embeddings", "Trained context", "Tokens it was made for."),
}
_START = (32, 4096, 14_336, 128_256, 32, 8, 128, 131_072)  # Llama-3.1-8B's
_KEPT = "_hub_found"


def choose() -> FoundModel | None:
    """Ask whose memory is meant; None while nothing is named yet, and a note says so.

    Raises
    ------
    ValueError
        If it cannot be read, in one sentence.
    """
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    own = not bench.is_shipped(controls.model_name())
    first = OPENED if own else KNOWN
    controls.follow_default("whose", first)
    whose = left.segmented_control(
        "Which model", WHOSE, default=first, required=True, key="whose", **controls.BOUND,
        help=words.WHOSE,
    )  # fmt: skip
    if whose == OPENED:
        return cache.on_bench(controls.model_name())
    if whose == CONFIG:
        return _config()
    if whose == HUB:
        return _hub(right)
    if whose == TYPED:
        return _typed()
    names = list(cache.known())
    name = right.selectbox(
        "Known model", names, names.index(USUAL), key="known", **controls.BOUND,
        help="Sizes as in the model’s config.json, kept with the lab: no network is needed.",
    )  # fmt: skip
    return FoundModel(shape=preset(name))


def from_bench() -> bool:
    """Whether the model on the bench is meant."""
    return st.session_state["whose"] == OPENED


def costs(found: FoundModel) -> KnownCosts:
    """Find what types cost the model: as measured on the page Drift, or as the engine knows it."""
    name = controls.model_name()
    if from_bench() and not bench.is_shipped(name):
        drifts_known = drifts.on_its_text(model := bench.model(name)).drifts
        text = texts.called(texts.suited(name))
        own = measured_costs(model, drifts_known, text, words.MEASURED_ON_DRIFT)
        if own.divergence:
            return replace(own, model=found.shape.name)
    return cache.costs(found)


def _config() -> FoundModel | None:
    text = st.text_area(
        "Text of a config.json", key="config_text", height=120, max_chars=MAX_PASTED_BYTES,
        placeholder='{"model_type": "llama", "hidden_size": 4096, …}',
        help="As the Hub shows it under “Files”. It stays on this machine.",
    )  # fmt: skip
    file = st.file_uploader("Or the file", type="json", key="config_file", max_upload_size=1)
    if file is not None:
        text = uploads.text_of(file, MAX_PASTED_BYTES)
    if not text.strip():
        look.note("Paste a config.json, or choose one; until then nothing can be counted.")
        return None
    if not text.strip().startswith("{"):
        raise ValueError("A config.json begins with a brace; this text does not.")
    return find_pasted(text)


def _hub(right) -> FoundModel | None:
    name = right.text_input(
        "Name on the Hub", key="hub", placeholder="owner/name, or owner/name:Q4_K_M", max_chars=300,
        help="Only headers are read: config.json, and names and shapes of tensors.",
        **controls.BOUND,
    ).strip()  # fmt: skip
    why = "" if name else "Write a model’s name first."
    pressed = right.button(
        "Read the headers", key="read_hub", disabled=bool(why),
        help=why or "Asks the Hub for the headers of that model’s files.",
    )  # fmt: skip
    if pressed:
        with st.spinner(as_text(f"Asking the Hub for the headers of {name}")):
            found = find_by_name(name, as_owner=owner.lends_token())
            st.session_state[_KEPT] = name, found
    asked, model = st.session_state.get(_KEPT, ("", None))
    if not name or asked != name:
        look.note(words.NOT_ASKED)
        return None
    return model


def _typed() -> FoundModel:
    asked = st.container(horizontal=True, vertical_alignment="bottom")
    bound: dict[str, Any] = {"width": 170, **controls.BOUND}
    config: dict[str, Any] = {"model_type": "llama"}
    for (key, (name, label, says)), start in zip(SIZES.items(), _START, strict=True):
        config[name] = asked.number_input(label, 1, 10_000_000, start, key=key, help=says, **bound)
    window = asked.number_input(
        "Window, tokens", 0, 10_000_000, 0, key="own_window",
        help="Layers with a sliding window keep only this many tokens. 0: no window.", **bound,
    )  # fmt: skip
    why = "" if window else "There is no window, so all layers see everything."
    n_full = asked.number_input(
        "Layers without window", 0, 1_000, 0, key="own_full", disabled=bool(why),
        help=why or "Layers that see everything nevertheless: 10 of 62 in Gemma-3-27B.", **bound,
    )  # fmt: skip
    experts = asked.number_input(
        "Experts", 0, 4_096, 0, key="own_experts",
        help="Feed-forward parts of that width in each layer. 0: an ordinary model.", **bound,
    )  # fmt: skip
    why = "" if experts else "There are no experts in this model."
    used = asked.number_input(
        "Experts per token", 1, 4_096, 2, key="own_used", disabled=bool(why), **bound,
        help=why or "How many of them work on each token.",
    )  # fmt: skip
    config["tie_word_embeddings"] = asked.checkbox(
        "Output shares the embedding", key="own_tied",
        help="Many small models keep one matrix for both.", **controls.BOUND,
    )  # fmt: skip
    if window:
        n_layers = config["num_hidden_layers"]
        kinds = ["full_attention"] * min(n_full, n_layers)
        kinds += ["sliding_attention"] * (n_layers - len(kinds))
        config |= {"sliding_window": window, "use_sliding_window": True, "layer_types": kinds}
    if experts > 1:
        config |= {"num_local_experts": experts, "num_experts_per_tok": used}
    return FoundModel(shape=shape_from_json(config, "your model", "this page"))
