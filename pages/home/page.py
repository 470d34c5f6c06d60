"""Page: what the lab is, what lies on its bench, and the one chart that matters."""

import streamlit as st

from pages.home import charts as anatomy
from pages.home import words as home_words
from pages.shared import (
    bench,
    controls,
    frame,
    look,
    model_types,
    prose,
    ranking,
    shipped,
)
from pages.shared.charts import size as charts
from quantcore.evaluate.measured import PROMPT, SELECTED
from quantcore.recipe.types import get_type

frame.enter("home")
style, measured = look.current(), shipped.measured()
model = bench.model(bench.shipped())
original = ranking.original_of(model)

st.title("How many bits does a thought need?", anchor=False)
st.markdown(
    "A language model is millions of numbers. Quantization stores each of them with fewer bits, so "
    "the file shrinks and the model starts to answer differently. This lab does it to real weights "
    "and measures what changes.",
    width=720,
)
first = next(iter(measured.drifts.values()))
look.note(
    home_words.the_model(model.name, model.config, model.n_weights, first, original)
    + " "
    + home_words.sample(PROMPT, model.tokenizer.decode(measured.continuations["F32"].original))
)
if controls.model_name() != model.name or measured.stale:
    look.note(
        f"The figures below are those of {model.name} as it was when they were measured. "
        "The page Drift measures any model."
    )

# ---- size against divergence --------------------------------------------------------------------

st.space("small")
headline = st.container()
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    pure = model_types.choose_way()
    published = controls.published()
table = ranking.rows(measured.drifts, model_types.of_way(SELECTED, pure), original)
with headline:
    look.finding(
        home_words.at_a_glance(table, original),
        "Each mark is the same model stored another way. Left is smaller, down is closer to the "
        f"original. {ranking.which(table)} {ranking.marks(table)}.",
        help=ranking.TERMS["sure"],
    )
stressed = home_words.gentle_and_harsh(table)
picked = look.show(
    charts.size_against_divergence(
        ranking.points(table),
        original,
        style,
        chosen=stressed,
        floor=ranking.floor(measured.drifts),
        published=published,
        narrow=look.narrow(),
    ),
    key="home_size",
    alt=f"Bits a weight against divergence of {len(table) - 1} types; {stressed[0]} and "
    f"{stressed[1]} are stressed.",
    on_select="rerun",
)
controls.choose_from(picked, "type", page="drift")
if published:
    look.note(ranking.small_and_large(table, published))

# ---- where it hurts -----------------------------------------------------------------------------

st.space("small")
DAMAGING = "Q2_K"
effects = {name: shipped.sensitivity().effect(name, DAMAGING) for name in model.quantizable}
damage = {name: effect.mean_kl_divergence for name, effect in effects.items()}
n_weights = {name: model.tensors[name].n_weights for name in damage}
look.finding(
    home_words.anatomy(damage, n_weights, get_type(DAMAGING, pure=True).name),
    "The whole model, matrix by matrix, as it lies in the file. Width is the number of weights; "
    f"colour is how far the model drifts when this matrix alone is in {DAMAGING}. "
    "Click a matrix to see its weights.",
    help=ranking.TERMS["divergence"],
)
picked = look.show(
    anatomy.anatomy(n_weights, damage, style, "nats a token"),
    key="home_anatomy",
    alt="Matrices of the model by how far the model drifts when each alone is quantized.",
    on_select="rerun",
)
controls.choose_from(picked, "tensor", page="weights")
low, high = home_words.sensitivity_range(damage)
st.html(prose.ramp(low, high, "nats a token, log scale", style, reach=1.0))

# ---- where to go next ---------------------------------------------------------------------------

st.space("small")
ARROW = ":material/arrow_forward:"
CARDS = (
    ("weights", "Meet the weights", "How they are spread, and the outliers that cost bits."),
    ("block", "Open one block", "Weights on their grid, and the bytes that remain."),
    ("scales", "Weigh the scales", "What scale factors cost, and how they are stored."),
    (
        "imatrix",
        "Hear what matters",
        "Which columns count, and what an importance matrix changes.",
    ),
    ("layer_error", "Find the weak layers", "The error of every matrix in every format."),
    ("sensitivity", "Test each tensor", "How far the model drifts when it alone is quantized."),
    ("drift", "Read what changes", "Where the smaller model thinks differently, word by word."),
    ("mix", "Compose a file", "Which type each tensor gets, and why; change it, and save it."),
    ("file", "Look into a file", "What a GGUF holds, and what its name promised."),
    ("memory", "Count the bytes", "What a model needs: weights, cache and overhead."),
)
for row in (CARDS[:5], CARDS[5:]):
    for column, (page, question, answer) in zip(st.columns(5), row, strict=True):
        with column.container(border=True, height="stretch"):
            st.page_link(
                f"pages/{page}.py", label=f"**{question}**", icon=ARROW, icon_position="right"
            )
            look.note(answer)
