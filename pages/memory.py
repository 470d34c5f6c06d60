"""Page: what a model takes in memory, and how its cache grows with the context."""

import dataclasses

import streamlit as st

from pages.shared import controls, factors, frame, look, tables
from pages.shared.charts import memory as charts
from pages.shared.units import binary, millions, percent, times
from quantcore.formats import get_format
from quantcore.memory import (
    CACHE_FORMATS,
    ModelShape,
    cache_bytes,
    cache_terms,
    compute_buffer_bytes,
    presets,
    shape_from_config,
    stored_weights,
    tokens_that_fill,
)

frame.enter(__file__)

BARS = ("F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K")
CONTEXTS = [2**p for p in range(9, 21)]
WHOSE = ("Known model", "Model on the bench", "Sizes of my own")
BOUND = {"bind": "query-params"}


def choose_shape() -> ModelShape:
    """Ask whose memory is meant: a preset, the opened model, or sizes typed in."""
    whose = st.segmented_control(
        "Whose memory", WHOSE, default=WHOSE[0], required=True, key="whose", **BOUND
    )
    if whose == WHOSE[0]:
        names = list(presets())
        at = names.index("Llama-3.1-8B")
        return presets()[st.selectbox("Known model", names, index=at, key="known", **BOUND)]
    if whose == WHOSE[1]:
        model = controls.model()
        return shape_from_config(model.config, model.name)
    return typed_shape()


def typed_shape() -> ModelShape:
    """Ask for every size; Llama-3.1-8B's are filled in."""
    start = presets()["Llama-3.1-8B"]
    asked = {
        "n_layers": ("Layers", "Blocks of attention and feed-forward, one after the other."),
        "hidden_size": ("Hidden size", "Numbers that stand for one token between layers."),
        "feed_forward_size": ("Feed-forward size", "Width inside the feed-forward part."),
        "n_heads": ("Heads", "Query heads of attention."),
        "n_kv_heads": ("KV heads", "Heads of keys and values: grouped-query attention has fewer."),
        "head_size": ("Head size", "Numbers a head keeps of a token; not always hidden / heads."),
        "vocabulary_size": ("Vocabulary", "Different tokens."),
        "context_length": ("Trained context", "Tokens that the model was made for."),
    }
    places = [*st.columns(4), *st.columns(4)]
    sizes = {
        key: place.number_input(
            label, 1, 10_000_000, getattr(start, key), key=f"own_{key}", help=says, **BOUND
        )
        for place, (key, (label, says)) in zip(places, asked.items(), strict=True)
    }
    first, second, third = st.columns(3, vertical_alignment="bottom")
    window = first.number_input(
        "Window, tokens (0: none)", 0, 10_000_000, 0, key="own_window",
        help="Layers with a sliding window keep only so many tokens.", **BOUND,
    )  # fmt: skip
    n_full = second.number_input(
        "Layers without window", 0, 10_000, 0, key="own_full",
        help="Layers that see everything all the same: 10 of 62 in Gemma-3-27B.", **BOUND,
    )  # fmt: skip
    tied = third.checkbox(
        "Output shares the embedding", key="own_tied",
        help="Many small models store one matrix for both.", **BOUND,
    )  # fmt: skip
    full = tuple(range(min(n_full, sizes["n_layers"]))) if window else None
    return ModelShape(
        name="Your model", tied_embedding=tied, window=window or None, full_layers=full, **sizes
    )


st.title("Memory", anchor=False)
shape = choose_shape()
one, two, three, four = st.columns(4)
with one:
    type_name = controls.type_("Weights in", default="Q4_K")
context = two.select_slider(
    "Context, tokens", CONTEXTS, 32_768, key="context",
    help="Prompt and answer together. The cache keeps something of every token.", **BOUND,
)  # fmt: skip
cache_type = three.selectbox(
    "Cache in", CACHE_FORMATS, CACHE_FORMATS.index("F16"), key="cache",
    help="Keys and values can be quantized too: llama.cpp’s `-ctk` and `-ctv`.", **BOUND,
)  # fmt: skip
n_sequences = four.number_input(
    "Sequences at once", 1, 4096, 1, key="sequences",
    help="Each has a cache of its own, with the whole context.", **BOUND,
)  # fmt: skip

