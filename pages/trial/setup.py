"""What a visitor wants to be answered: prompts, versions, and how tokens are chosen."""

import streamlit as st

from pages.shared import bench, controls, look, model_types, texts, uploads
from pages.shared.frame import sentence
from pages.shared.units import plural
from pages.trial import run, words
from quantcore.formats import DEFAULTS
from quantcore.model.chat_templates import chat_template
from quantcore.model.source import Model
from quantcore.recipe.types import get_type
from quantcore.trial.answering import HOTTEST, Sampling
from quantcore.trial.prompts import TestPrompt, read_prompts, shipped_prompts
from quantcore.trial.shipped import SAMPLING, TYPES

QUESTIONS, TYPED, FILE = "Shipped questions", "Typed", "File"
AT_MOST = 3  # versions
SMALLEST, LARGEST, USUAL = 1, 20, 2  # points of the margin
MOST_TOKENS = 200
MOST_BYTES = 2_000_000  # of a file, and of what is typed
EXAMPLES = {
    texts.STORIES: "One morning the tailor\nBehind the church the singer\nNobody knew who had",
    texts.PASSAGE: (
        '{"prompt": "Question: What is 7 + 5?\\nAnswer:", "expected": "12"}\n'
        '{"prompt": "The capital of France is", "expected": "Paris"}\n'
        '{"prompt": "def add(a, b):\\n    return", "pattern": "a \\\\+ b"}'
    ),
}


def ask(model: Model) -> float:
    """Draw the controls and the button; returns the margin, a share of all prompts."""
    stories = texts.suited(model.name) == texts.STORIES
    kinds = [QUESTIONS, TYPED, FILE] if stories else [TYPED, FILE]
    controls.follow_default("asked", kinds[0])
    one, two, three = st.columns([3, 4, 2], gap="medium", vertical_alignment="bottom")
    with three:
        margin = st.slider(
            "As good within", SMALLEST, LARGEST, USUAL, key="margin", format="%d points",
            help=words.MARGIN_HELP, **controls.BOUND,
        )  # fmt: skip
    with one:
        kind = st.segmented_control(
            "Prompts", kinds, default=kinds[0], required=True, key="asked", **controls.BOUND
        )
    with two:
        types = _types(model)
    prompts: list[TestPrompt] = []
    unable = "" if types else "Choose at least one version."
    try:
        prompts = _prompts(kind, texts.suited(model.name))
        if not prompts:
            unable = "Give a file with prompts." if kind == FILE else "Write a prompt."
    except ValueError as problem:
        look.problem(sentence(problem))
        unable = "The prompts cannot be read yet."
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        sampling, in_chat = _how(model)
        wanted = run.Wanted(
            prompts=tuple(prompts), types=tuple(types), sampling=sampling, in_chat=in_chat
        )
        run.button(model, None if unable else wanted, unable)
        if prompts:
            look.note(_count(prompts))
    return margin / 100


def _count(prompts: list[TestPrompt]) -> str:
    judged = sum(each.judged for each in prompts)
    known = f"right answers are known of {judged:,}" if judged else "no right answers are given"
    return f"{plural(len(prompts), 'prompt')}; {known}."


def _prompts(kind: str, suited: texts.Key) -> list[TestPrompt]:
    if kind == QUESTIONS:
        return shipped_prompts()
    if kind == FILE:
        file = st.file_uploader(
            "Test set", key="prompts_file", max_upload_size=2, help=words.TYPED_HELP
        )
        if file is None:
            return []
        return read_prompts(uploads.text_of(file, MOST_BYTES), file.name)
    typed = st.text_area(
        "Your prompts", EXAMPLES[suited], key="own_prompts", persist_state="session", height=140,
        max_chars=MOST_BYTES, help=words.TYPED_HELP,
    )  # fmt: skip
    return read_prompts(typed, "your prompts") if typed.strip() else []


def _types(model: Model) -> list[str]:
    """Ask for up to three types that the model can be stored in."""
    start = model_types.storable(model, TYPES, pure=False) or model_types.storable(
        model, ["Q8_0", "INT4_ROW"], pure=True
    )
    controls.follow_default("tried", start)
    asked = [*st.query_params.get_all("tried"), *st.session_state.get("tried", [])]
    options = list(dict.fromkeys([*start, *DEFAULTS, *asked]))
    chosen = st.multiselect(
        "Versions", options, start, key="tried", max_selections=AT_MOST, accept_new_options=True,
        help=words.VERSIONS_HELP, **controls.BOUND,
    )  # fmt: skip
    return list(dict.fromkeys(get_type(name).name for name in chosen))


def _how(model: Model) -> tuple[Sampling, bool]:
    """Ask how an answer goes on, folded away."""
    with st.popover("How they answer"):
        n_tokens = st.slider(
            "Tokens of an answer", 1, MOST_TOKENS, SAMPLING.n_tokens, key="answer_tokens",
            **controls.BOUND,
        )  # fmt: skip
        heat = st.slider(
            "Temperature", 0.0, HOTTEST, 0.0, 0.1, key="temperature",
            help=words.TEMPERATURE_HELP, **controls.BOUND,
        )  # fmt: skip
        why = "" if heat else "At temperature 0 nothing is drawn."
        seed = st.number_input(
            "Seed",
            0,
            2**32 - 1,
            0,
            key="seed",
            disabled=bool(why),
            help=why or words.SEED_HELP,
            **controls.BOUND,
        )
        in_chat = has_chat(model.name) and st.toggle(
            "Chat template", key="in_chat", help=words.CHAT_HELP, **controls.BOUND
        )
    return Sampling(n_tokens=n_tokens, temperature=heat, seed=int(seed)), bool(in_chat)


@bench.per_model(st.cache_data, max_entries=16)
def has_chat(model_name: str) -> bool:
    """Whether a model comes with a chat template."""
    return bool(chat_template(bench.model(model_name).files))
