"""Page: one block under the microscope, from numbers to codes and bytes, and back."""

import streamlit as st

from pages.block import charts, dials, hexdump, table, words
from pages.block.choice import choose
from pages.block.errors import draw_errors_and_search, draw_uneven_errors
from pages.block.headline import headline, how_to_read
from pages.block.reading import BlockReading
from pages.shared import controls, definitions, look
from pages.shared.palette import Look, bits_colour, colour


def main() -> None:
    """Draw the page."""
    definitions.head("Block microscope", words.PURPOSE, words.DEFINED)
    chosen, style = choose(), look.current()
    line = st.container()  # drawn once the dials below it are known
    turned = None
    if chosen.has_step:
        st.space("small")
        turned = dials.ask(chosen.fmt)
    reading = BlockReading(chosen, turned)
    tone = bits_colour(reading.bits, style)
    with line:
        draw_line(reading, tone, style)
    if reading.dials:
        st.space("small")
        draw_errors_and_search(reading, reading.dials, tone, style)
    if reading.is_uneven:
        st.space("small")
        draw_uneven_errors(reading, tone, style)
    if len(reading.opened.parts) > 1:
        st.space("small")
        draw_super_block(reading, style)
    st.space("small")
    draw_bytes(reading)
    with st.expander("Table of the weights"):
        table.show(reading)


def draw_line(reading: BlockReading, tone: str, style: Look) -> None:
    """Draw where each weight lands on the values that the block can hold."""
    landing = reading.landing
    look.finding(headline(reading), how_to_read(reading))
    look.show(
        charts.number_line(landing, reading.bold, tone, style, whole_grid=not reading.is_float),
        key="block_line",
        alt=f"Number line: {landing.values.size} weights above, the {landing.grid.size} values of "
        "the grid below, and a line from each weight to where it lands.",
    )


def draw_super_block(reading: BlockReading, style: Look) -> None:
    """Draw all weights of the super-block over what their sub-blocks' grids reach."""
    weights, parts = reading.specimen.weights, reading.opened.parts
    tone, harm = colour(reading.chosen.fmt.name, style), reading.chosen.harm
    look.finding(
        words.outlier_harm(harm) if harm else words.sub_blocks(parts),
        "All its weights in their order; each box shows the range that the grid of its sub-block "
        "covers. Click a weight to put its sub-block under the microscope."
        + (words.WHY_OTHERS_SUFFER if harm and harm.growth_far > words.UNHARMED else ""),
    )
    look.show(
        charts.super_block(weights, parts, reading.chosen.part, tone, style),
        key="block_super",
        alt=f"{weights.size} weights in {len(parts)} sub-blocks, each with its grid.",
        on_select=take_clicked,
        selection_mode="points",
    )


def take_clicked() -> None:
    """Choose the sub-block that was clicked."""
    if place := controls.clicked("block_super"):
        st.session_state["part"] = int(place[0])
        dials.reset()


def draw_bytes(reading: BlockReading) -> None:
    """Draw the bytes that remain, those of the bold weight outlined."""
    opened, bold = reading.opened, reading.bold_in_block
    value = float(reading.specimen.weights[bold])
    look.finding(
        words.remains(opened, reading.specimen.weights.size, reading.specimen.bits_per_weight),
        words.bits_of_float(opened, value)
        if reading.is_float
        else words.arithmetic(opened, reading.part, bold, value, reading.is_uneven),
    )
    hexdump.show(opened, bold, reading.chosen.part)
