"""The ways on from the first page: a card a page, with the question that it answers."""

import streamlit as st

from pages.home import words
from pages.shared import look

ARROW = ":material/arrow_forward:"


def show() -> None:
    """Draw the cards: the question that each page answers, and how to get there."""
    for row in (words.CARDS[:5], words.CARDS[5:]):
        for column, (page, question, answer) in zip(st.columns(5), row, strict=True):
            with column.container(border=True, height="stretch"):
                st.page_link(
                    f"pages/{page}.py", label=f"**{question}**", icon=ARROW, icon_position="right"
                )
                look.note(answer)
