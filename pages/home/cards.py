"""The ways on from the first page: a card a page, with the question that it answers."""

import streamlit as st

from pages.home import words
from pages.shared import look

IN_A_ROW = 4
ARROW = ":material/arrow_forward:"


def show() -> None:
    """Draw the cards: the question that each page answers, and how to get there."""
    for start in range(0, len(words.CARDS), IN_A_ROW):
        row = words.CARDS[start : start + IN_A_ROW]
        # The last row may be shorter; its cards are as wide as the others.
        for column, (page, question, answer) in zip(st.columns(IN_A_ROW), row, strict=False):
            with column.container(border=True, height="stretch"):
                st.page_link(
                    f"pages/{page}.py", label=f"**{question}**", icon=ARROW, icon_position="right"
                )
                look.note(answer)
