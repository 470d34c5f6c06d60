"""Page: scale factors and minima: how large, where, at what cost, and how they lie in the bytes."""

import numpy as np
import streamlit as st

from pages.scales import words
from pages.scales.charts import scales as charts
from pages.scales.choice import ChosenTensor, choose
from pages.scales.cost import draw_cost
from pages.scales.super_block import draw_super_block
from pages.shared import controls, definitions, look, saving, tables
from pages.shared.palette import Look, colour
from quantcore.evaluate.scale_cost import largest_to_median, merged
from quantcore.format import ScaleFactors
from quantcore.formats.fitting import fits

AT_MOST = 256  # rows and columns of the map
AT_MOST_LISTED = 200_000  # scales in the CSV


def main() -> None:
    """Draw the page."""
    definitions.head("Scales", words.PURPOSE, words.DEFINED)
    chosen, style = choose(), look.current()
    saving.of(chosen.model_name, chosen.tensor, chosen.fmt.name)
    st.space("small")
    draw_cost(chosen.model_name, chosen.tensor, chosen.fmt, chosen.shape, style)
    st.space("medium")
    if not chosen.sizes.size:
        look.finding(f"**{chosen.fmt.name}** has no scales: every weight is a float of its own.")
    elif chosen.sizes.size == 1:
        n_weights = chosen.shape[0] * chosen.shape[1]
        look.finding(words.one_for_all(chosen.fmt.name, float(chosen.sizes[0, 0]), n_weights))
    else:
        draw_sizes(chosen, style)
    if fits(chosen.k_quant, chosen.shape):
        st.space("medium")
        draw_super_block(
            chosen.model_name, chosen.tensor, chosen.shape, chosen.k_quant, chosen.fmt.name, style
        )


def draw_sizes(chosen: ChosenTensor, style: Look) -> None:
    """Draw how many factors have which size, and where they are."""
    minima = chosen.kind == "minima"
    tone = style.fields["minimum"] if minima else colour(chosen.fmt.name, style)
    left, right = st.columns(2, gap="large")
    with left:
        draw_spread(chosen, tone, style)
    with right:
        draw_map(chosen, tone, style)
    if chosen.sizes.size <= AT_MOST_LISTED:
        offer_csv(chosen.factors)


def draw_spread(chosen: ChosenTensor, tone: str, style: Look) -> None:
    """Draw the histogram of the sizes."""
    sizes, kind, factors = chosen.sizes, chosen.kind, chosen.factors
    top, each = float(sizes.max()), factors.weights_per_scale
    look.finding(
        words.spread(chosen.fmt.name, kind, sizes.size, each, largest_to_median(sizes)),
        words.how_to_read_sizes(kind, factors.overhead_bits, factors.minimums is not None),
    )
    counts, edges = np.histogram(sizes, bins=60, range=(0, top or 1.0))
    marks = {"median": float(np.median(sizes)), "largest": top}
    word = "minimum" if kind == "minima" else "scale"
    look.show(
        charts.spread(counts, edges, marks, word, tone, style),
        key="scales_spread",
        alt=f"Histogram of {words.several(sizes.size, kind)} of {chosen.tensor} in "
        f"{chosen.fmt.name}.",
    )


def draw_map(chosen: ChosenTensor, tone: str, style: Look) -> None:
    """Draw each factor at its place; a click chooses its block."""
    sizes = chosen.sizes
    row, place = (int(i) for i in np.unravel_index(sizes.argmax(), sizes.shape))
    look.finding(
        words.largest(row, place, chosen.factors.weights_per_scale, chosen.shape[1]),
        words.how_to_read_map(chosen.kind, sizes),
    )
    look.show(
        charts.scale_map(*merged(sizes, AT_MOST), tone, style),
        key="scales_map",
        alt=f"Map of {words.several(sizes.size, chosen.kind)} of {chosen.tensor}, largest in row "
        f"{row}.",
        on_select=lambda: take_clicked(chosen),
        selection_mode="points",
    )


def take_clicked(chosen: ChosenTensor) -> None:
    """Choose row and block of a clicked scale."""
    if place := controls.clicked("scales_map"):
        row, scale = map(int, place)
        length = chosen.k_quant.block_length(chosen.shape[1])
        st.session_state.update(row=row, block=scale * chosen.factors.weights_per_scale // length)


def offer_csv(factors: ScaleFactors) -> None:
    """Offer all scales and minima as CSV."""
    minimums = factors.minimums

    def rows() -> list[tables.Row]:
        return [
            {
                "row": row,
                "first_weight": column * factors.weights_per_scale,
                "scale": float(scale),
                "minimum": float(minimums[row, column]) if minimums is not None else None,
            }
            for (row, column), scale in np.ndenumerate(factors.scales)
        ]

    tables.download(rows, ["row", "first_weight", "scale", "minimum"], "scales_all")
