"""The ways on from the first page: a card a page, with the question that it answers."""

import streamlit as st

from pages.shared import look

ARROW = ":material/arrow_forward:"
CARDS = (
    ("weights", "Meet the weights", "How they are distributed, and the outliers that cost bits."),
    ("block", "Open one block", "Its weights on their grid, and the bytes that store them."),
    ("scales", "Weigh the scales", "What scale factors cost, and how they are stored."),
    (
        "imatrix",
        "Which inputs matter",
        "Which columns count, and what an importance matrix changes.",
    ),
    ("layer_error", "Find the weak layers", "The error of every matrix in every format."),
    ("sensitivity", "Test each tensor", "How far the model drifts when only it is quantized."),
    ("drift", "Read what changes", "Where the smaller model thinks differently, word by word."),
    ("mix", "Compose a file", "Which type each tensor gets, and why; change it, and save it."),
    ("file", "Look into a file", "What is inside a GGUF file, and whether it matches its name."),
    ("memory", "Count the bytes", "What a model needs: weights, cache and overhead."),
)


def show() -> None:
    """Draw the cards: the question that each page answers, and how to get there."""
    for row in (CARDS[:5], CARDS[5:]):
        for column, (page, question, answer) in zip(st.columns(5), row, strict=True):
            with column.container(border=True, height="stretch"):
                st.page_link(
                    f"pages/{page}.py", label=f"**{question}**", icon=ARROW, icon_position="right"
                )
                look.note(answer)
