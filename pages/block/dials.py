"""The dials: what a format does by its own rule, turned by hand."""

import contextlib
from dataclasses import dataclass

import streamlit as st

from pages.block import words
from pages.shared import controls
from quantcore.format import Format
from quantcore.recipe.types import get_type

PLAIN = "Q4_0"  # the format whose step the textbook's numbers were made for


@dataclass(frozen=True, slots=True)
class Dials:
    """How a grid is turned away from what the format's own rule picks."""

    bits: int
    scale_percent: int
    zero_shift: float  # steps of the grid
    moved: bool


def type_key() -> str:
    """Name the control that the format is chosen with: the textbook's numbers have their own."""
    return "plain_type" if st.session_state.get("example") == words.TEXTBOOK else "type"


def reset() -> None:
    """Put the dials back to what the format itself does.

    Where Back leads to another page with another type, Streamlit calls this there: nothing of this
    page is sure to be left then.
    """
    st.session_state.update(dial_scale=100, dial_zero=0.0)
    name = st.session_state.get(type_key(), PLAIN)  # not drawn yet after a change of example
    with contextlib.suppress(ValueError):  # a name typed wrong: the page says so
        bits = get_type(name, pure=True).format.code_bits
        st.session_state["dial_bits"] = min(bits, 8)


def ask(fmt: Format) -> Dials:
    """Draw the dials of a format with an even grid."""
    columns = st.columns(4, vertical_alignment="bottom", gap="medium")
    bits = columns[0].slider(
        "Bits", 2, 8, fmt.code_bits, key="dial_bits",
        help="Fewer bits give fewer values on the line over the same range.", **controls.BOUND,
    )  # fmt: skip
    scale_percent = columns[1].slider(
        "Scale, %", 40, 160, 100, key="dial_scale",
        help="100 % is what the format’s own rule picks. A smaller scale is finer, but cuts off "
        "what is outside.", **controls.BOUND,
    )  # fmt: skip
    zero_shift = columns[2].slider(
        "Zero point, steps", -4.0, 4.0, 0.0, 0.25, key="dial_zero",
        help="Moves the grid along the line, in steps of the grid.", **controls.BOUND,
    )  # fmt: skip
    moved = (bits, scale_percent, zero_shift) != (fmt.code_bits, 100, 0.0)
    back = f"Back to {fmt.name}"
    why = "" if moved else f"The sliders are already where {fmt.name} itself puts them."
    columns[3].button(
        back, on_click=reset, key="dial_reset", disabled=bool(why),
        help=why or f"Puts the sliders back where {fmt.name} itself puts them.",
    )  # fmt: skip
    return Dials(bits, scale_percent, zero_shift, moved)
