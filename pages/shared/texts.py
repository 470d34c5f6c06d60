"""Which of the lab's texts suits a model: stories of the shipped model's world, or plain English.

The shipped model has a small vocabulary of its own, and so have the files that were made of it; a
model from elsewhere has another, and would be measured on words that it has never met.
"""

from dataclasses import dataclass
from typing import Literal

import streamlit as st

from pages.shared import bench
from quantcore.evaluate.text import calibration_text, context_for, evaluation_text

Key = Literal["stories", "passage"]
STORIES: Key = "stories"
PASSAGE: Key = "passage"
PROMPT_LETTERS = 110
LONGEST = 2**18  # letters of a pasted text, twice the lab's own
PLAIN_PROMPT = "Quantization stores each weight of a model in fewer bits, so"
_CALLED = {STORIES: "the evaluation text", PASSAGE: "the passage on quantization"}


@dataclass(frozen=True)
class Length:
    """How long a text is for a model."""

    n_tokens: int  # with what opens it
    context: int  # tokens of the chunks that it is cut into

    @property
    def needed(self) -> int:
        """How many tokens there must be to measure on."""
        return 2 * self.context


@bench.per_model(st.cache_data, max_entries=64)
def length(model_name: str, text: str) -> Length:
    """Count the tokens of a text, and say how it is cut into chunks."""
    model = bench.model(model_name)
    n_tokens = len(model.tokenizer.encode(text))
    return Length(n_tokens + model.tokenizer.adds_bos, context_for(model, n_tokens))


@bench.per_model(st.cache_data, max_entries=16)
def suited(model_name: str) -> Key:
    """Name the kind of text that a model was made for: by its vocabulary."""
    mine, its = (bench.model(name).tokenizer for name in (model_name, bench.shipped()))
    n_tokens = its.vocabulary_size
    same = mine.vocabulary_size == n_tokens and mine.pieces(range(n_tokens)) == its.pieces(
        range(n_tokens)
    )
    return STORIES if same else PASSAGE


def to_judge_on(key: str) -> str:
    """Return the text of a kind that models are judged on."""
    return evaluation_text() if key == STORIES else bench.passage()


def to_choose_by(key: str) -> tuple[str, str]:
    """Name and return the text of a kind that importance is measured on, and mixes chosen by.

    There is one passage only: what is chosen by it must be judged on another text.
    """
    if key == STORIES:
        return "calibration.txt", calibration_text()
    return "passage.txt", bench.passage()


def called(key: str) -> str:
    """Say what a sentence calls the text that models are judged on."""
    return _CALLED[STORIES if key == STORIES else PASSAGE]


def prompt(model_name: str) -> str:
    """Begin a text that a model can go on with."""
    if suited(model_name) == PASSAGE:
        return PLAIN_PROMPT
    story = evaluation_text().split("\n")[0]
    return story[: story.find(".", PROMPT_LETTERS) + 1] or story
