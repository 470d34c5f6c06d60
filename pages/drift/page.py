"""Page: how far a quantized model's answers drift from the original's."""

from collections.abc import Mapping, Sequence

import streamlit as st

from pages.drift import charts, measuring, notes, reading, recipes, skills, sureness, texts, words
from pages.drift.texts import Text
from pages.shared import controls, definitions, look, model_types, ranking, saving, tables, writing
from pages.shared.charts import size as size_chart
from quantcore.evaluate.drift_result import DriftFigures
from quantcore.model.original import Original, original_of
from quantcore.model.source import Model


def main() -> None:
    """Draw the page."""
    model = controls.model()
    original = original_of(model)
    definitions.head("Drift", words.PURPOSE, words.DEFINED)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        pure = model_types.choose_way()
        chosen = model_types.type_("Show details for", pure=pure, width=170)
        at_first = model_types.storable(model, measuring.AT_FIRST, pure)
        compared = model_types.types("Compare", pure=pure, default=at_first)
        types = list(dict.fromkeys([*compared, chosen]))
        text = texts.choose_text(model)
        measuring.run_button(model, types, text)
    saving.of(model.name, chosen)
    measuring.panel()
    known = measuring.results(model, text)
    notes.show(known, model, types, chosen, text)
    table = ranking.rows(known.drifts, types, original)
    ranks = [measuring.ORIGINAL, *[row["type"] for row in table[1:]]]
    answers = {name: known.skills[name] for name in ranks if name in known.skills}
    if table:
        size(table, original, ranking.floor(known.drifts), chosen, words.what_breaks(answers))
        ranked(table, known.drifts, chosen, text)
        tail(table, chosen)
        sureness.show(model, chosen, text)
    if len(answers) > 1:
        skills.show(answers, chosen)
    recipes.section(model, text, original, known)
    reading.one_text(model, chosen, text)
    reading.going_on(model, chosen, original)
    as_a_file(model, chosen)


def size(
    table: Sequence[Mapping],
    original: Original,
    floor: tuple[float, str] | None,
    chosen: str,
    breaks: str | None,
) -> None:
    """Draw size against divergence of every type; `breaks` says what that costs in skills."""
    scales = words.granularity(table)
    look.finding(
        breaks or scales or words.span(table),
        "Left is smaller, down is closer to the original. Click a mark for its details.",
        help=ranking.TERMS["divergence"],
    )
    chart = st.container()
    look.note(f"{ranking.which(table)} {ranking.marks(table)}.")
    published = controls.published()  # rarely asked for: below the chart
    with chart:
        picked = look.show(
            size_chart.size_against_divergence(
                ranking.points(table),
                original,
                look.current(),
                chosen=(chosen,),
                floor=floor,
                published=published,
                narrow=look.narrow(),
            ),
            key="drift_size",
            alt=f"Bits per weight against divergence of {len(table) - 1} types; {chosen} is "
            "highlighted.",
            on_select="rerun",
        )
    controls.choose_from(picked)
    if breaks and scales:
        look.note(scales)
    if published:
        look.note(ranking.small_and_large(table, published))


def ranked(
    table: Sequence[Mapping], drifts: Mapping[str, DriftFigures], chosen: str, text: Text
) -> None:
    """Rank the types by divergence, with all that was measured of each."""
    st.space("small")
    first = drifts[table[1]["type"]]
    look.finding(words.cost(table, chosen), words.how_ranked(first, text.says))
    tables.show(
        table,
        ranking.columns(table, look.current()),
        "drift",
        caption="Types ranked by divergence from the original",
        chosen=chosen,
        formats=True,
        csv_keys=ranking.CSV_KEYS,
    )


def tail(table: Sequence[Mapping], chosen: str) -> None:
    """Draw how unevenly the damage falls on tokens."""
    st.space("small")
    look.finding(
        words.tail(table, chosen), words.HOW_TO_READ_TAIL, help=ranking.TERMS["divergence"]
    )
    means = {row["type"]: row["mean_kl_nats"] for row in table[1:]}
    look.show(
        charts.damage_by_token(charts.quantiles(table), means, chosen, look.current()),
        key="drift_tail",
        alt="Divergence of the median token and of the tail, one row per type, with the mean.",
    )


def as_a_file(model: Model, chosen: str) -> None:
    """Offer the file for llama.cpp, where there is one."""
    planned, imatrix = writing.plan_of(model, chosen)
    if planned:
        st.space("medium")
        look.note(
            f"{chosen} as a file for llama.cpp. The page Mix says which tensor gets which type, "
            "and why."
        )
        writing.offer(model, planned, f"{model.key} {chosen}", imatrix)
