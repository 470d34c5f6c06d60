"""Recipes side by side: methods and formats for the whole model, by all that was measured."""

from collections.abc import Sequence

import streamlit as st

from pages.drift import (
    measuring,
    recipes_choice,
    recipes_measuring,
    recipes_table,
    recipes_words,
    words,
)
from pages.drift.texts import Text
from pages.shared import bench, look, tables, texts
from pages.shared import recipes as known_recipes
from pages.shared.charts.base import log_ticks
from pages.shared.charts.plane import plane
from pages.shared.drifts import Results
from pages.shared.recipes import called
from quantcore.evaluate.recipes import MethodDrift, get_recipe
from quantcore.model.original import Original
from quantcore.model.source import Model


def section(model: Model, text: Text, original: Original, types: Results) -> None:
    """Choose recipes, measure those that nobody has, and show what each of them costs.

    `types` are the mixes and formats of the page above, which know skills and the perplexity of the
    original.
    """
    st.space("medium")
    headline = st.container()
    known = known_recipes.known(model, text.words)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        names = recipes_choice.choose(model, list(known))
        recipes_measuring.run_button(model, names, text)
    recipes_measuring.panel()
    rows = sorted((known[n] for n in names if n in known), key=lambda row: row.mean_kl_divergence)
    with headline:
        _say(model, text, rows)
    if rows:
        missing = [called(get_recipe(name)) for name in names if name not in known]
        if missing:
            look.note(words.missing(missing, text.says, "recipes", "Measure recipes"))
        _draw(rows)
        _table(model, rows, original, types, text)


def _say(model: Model, text: Text, rows: Sequence[MethodDrift]) -> None:
    if not rows:
        look.finding(recipes_words.NOTHING_YET, recipes_words.nothing_yet(text.says))
        return
    seen, _ = texts.to_choose_by(texts.suited(model.name))
    n_tokens = rows[0].tokens_scored
    look.finding(
        recipes_words.finding(rows),
        f"{recipes_words.how_to_read(text.says, n_tokens, seen)} {recipes_words.MIX_NOTE}",
        help=recipes_words.HELP,
    )


def _draw(rows: Sequence[MethodDrift]) -> None:
    drawn = [row for row in rows if row.mean_kl_divergence > 0]  # a log axis knows no zero
    if not drawn:
        return
    every = [row.mean_kl_divergence for row in drawn]
    look.show(
        plane(
            [
                known_recipes.mark(row, recipes_words.beside(row), chosen=row is rows[0])
                for row in drawn
            ],
            look.current(),
            title="divergence, nats per token",
            ticks=log_ticks(min(every) / 1.1, 1.2 * max(every)),
            narrow=look.narrow(),
        ),
        key="drift_recipes",
        alt=f"Bits per weight against divergence of {len(drawn)} recipes, with intervals.",
    )
    if said := recipes_words.frontier(rows):
        look.say(said)


def _table(
    model: Model, rows: Sequence[MethodDrift], original: Original, types: Results, text: Text
) -> None:
    alike = types
    if model.base is not None and bench.is_shipped(model.base.name):  # it computes the same
        alike = measuring.results(model.base, text)
    answers = recipes_table.skills(rows, types, alike)
    base = recipes_table.base_perplexity(rows, alike)
    tables.show(
        recipes_table.rows(model, rows, original, base, answers),
        recipes_table.columns(answers, look.current()),
        "recipes",
        caption="Recipes ranked by divergence from the original",
        chosen=called(rows[0].recipe),
        formats=True,
        csv_keys=recipes_table.CSV_KEYS,
    )