stored = stored_weights(shape, type_name)
cache = cache_bytes(shape, context, cache_type, n_sequences)
compute = compute_buffer_bytes(shape, context)
total = stored.total_bytes + cache + compute

st.space("small")
more = (
    "more for the cache than for the weights"
    if cache > stored.total_bytes
    else f"{percent(cache / total)} of it for the cache"
)
look.finding(
    f"**{shape.name}** in {type_name} with {context:,} tokens takes **{binary(total)}**, {more}.",
    f"Weights {binary(stored.total_bytes)} ({millions(stored.n_weights)} of them at "
    f"{stored.bits_per_weight:.2f} bits, norms in F32), KV cache {binary(cache)}, compute buffer "
    f"about {binary(compute)}. Dashed: sizes that machines come in. The program itself comes on top.",
)
bars = list(dict.fromkeys([*BARS, type_name]))
bars.sort(key=lambda name: -stored_weights(shape, name).total_bytes)
look.show(
    charts.by_format(
        bars,
        [stored_weights(shape, name).total_bytes for name in bars],
        (cache_type, cache),
        compute,
        type_name,
        look.current(),
    ),
    key="memory_formats",
    alt=f"Bars of weights, KV cache and compute buffer of {shape.name} by format; "
    f"{type_name} takes {binary(total)} in all.",
)
if stored.fallbacks:
    taken = ", ".join(f"{count:,} in {name}" for name, count in stored.fallbacks.items())
    look.note(
        f"Rows of some matrices do not divide into the blocks of {type_name}; as in llama.cpp they "
        f"take the next larger format instead: {taken}."
    )

st.space("small")
largest = max(stored.bytes_by_part, key=stored.bytes_by_part.get)
look.finding(
    f"**{percent(stored.bytes_by_part[largest] / stored.total_bytes)}** of the weights’ bytes are "
    f"{largest}; {'one matrix serves' if shape.tied_embedding else 'two matrices serve'} as embedding "
    "and output.",
    f"The {binary(stored.total_bytes)} of the weights in {type_name}, part by part.",
)
look.show(
    charts.parts_of(stored.bytes_by_part, get_format(type_name).code_bits, look.current()),
    key="memory_parts",
    alt=f"One bar of the weights by part; {largest} is the largest.",
)

st.space("medium")
terms = cache_terms(shape, context, n_sequences)
per_token = cache_bytes(shape, 1, cache_type)
all_heads = dataclasses.replace(shape, n_kv_heads=shape.n_heads, latent=None)
if shape.latent:
    saved = cache_bytes(all_heads, context, cache_type, n_sequences) / cache
    headline = (
        f"One latent vector a token stands for all heads: **{times(saved)} times less** to keep."
    )
elif shape.n_kv_heads < shape.n_heads:
    headline = (
        f"{shape.n_heads} heads share {shape.n_kv_heads} pairs of keys and values, so the cache is "
        f"**{times(shape.n_heads / shape.n_kv_heads)} times smaller**: {binary(cache)}."
    )
else:
    headline = f"Every head keeps keys and values of its own: **{binary(per_token)}** a token."
look.finding(
    headline,
    "The formula with this model’s numbers. What counts are the **KV** heads, not all heads; the head "
    "size from config.json, not hidden size / heads; and layers with a window keep the window only.",
)
factors.show(factors.of_cache(terms, shape, get_format(cache_type), n_sequences), binary(cache))

st.space("medium")
wrong = {}
if shape.latent or shape.n_kv_heads < shape.n_heads:
    wrong["if every head kept its own"] = all_heads
if shape.window and shape.n_full_layers < shape.n_layers:
    wrong["if no layer had a window"] = dataclasses.replace(shape, window=None)
narrow = shape.hidden_size // shape.n_heads
if not shape.latent and narrow and narrow != shape.head_size and narrow % 32 == 0:
    wrong["if heads were hidden size / heads"] = dataclasses.replace(shape, head_size=narrow)
reach = [c for c in CONTEXTS if c <= max(context, shape.context_length, 4096)]
kinds = list(dict.fromkeys([cache_type, "F16", "Q8_0", "Q4_0"]))


