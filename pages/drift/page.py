"""Page: how far a quantized model's answers drift from the original's."""

import streamlit as st

from pages.drift import cache, charts, measuring, reading_words, texts
from pages.drift import skills as skill_table
from pages.drift import words as drift_words
from pages.shared import (
    controls,
    frame,
    look,
    model_types,
    prose,
    ranking,
    tables,
    writing,
)
from pages.shared.charts import size as size_chart
from quantcore.model.original import original_of

frame.enter("drift")
style, model = look.current(), controls.model()
original = original_of(model)

st.title("Drift", anchor=False)
st.markdown(
    "Quantize the whole model, let it read the same text as the original, and compare what the "
    "two expect at every token.",
    width=720,
)

# ---- what to compare, and the run ---------------------------------------------------------------

one, many = st.columns([2, 5])
with one:
    pure = model_types.choose_way()
    chosen = model_types.type_("Look closely at", pure=pure)
with many:
    types = list(dict.fromkeys([*model_types.types("Compare", pure=pure), chosen]))
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    text = texts.choose_text(model)
    measuring.run_button(model, types, text)
measuring.panel()
known = measuring.results(model.name, text.key)
missing = [name for name in types if name not in known.drifts]
if known.stale:
    look.note("These figures belong to another version of the model: press Measure for new ones.")
if copies := model_types.copies(model, chosen):
    look.note(copies)
if missing:
    look.note(drift_words.missing(missing, text.says))

# ---- what each type costs -----------------------------------------------------------------------

table = ranking.rows(known.drifts, types, original)
if table:
    st.space("small")
    look.finding(
        drift_words.granularity(table) or drift_words.span(table),
        f"Left is smaller, down is closer to the original. {ranking.which(table)} "
        f"{ranking.marks(table)}. "
        "Click a mark to look at it closely.",
        help=ranking.TERMS["divergence"],
    )
    published = controls.published()
    picked = look.show(
        size_chart.size_against_divergence(
            ranking.points(table),
            original,
            style,
            chosen=(chosen,),
            floor=ranking.floor(known.drifts),
            published=published,
            narrow=look.narrow(),
        ),
        key="drift_size",
        alt=f"Bits a weight against divergence of {len(table) - 1} types; {chosen} is stressed.",
        on_select="rerun",
    )
    controls.choose_from(picked)
    if published:
        look.note(ranking.small_and_large(table, published))

    st.space("small")
    first = known.drifts[table[1]["type"]]
    look.finding(drift_words.cost(table, chosen), drift_words.how_ranked(first, text.says))
    tables.show(
        table,
        ranking.columns(table, style),
        "drift",
        caption="Types ranked by divergence from the original",
        chosen=chosen,
        formats=True,
        csv_keys=ranking.CSV_KEYS,
    )

    st.space("small")
    look.finding(
        drift_words.tail(table, chosen),
        "Large mark: half of the tokens diverge less. Small marks: 90, 95, 99 and 99.9 % do. "
        "Upright bar: the mean.",
        help=ranking.TERMS["divergence"],
    )
    means = {row["type"]: row["mean_kl_nats"] for row in table[1:]}
    look.show(
        charts.damage_by_token(drift_words.quantiles(table), means, chosen, style),
        key="drift_tail",
        alt="Divergence of the median token and of the tail, a row a type, with the mean.",
    )

# ---- which skill breaks first -------------------------------------------------------------------

answers = skill_table.rows(known.skills, [measuring.ORIGINAL, *[row["type"] for row in table[1:]]])
if len(answers) > 1:
    st.space("medium")
    look.finding(drift_words.first_to_break(answers), skill_table.HOW_TO_READ)
    tables.show(
        answers,
        skill_table.columns(answers, style),
        "skills",
        caption="Right answers in 100, by skill and level, a row a type",
        chosen=chosen,
        formats=True,
    )

# ---- one text, token by token -------------------------------------------------------------------

st.space("medium")
headline = st.container()
passage = texts.choose_passage(model, text)
read = cache.reading(model.name, chosen, passage)
pieces = prose.pieces(passage, read.start)
with headline:
    look.finding(
        reading_words.unevenness(read, pieces, chosen),
        "Background: divergence at each token, on one scale for all types. Underlined: the "
        "original was sure of a token and the other model chose another. Hover, focus or tap.",
        help=ranking.TERMS["divergence"],
    )
st.html(prose.coloured(reading_words.tokens(read, pieces, model.tokenizer.decode), style, chosen))
st.html(prose.ramp("0", f"{reading_words.FULL_NATS:g} nats and more", "at a token", style))
tables.download(reading_words.token_rows(read, pieces), reading_words.TOKEN_KEYS, "tokens")

# ---- going on -----------------------------------------------------------------------------------

st.space("medium")
headline = st.container()
prompt = texts.choose_prompt(model)
both = cache.continuations(model.name, chosen, prompt, texts.NEW_TOKENS)
with headline:
    look.finding(*reading_words.parting(both, model.tokenizer.decode, chosen))
ours, theirs = reading_words.sides(both, model.tokenizer.decode)
titles = f"original, {original.stored_as}", tables.swatch(chosen, style) + chosen
columns = prose.Side(titles[0], *ours), prose.Side(titles[1], *theirs)
st.html(prose.side_by_side(columns, style))

# ---- take it along ------------------------------------------------------------------------------

planned, imatrix = writing.plan_of(model, chosen)
if planned:
    st.space("medium")
    look.note(f"{chosen} as a file for llama.cpp. Mix says which tensor gets which type, and why.")
    writing.offer(model, planned, f"{model.key} {chosen}", imatrix)
