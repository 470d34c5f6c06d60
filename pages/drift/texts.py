"""Which text a model is measured on, reads closely and goes on from."""

from dataclasses import dataclass

import streamlit as st

from pages.shared import bench
from quantcore.evaluate.text import evaluation_text
from quantcore.model.source import Model

NEW_TOKENS = 60
PROMPT_LETTERS = 110


@dataclass(frozen=True)
class Text:
    """What a model is measured on."""

    key: str  # "evaluation", "passage", or a text of one's own in full
    words: str
    says: str  # what a sentence calls it


def choose_text(model: Model) -> Text:
    """Ask which text the model is measured on and read closely."""
    own = "Or paste a text of your own; to measure drift on it, use a few hundred words or more."
    key = st.segmented_control(
        "Text",
        list(_TEXTS),
        default="stories" if bench.is_shipped(model.name) else "passage",
        required=True,
        key="text",
        bind="query-params",
        help=f"{' '.join(_TEXTS.values())} {own}",
    )
    if key == "stories":
        return Text("evaluation", evaluation_text(), "the evaluation text")
    if key == "passage":
        return Text("passage", bench.passage(), "the passage on quantization")
    words = st.text_area(
        "Your text",
        evaluation_text().split("\n")[0],
        key="own",
        persist_state="session",
        height=140,
    )
    return Text(words, words, "your text")


_TEXTS = {
    "stories": "Stories that the shipped model never saw, whose own probabilities are known.",
    "passage": "A page of plain English on quantization, for models from elsewhere.",
    "own": "",
}


def choose_passage(text: Text) -> str:
    """Ask which paragraph is read closely; a text of one's own is read as it stands."""
    if text.key not in ("evaluation", "passage"):
        return text.words
    parts = [part for part in text.words.split("\n") if part.strip()]
    if st.session_state.get("passage", 1) > len(parts):
        st.session_state["passage"] = 1
    n = st.number_input(
        "Story" if text.key == "evaluation" else "Paragraph",
        1,
        len(parts),
        1,
        key="passage",
        bind="query-params",
        width=160,
        help=f"Which of the {len(parts)} is read; each is read on its own, from its first word.",
    )
    return parts[n - 1].strip()


def choose_prompt(model: Model) -> str:
    """Ask what the two models should continue."""
    story = evaluation_text().split("\n")[0]
    opening = story[: story.find(".", PROMPT_LETTERS) + 1] or story
    shipped = bench.is_shipped(model.name)
    return st.text_area(
        "Prompt",
        opening if shipped else "Quantization stores each weight of a model in fewer bits, so",
        key="prompt",
        bind="query-params",
        height=100,
        help="Both models continue it, always with their most likely token. The shipped model "
        "knows only stories, so give it the beginning of one.",
    )