def growth(of: ModelShape, kind: str) -> list[int]:
    """Bytes of the cache at every context of the chart."""
    return [cache_bytes(of, tokens, kind, n_sequences) for tokens in reach]


crossing = tokens_that_fill(shape, stored.total_bytes, cache_type, n_sequences)
if crossing is None or crossing > reach[-1]:
    most = cache_bytes(shape, reach[-1], cache_type, n_sequences) / stored.total_bytes
    headline = (
        f"Up to {reach[-1]:,} tokens the cache stays smaller than the weights in {type_name}: "
        f"**{percent(most)}** of them at most."
    )
else:
    headline = (
        f"From **{crossing:,} tokens** on the cache is larger than the weights in {type_name}."
    )
how = "Cache by context, both on log scales; the ring is your choice. "
how += f"{shape.name} was made for {shape.context_length:,} tokens."
if wrong:
    how += " Dashed: what a formula says that gets heads, windows or the head size wrong."
look.finding(headline, how)
look.show(
    charts.cache_growth(
        reach,
        {kind: growth(shape, kind) for kind in kinds},
        {says: growth(other, cache_type) for says, other in wrong.items()},
        (type_name, stored.total_bytes),
        context,
        look.current(),
    ),
    key="memory_growth",
    alt=f"KV cache of {shape.name} by context in {', '.join(kinds)}; {binary(cache)} at {context:,}.",
)

st.space("medium")
known = {**presets(), **({shape.name: shape} if shape.name not in presets() else {})}
rows = [
    {
        "model": name,
        "weights": (held := stored_weights(each, type_name)).n_weights,
        "weights_bytes": held.total_bytes,
        "cache_bytes_per_token": cache_bytes(each, 1, cache_type),
        "cache_bytes": cache_bytes(each, context, cache_type, n_sequences),
        "total_bytes": held.total_bytes
        + cache_bytes(each, context, cache_type, n_sequences)
        + compute_buffer_bytes(each, context),
        "trained_context_tokens": each.context_length,
        "source": each.source,
    }
    for name, each in known.items()
]
rows.sort(key=lambda row: row["weights_bytes"])
thrifty = min(rows, key=lambda row: row["cache_bytes_per_token"] / row["weights"])
lavish = max(rows, key=lambda row: row["cache_bytes_per_token"] / row["weights"])
heavier = [row["model"] for row in rows if row["cache_bytes"] > row["weights_bytes"]]
look.finding(
    f"With {context:,} tokens, **{len(heavier)} of {len(rows)}** models keep more in the cache than in "
    f"weights; {lavish['model']} keeps most for its size, {thrifty['model']} least.",
    f"Known models, smallest first, all with weights in {type_name} and a cache in {cache_type}; a log "
    "scale. Long lines belong to models whose cache is small beside their weights.",
)
look.show(
    charts.side_by_side(
        [row["model"] for row in rows],
        [row["weights_bytes"] for row in rows],
        [row["cache_bytes"] for row in rows],
        shape.name,
        (type_name, cache_type),
        look.current(),
    ),
    key="memory_models",
    alt=f"Weights and KV cache of {len(rows)} models at {context:,} tokens.",
)
tables.show(
    rows,
    [
        tables.Column(key="model", title="model", text=True),
        tables.Column(key="weights", title="weights", show=millions, wide=True),
        tables.Column(key="weights_bytes", title=f"in {type_name}", show=binary),
        tables.Column(
            key="cache_bytes_per_token", title="cache a token", show=binary, wide=True,
            help="Bytes that one more token adds while no window is full.",
        ),
        tables.Column(key="cache_bytes", title="cache", show=binary),
        tables.Column(key="total_bytes", title="in all", show=binary),
        tables.Column(
            key="trained_context_tokens", title="made for", show=lambda n: f"{n:,}", wide=True,
            help="Tokens that the model was trained to read.",
        ),
        tables.Column(key="source", title="sizes from", text=True, wide=True),
    ],
    "memory_models",
    caption=f"Memory of known models with {context:,} tokens",
    chosen=shape.name,
)  # fmt: skip
