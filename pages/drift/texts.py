"""Which text a model is measured on, reads closely and goes on from."""

from dataclasses import dataclass

import streamlit as st

from pages.shared import controls, texts
from quantcore.model.source import Model

NEW_TOKENS = 60
OWN = "own"
_HELP = {
    texts.STORIES: "Stories that the model never saw, whose own probabilities are known.",
    texts.PASSAGE: "A page of plain English on quantization, for models from elsewhere.",
    OWN: "Paste a text of your own; to measure drift on it, use a few hundred words or more.",
}


@dataclass(frozen=True)
class Text:
    """What a model is measured on."""

    key: str  # one of `_HELP`
    words: str
    says: str  # what a sentence calls it


def choose_text(model: Model) -> Text:
    """Ask which text the model is measured on and read closely; at first one in its language."""
    first = texts.suited(model.name)
    # Stories are of the shipped model's world: no other model knows a word of it.
    keys = list(dict.fromkeys([first, texts.PASSAGE, OWN]))
    controls.follow_default("text", first)
    key = st.segmented_control(
        "Text",
        keys,
        default=first,
        required=True,
        key="text",
        help=" ".join(_HELP[key] for key in keys),
        **controls.BOUND,
    )
    if key != OWN:
        return Text(key, texts.to_judge_on(key), texts.called(key))
    start = texts.to_judge_on(first).split("\n")[0]
    controls.follow_default("own", start)
    words = st.text_area(
        "Your text", start, key="own", persist_state="session", height=140,
        max_chars=texts.LONGEST,
    )  # fmt: skip
    return Text(OWN, words, "your text")


def choose_passage(text: Text) -> str:
    """Ask which paragraph is read closely; a text of one's own is read as it stands."""
    if text.key == OWN:
        return text.words
    parts = [part for part in text.words.split("\n") if part.strip()]
    if st.session_state.get("passage", 1) > len(parts):
        st.session_state["passage"] = 1
    n = st.number_input(
        "Story" if text.key == texts.STORIES else "Paragraph",
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
    start = texts.prompt(model.name)
    controls.follow_default("prompt", start)
    says = "Both models continue it, always with their most likely token."
    if texts.suited(model.name) == texts.STORIES:
        says += " This model knows only stories, so give it the beginning of one."
    return st.text_area(
        "Prompt", start, key="prompt", bind="query-params", height=100, help=says, max_chars=4000
    )
