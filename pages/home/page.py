"""Page: what the lab is, what lies on its bench, and the one chart that matters."""

from collections.abc import Mapping
from contextlib import suppress

import streamlit as st

import quantcore
from pages.home import cards, charts, of_the_box, words
from pages.shared import (
    bench,
    controls,
    definitions,
    drifts,
    look,
    model_types,
    prose,
    ranking,
    saving,
    shipped,
    texts,
)
from pages.shared.charts import size as size_chart
from pages.shared.palette import Look
from quantcore.evaluate.drift_result import DriftFigures
from quantcore.evaluate.gentle import gentle_and_harsh
from quantcore.evaluate.measured import SELECTED
from quantcore.model.original import original_of
from quantcore.recipe.types import get_type
from quantcore.sensitivity.costs import costs

DAMAGING = "Q2_K"  # the format that each matrix is put in alone, to see where it hurts


def main() -> None:
    """Draw the page: of a shipped model, where Drift has measured no other on the bench."""
    name = controls.model_name()
    model = bench.model(name if shipped.is_measured(name) else bench.shipped())
    style, measured = look.current(), shipped.measured(model.name)
    own = figures_of_ones_own()
    saving.of(controls.model_name() if own else model.name)
    show_introduction(model, bool(own))
    if own:
        show_size_against_divergence(own, controls.model(), style)
    else:
        show_size_against_divergence(measured.drifts, model, style)
    of_the_box.introduce(model, measured)
    st.space("small")
    if shipped.is_swept(model.name):
        show_where_it_hurts(model, style)
    st.space("small")
    cards.show()


def figures_of_ones_own() -> Mapping[str, DriftFigures]:
    """Return what the page Drift measured of another model on the bench, by type."""
    if not shipped.is_measured(controls.model_name()):
        with suppress(ValueError, OSError):  # a broken model: what the page shows is of another
            return drifts.on_its_text(controls.model()).drifts
    return {}


def show_introduction(model: "quantcore.Model", own: bool) -> None:
    """Say what the lab is, and whose figures it shows where those are not the shipped model's."""
    definitions.head("How many bits does a thought need?", words.PURPOSE, words.DEFINED)
    name = controls.model_name()
    if bench.is_shipped(name):
        of_the_box.choose()
    if own:
        text = texts.called(texts.suited(name))
        look.note(words.measured_here(name, text, model.name))
    elif name != model.name:
        look.note(words.another(name, model.name))
        controls.link("drift", "Measure the model on the bench", "home_to_drift")


def show_size_against_divergence(
    figures: Mapping[str, DriftFigures], model: "quantcore.Model", style: Look
) -> None:
    """Draw every measured type by size and divergence; a click on a mark leads to Drift."""
    original, whole = original_of(model), shipped.is_measured(model.name)
    above = st.container()  # what is rarely changed stands below the chart
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        types = model_types.of_way(SELECTED, model_types.choose_way()) if whole else list(figures)
        published = controls.published()
    table = ranking.rows(figures, types, original)
    gentle, harsh = gentle_and_harsh({row["type"]: figures[row["type"]] for row in table[1:]})
    with above:
        look.finding(
            words.at_a_glance(table, original, gentle, harsh),
            f"Each mark is {model.name} stored another way. Left is smaller, down is closer "
            "to the original.",
            help=ranking.TERMS["sure"],
        )
        picked = look.show(
            size_chart.size_against_divergence(
                ranking.points(table),
                original,
                style,
                chosen=(gentle, harsh),
                floor=ranking.floor(figures),
                published=published,
                narrow=look.narrow(),
            ),
            key="home_size",
            alt=f"Bits per weight against divergence of {len(table) - 1} types; {gentle} and "
            f"{harsh} are highlighted.",
            on_select="rerun",
        )
        look.note(f"{ranking.which(table)} {ranking.marks(table)}.")
    controls.choose_from(picked, "type", page="drift")
    if published:
        look.note(ranking.small_and_large(table, published))


def show_where_it_hurts(model: "quantcore.Model", style: Look) -> None:
    """Draw the matrices as they lie in the file by what each costs alone; a click opens one."""
    alone = costs(shipped.sensitivity(model.name), DAMAGING)
    damage = {name: alone[name].value for name in model.quantizable}
    n_weights = {name: model.tensors[name].n_weights for name in damage}
    look.finding(
        words.anatomy(damage, n_weights, get_type(DAMAGING, pure=True).name),
        f"The whole of {model.name}, matrix by matrix, in the order of the file. Width shows the "
        f"number of weights, colour how far the model drifts when only this one is in {DAMAGING}. "
        "Click a matrix to see its weights.",
        help=ranking.TERMS["divergence"],
    )
    picked = look.show(
        charts.anatomy(n_weights, damage, style, "nats per token"),
        key="home_anatomy",
        alt="Matrices of the model, coloured by how far it drifts when only that one is quantized.",
        on_select="rerun",
    )
    controls.choose_from(picked, "tensor", page="weights", model=model.name)
    low, high = words.sensitivity_range(damage)
    st.html(prose.ramp(low, high, "nats per token, log scale", style, reach=1.0))
