"""Measuring recipes from the page Drift: a run that can be watched, and what is kept of it."""

from collections.abc import Iterator, Sequence

import streamlit as st

from pages.drift import cache, recipes_words, words
from pages.drift.texts import Text
from pages.shared import bench, jobs, look, recipes, texts
from pages.shared.frame import sentence
from quantcore.evaluate.estimate import recipes_seconds
from quantcore.evaluate.method_drift import check_recipe, method_drift_steps
from quantcore.evaluate.recipes import MethodDrift, get_recipe
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.progress import Progress

TITLE = "the comparison of recipes on the page Drift"
HELP = (
    "Makes the whole model by each recipe that was not measured on this machine yet, or by all of "
    "them again, and lets all read the text. It keeps times, and tokens for the intervals of "
    "differences."
)


def run_button(model: Model, names: Sequence[str], text: Text) -> None:
    """Draw the button that measures the chosen recipes, here and now."""
    with_skills = False
    if bench.is_shipped(model.name) and text.key == texts.STORIES:
        also = "Let each recipe also answer the thousand questions on skills. This takes longer."
        with_skills = bool(st.pills("Also", ["skills"], key="recipes_also", help=also))
    here = recipes.measured_here(model, text.words)
    asked = [
        name for name in names if name not in here or (with_skills and here[name].skills is None)
    ]
    asked = asked or list(names)
    unable = _why_not(model, asked, text)
    if jobs.button(
        "Measure recipes",
        key="measure_recipes",
        title=TITLE,
        begin=lambda: steps(model, asked, text, with_skills),
        seconds=None if unable else _seconds(model, asked, text, with_skills),
        unable=unable,
        help=HELP,
    ):
        st.rerun()


def steps(
    model: Model, names: Sequence[str], text: Text, with_skills: bool
) -> Iterator[Progress[list[MethodDrift]]]:
    """Measure recipes, and keep what was found.

    Raises
    ------
    ValueError
        If a recipe or the text does not suit the model; before any work is done.
    """
    _, seen = texts.to_choose_by(texts.suited(model.name))
    context = texts.length(model.name, text.words).context
    measured = method_drift_steps(
        model,
        [get_recipe(name) for name in names],
        text.words,
        context,
        calibration=seen,
        with_skills=with_skills,
    )
    return _steps(model, text, measured)


def _steps(
    model: Model, text: Text, measured: Iterator[Progress[list[MethodDrift]]]
) -> Iterator[Progress[list[MethodDrift]]]:
    for step in measured:
        if step.result is not None:
            recipes.keep(model, text.words, step.result)
        yield step


def _why_not(model: Model, names: Sequence[str], text: Text) -> str:
    """Say why nothing can be measured; nothing where it can."""
    length = texts.length(model.name, text.words)
    if length.n_tokens < length.needed:
        return words.too_short(text.says, length.n_tokens, length.needed)
    if text.words == texts.to_choose_by(texts.suited(model.name))[1]:
        return recipes_words.SAME_TEXT
    for name in names:
        if problem := unsuited(model.name, name):
            return problem
    return "" if names else "Choose at least one recipe."


@bench.per_model(st.cache_data, show_spinner=False, max_entries=1024)
def unsuited(model_name: str, name: str) -> str:
    """Say why a model cannot be stored by a recipe; nothing where it can."""
    try:
        check_recipe(bench.model(model_name), get_recipe(name))
    except ValueError as problem:
        return sentence(problem)
    return ""


def _seconds(model: Model, names: Sequence[str], text: Text, with_skills: bool) -> float:
    _, seen = texts.to_choose_by(texts.suited(model.name))
    n_seen, n_judged = (texts.length(model.name, each).n_tokens for each in (seen, text.words))
    asked = cache.question_tokens_of(model.name) if with_skills else 0
    by = [get_recipe(name).by for name in names]
    return recipes_seconds(model, by, n_seen, n_judged, asked) / n_threads()


def panel() -> None:
    """Draw the run of this session while there is one; what it found is kept by itself."""
    job = jobs.panel(TITLE)
    if job is not None and job.state == "cancelled":
        look.note("Cancelled; nothing of that run was kept.")
