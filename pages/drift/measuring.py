"""Measuring drift from a page: a run that can be watched, and what is kept of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from pages.drift import cache, charts, words
from pages.drift.texts import Text
from pages.shared import bench, drifts, jobs, look, plans, texts
from pages.shared.frame import sentence
from quantcore.evaluate.drift import Comparison, Drift, drift_steps
from quantcore.evaluate.estimate import drift_seconds, skills_seconds
from quantcore.evaluate.kept_drift import KeptDrift, text_digest
from quantcore.evaluate.quantized import restored_tensors
from quantcore.evaluate.skills import SkillScore, skill_steps
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.progress import Progress

TITLE = "the measurement on the page Drift"
# What is compared before anything is chosen: down to types in which skills are lost, and to one
# that leaves nothing.
AT_FIRST = (
    *("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "Q3_K", "Q2_K", "IQ2_XXS", "IQ1_S", "TQ1_0"),
    *("Q2_K pure", "INT4_TENSOR", "INT4_ROW", "INT4_G128"),
)
ORIGINAL = "F32"  # as the engine calls the model as it is


@dataclass(frozen=True)
class Course:
    """How the divergence went so far."""

    n_chunks: int
    running: Mapping[str, list[float]]  # mean divergence after each batch, by type
    chunks: list[int] = field(default_factory=list)  # done after each batch

    def add(self, known: Comparison) -> None:
        """Take in what was known after one more batch."""
        self.chunks.append(known.chunks_done)  # first: a page may look at any time
        for name, value in known.mean_kl.items():
            self.running[name].append(value)


def results(model: Model, text: Text) -> drifts.Results:
    """Return what lies beside the shipped model, and what was measured on this machine since."""
    return drifts.results(model, text.words, texts.length(model.name, text.words).context)


def steps(
    model: Model, types: Sequence[str], text: Text, with_skills: bool
) -> Iterator[Progress[Course]]:
    """Measure in steps of at most a layer of one batch of chunks, and keep what was found.

    Raises
    ------
    ValueError
        If a type or the text does not suit the model; before any work is done.
    """
    length = texts.length(model.name, text.words)
    compared = drift_steps(model, types, text.words, length.context)
    course = Course(length.n_tokens // length.context, {name: [] for name in types})
    return _steps(model, text, compared, course, with_skills)


def _steps(
    model: Model,
    text: Text,
    compared: Iterator[Progress[Comparison]],
    course: Course,
    with_skills: bool,
) -> Iterator[Progress[Course]]:
    part = 0.5 if with_skills else 1.0
    measured: Mapping[str, Drift] = {}
    for step in compared:
        if step.result is not None:
            measured = step.result.drifts
            if not measured:
                course.add(step.result)
        yield Progress(part * step.share, step.stage, course)
    skills: dict[str, list[SkillScore]] = {}
    answering = list(dict.fromkeys([ORIGINAL, *course.running])) if with_skills else []
    for i, name in enumerate(answering):
        for share, scores in _skill_steps(model, name):
            yield Progress(part + part * (i + share) / len(answering), f"{name}: skills", course)
            skills[name] = scores or []
    found = KeptDrift(
        model=model.name,
        fingerprint=model.fingerprint,
        text=text.says,
        text_digest=text_digest(text.words),
        context=next(iter(measured.values())).context,
        drifts=measured,
        skills=skills,
    )
    drifts.keep(model, text.words, found)
    yield Progress(1.0, "done", course)


def _skill_steps(model: Model, name: str) -> Iterator[tuple[float, list[SkillScore] | None]]:
    weights = {}
    for tensor, restored in restored_tensors(model, name):
        weights[tensor] = restored
        yield 0.0, None
    for step in skill_steps(model, Llama(model.config, weights)):
        yield step.share, step.result


def run_button(model: Model, types: Sequence[str], text: Text) -> None:
    """Draw the button that measures the chosen types, here and now."""
    with_skills = False
    if bench.is_shipped(model.name) and text.key == "stories":
        also = "Let each type also answer the thousand questions on recall, arithmetic, facts, "
        also += "agreement and chains. This takes longer."
        with_skills = bool(st.pills("Also", ["skills"], key="also", help=also))
    says = (
        "Quantizes the whole model to each of the types and lets all of them read the text, on "
        "this machine. You can go on using the lab meanwhile, or cancel."
    )
    unable = _why_not(model, types, text)
    if jobs.button(
        "Measure",
        key="measure_drift",
        title=TITLE,
        begin=lambda: steps(model, types, text, with_skills),
        seconds=None if unable else _seconds(model, types, text, with_skills),
        unable=unable,
        help=says,
    ):
        st.rerun()


def _why_not(model: Model, types: Sequence[str], text: Text) -> str:
    """Say why nothing can be measured; nothing where it can."""
    length = texts.length(model.name, text.words)
    if length.n_tokens < length.needed:
        return words.too_short(text.says, length.n_tokens, length.needed)
    for name in types:
        try:
            plans.whole(model.name, name)
        except ValueError as problem:
            return sentence(problem)
    return "" if types else "Choose at least one type."


def _seconds(model: Model, types: Sequence[str], text: Text, with_skills: bool) -> float:
    formats = [plans.whole(model.name, name) for name in types]
    n_tokens = texts.length(model.name, text.words).n_tokens
    seconds = drift_seconds(model, formats, n_tokens)
    if with_skills:
        n_asked = cache.question_tokens_of(model.name)
        seconds += skills_seconds(model, [{}, *formats], n_asked)
    return seconds / n_threads()


def panel() -> None:
    """Draw the run of this session while there is one; what it found is kept by itself."""
    job = jobs.panel(TITLE, _draw)
    if job is not None and job.state == "cancelled":
        look.note("Cancelled; nothing of that run was kept.")


def _draw(step: Progress[Course]) -> None:
    course = step.result
    if course and course.chunks:
        figure = charts.so_far(course.running, course.chunks, course.n_chunks, look.current())
        look.show_running(figure, "Mean divergence of each type so far, by chunks scored.")
