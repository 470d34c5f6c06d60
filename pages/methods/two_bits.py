"""The section of the page Methods on codes that store several weights together: E8P, a trellis."""

import streamlit as st

from pages.methods import cache
from pages.methods import words_two_bits as words
from pages.methods.charts import points as point_charts
from pages.methods.charts import walk as walk_charts
from pages.shared import controls, look
from pages.shared.frame import sentence
from pages.shared.palette import Look
from quantcore.evaluate import two_bits
from quantcore.evaluate.two_bits import TurnedWeights
from quantcore.model.source import Model

SHOWN, SHOWN_NARROW = 16, 10  # steps of a walk
PAIR = (0, 1)  # of the eight dimensions


def section(model: Model, tensor: str, style: Look) -> None:
    """Draw what two bits per weight can say when several weights share them."""
    st.space("medium")
    try:
        turned = cache.turned(model.name, tensor)
    except ValueError as problem:
        look.note(sentence(problem))
        return
    points(turned, tensor, style)
    st.space("medium")
    walk(model, turned, tensor, style)


def points(turned: TurnedWeights, tensor: str, style: Look) -> None:
    """Draw pairs of weights and the points they go to, by E8P and each alone."""
    places = two_bits.places(*PAIR)
    look.finding(words.points(tensor, turned.errors), words.how_to_read_points(len(places)))
    look.show(
        point_charts.points(turned, PAIR, places, style, narrow=look.narrow()),
        key="methods_points",
        alt=f"Pairs of turned weights of {tensor}, with the points that E8P and four values have.",
    )


def walk(model: Model, turned: TurnedWeights, tensor: str, style: Look) -> None:
    """Draw some steps of the path of a trellis through 256 weights, and what codes leave."""
    n_tiles, n_shown = len(turned.tiles), SHOWN_NARROW if look.narrow() else SHOWN
    heading = st.container()
    one, two = st.columns([1, 3], gap="large", vertical_alignment="bottom")
    for key, end in (("walk_run", n_tiles - 1), ("walk_step", two_bits.TILE - SHOWN)):
        if st.session_state.get(key, 0) > end:
            st.session_state[key] = end
    with one:
        tile = st.number_input(
            "Run of 256 weights", 0, n_tiles - 1, 0, key="walk_run",
            help=f"{n_tiles} runs are spread evenly over the matrix.", **controls.BOUND,
        )  # fmt: skip
    with two:
        first = st.slider(
            "First step shown", 0, two_bits.TILE - SHOWN, 0, key="walk_step", **controls.BOUND
        )
    found = cache.walk(model.name, tensor, tile)
    with heading:
        look.finding(words.walk(tensor, found), words.HOW_TO_READ_WALK)
    look.show(
        walk_charts.walk(found, first, n_shown, style, narrow=look.narrow()),
        key="methods_walk",
        alt=f"Bits of the states, weights and values of {n_shown} steps of a trellis in {tensor}.",
    )
    look.say(words.detours(found))
    st.space("small")
    look.finding(words.leaves(turned.errors), words.how_to_read_errors(tile))
    look.show(
        walk_charts.errors(found.errors, turned.errors, style),
        key="methods_two_bits",
        alt=f"Error of the turned weights of {tensor} by three codes of two bits per weight.",
    )
