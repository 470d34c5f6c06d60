"""Page: what a model takes in memory, and how its cache grows with the context."""

import streamlit as st

from pages.shared import cache, controls, factors, frame, look, model_sizes, model_types, tables
from pages.shared import memory_words as words
from pages.shared.charts import memory as charts
from pages.shared.units import binary, millions
from quantcore.formats import get_format
from quantcore.memory import CACHE_FORMATS, cache_bytes, cache_terms, tokens_that_fill
from quantcore.recipe.types import get_type
from quantcore.shape import ModelShape, preset, preset_ids

frame.enter(__file__)

BARS = ("F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K")
CONTEXTS = [2**power for power in range(9, 21)]
style = look.current()


st.title("Memory", anchor=False)
shape = model_sizes.choose_shape()
pure = model_types.choose_way()
one, two, three, four = st.columns(4)
with one:
    type_name = model_types.type_("Weights in", pure=pure)
context = two.select_slider(
    "Context, tokens", CONTEXTS, 32_768, key="context",
    help="Prompt and answer together. The cache keeps something of every token.",
    **controls.BOUND,
)  # fmt: skip
cache_type = three.selectbox(
    "Cache in", CACHE_FORMATS, CACHE_FORMATS.index("F16"), key="cache",
    help="Keys and values can be quantized too: llama.cpp’s `-ctk` and `-ctv`.", **controls.BOUND,
)  # fmt: skip
n_sequences = four.number_input(
    "Sequences at once", 1, 4096, 1, key="sequences",
    help="Each has a cache of its own, with the whole context.", **controls.BOUND,
)  # fmt: skip


def kept(of: ModelShape, tokens: int = context, name: str = cache_type) -> int:
    """Bytes of the cache."""
    return cache_bytes(of, tokens, n_sequences, name, name)


# ---- all of it ----------------------------------------------------------------------------------

stored, compute = cache.stored_size(shape, type_name), 0
st.space("small")
look.finding(
    words.total(shape, type_name, context, stored.total_bytes, kept(shape), compute),
    words.how_to_read_total(type_name, stored, kept(shape), compute),
    help="KV cache: the keys and values of all tokens read so far. Compute buffer: results in "
    "the making, for 512 tokens at a time, as llama.cpp has them.",
)
beside = dict.fromkeys([*(get_type(name, pure).name for name in BARS), type_name])
bars = {name: cache.stored_size(shape, name).total_bytes for name in beside}
bars = dict(sorted(bars.items(), key=lambda item: -item[1]))
look.show(
    charts.by_format(
        list(bars), list(bars.values()), (cache_type, kept(shape)), compute, type_name, style
    ),
    key="memory_formats",
    alt=f"Weights, KV cache and compute buffer of {shape.name} by type; {type_name} takes "
    f"{binary(stored.total_bytes + kept(shape) + compute)} in all.",
)
if stored.fallbacks:
    look.note(words.fallbacks(type_name, stored.fallbacks))

st.space("small")
look.finding(
    words.parts(shape, stored),
    f"The {binary(stored.total_bytes)} of the weights in {type_name}, part by part.",
)
look.show(
    charts.parts_of(stored.bytes_by_part, get_type(type_name).format.code_bits, style),
    key="memory_parts",
    alt="One bar of the weights by part of the model.",
)

# ---- the cache ----------------------------------------------------------------------------------

st.space("medium")
look.finding(
    words.heads(
        shape,
        kept(shape),
        kept(model_sizes.all_heads(shape)),
        cache_bytes(shape, 1, 1, cache_type, cache_type),
    ),
    words.HOW_TO_READ_FACTORS,
    help="Grouped-query attention: several query heads read the same keys and values.",
)
factors.show(
    factors.of_cache(
        cache_terms(shape, context, n_sequences, cache_type, cache_type),
        shape,
        get_format(cache_type),
        n_sequences,
    ),
    binary(kept(shape)),
)

st.space("medium")
reach = [tokens for tokens in CONTEXTS if tokens <= max(context, shape.context_length, 4096)]
wrong = model_sizes.misread(shape)
look.finding(
    words.crossing(
        tokens_that_fill(shape, stored.total_bytes, n_sequences, cache_type, cache_type),
        reach[-1],
        type_name,
        kept(shape, reach[-1]) / stored.total_bytes,
    ),
    words.how_to_read_growth(shape, bool(wrong)),
)
kinds = list(dict.fromkeys([cache_type, "F16", "Q8_0", "Q4_0"]))
look.show(
    charts.cache_growth(
        reach,
        {name: [kept(shape, tokens, name) for tokens in reach] for name in kinds},
        {says: [kept(other, tokens) for tokens in reach] for says, other in wrong.items()},
        (type_name, stored.total_bytes),
        context,
        style,
    ),
    key="memory_growth",
    alt=f"KV cache of {shape.name} by context in {', '.join(kinds)}; {binary(kept(shape))} at "
    f"{context:,} tokens.",
)

# ---- known models -------------------------------------------------------------------------------


def row_of(each: ModelShape) -> dict:
    """Figures of one model, as the table and the CSV have them."""
    held = cache.stored_size(each, type_name)
    return {
        "model": each.name,
        "weights": held.n_weights,
        "weights_bytes": held.total_bytes,
        "cache_bytes_per_token": cache_bytes(each, 1, 1, cache_type, cache_type),
        "cache_bytes": kept(each),
        "total_bytes": held.total_bytes + kept(each),
        "trained_context_tokens": each.context_length,
        "source": each.source or "this page",
    }


st.space("medium")
known = {preset(each).name: preset(each) for each in preset_ids()} | {shape.name: shape}
rows = sorted(map(row_of, known.values()), key=lambda row: row["weights_bytes"])
look.finding(
    words.models(rows, context),
    f"Known models, smallest first, all with weights in {type_name} and a cache in {cache_type}; a "
    "log scale. Where the line is long, one of the two hardly counts.",
)
look.show(
    charts.side_by_side(
        [row["model"] for row in rows],
        [row["weights_bytes"] for row in rows],
        [row["cache_bytes"] for row in rows],
        shape.name,
        type_name,
        style,
    ),
    key="memory_models",
    alt=f"Weights and KV cache of {len(rows)} models with {context:,} tokens.",
)
with st.expander(f"Table of {len(rows)} models"):
    tables.show(
        rows,
        [
            tables.Column(key="model", title="model", text=True),
            tables.Column(key="weights", title="weights", show=millions, wide=True),
            tables.Column(key="weights_bytes", title=f"in {type_name}", show=binary),
            tables.Column(key="cache_bytes_per_token", title="a token", show=binary, wide=True,
                          help="Bytes that one more token adds while no window is full."),
            tables.Column(key="cache_bytes", title="cache", show=binary),
            tables.Column(key="total_bytes", title="in all", show=binary,
                          help="With the compute buffer."),
            tables.Column(key="trained_context_tokens", title="made for", show="{:,}".format,
                          wide=True, help="Tokens that the model was trained to read."),
            tables.Column(key="source", title="sizes from", text=True, wide=True),
        ],
        "memory_models",
        caption=f"Memory of known models with {context:,} tokens",
        chosen=shape.name,
    )  # fmt: skip
