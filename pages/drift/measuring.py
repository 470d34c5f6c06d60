"""Measuring drift from a page: what was measured before, and a run that can be watched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

import quantcore
from pages.drift import charts
from pages.drift.texts import Text
from pages.shared import (
    bench,
    jobs,
    look,
    shipped,
)
from pages.shared.units import plural
from quantcore.evaluate.drift import Comparison, Drift, drift_steps
from quantcore.evaluate.quantized import restored_tensors
from quantcore.evaluate.skills import SkillScore, skill_steps
from quantcore.model.llama import Llama

CONTEXTS = (512, 256, 128, 64)
FEWEST_CHUNKS = 4
TITLE = "drift"
ORIGINAL = "F32"  # as the engine calls the model as it is
_FOUND = "_found"  # what this session measured, by model and text


@dataclass(frozen=True)
class Run:
    """What is to be measured."""

    model_name: str
    types: tuple[str, ...]
    text_key: str
    text: str
    with_skills: bool

    @property
    def key(self) -> tuple[str, str]:
        """Where the session keeps what is found."""
        return bench.model(self.model_name).key, self.text_key


@dataclass(frozen=True)
class Course:
    """How the divergence went so far."""

    n_chunks: int
    running: Mapping[str, list[float]]  # mean divergence after each batch, by type
    chunks: list[int] = field(default_factory=list)  # done after each batch

    def add(self, known: Comparison) -> None:
        """Take in what a step of the measurement brought."""
        if not known.drifts:
            self.chunks.append(known.chunks_done)  # first: a page may look at any time
            for name, value in known.mean_kl.items():
                self.running[name].append(value)


@dataclass(frozen=True)
class Progress:
    """One step of a run; the last one carries the results."""

    share: float
    stage: str
    course: Course
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    skills: Mapping[str, list[SkillScore]] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """Drift and skills by type."""

    drifts: Mapping[str, Drift]
    skills: Mapping[str, Sequence[SkillScore]]
    stale: bool = False  # of another version of the model


def results(model_name: str, text_key: str) -> Results:
    """Return what lies beside the shipped model, and what this session measured since."""
    key = bench.model(model_name).key, text_key
    mine = st.session_state.get(_FOUND, {}).get(key, Results({}, {}))
    if not bench.is_shipped(model_name) or text_key != "evaluation":
        return mine
    kept = shipped.measured()
    drifts, skills = {**kept.drifts, **mine.drifts}, {**kept.skills, **mine.skills}
    return Results(drifts, skills, kept.stale and not mine.drifts)


def context_for(model: "quantcore.Model", n_tokens: int) -> int:
    """Choose the largest usual context that cuts so many tokens into enough chunks."""
    fits = [c for c in CONTEXTS if c <= model.config.context_length]
    return next((c for c in fits if FEWEST_CHUNKS * c <= n_tokens), fits[-1])


def steps(model: "quantcore.Model", run: Run) -> Iterator[Progress]:
    """Measure in steps of at most a layer of one batch of chunks."""
    n_tokens = len(model.tokenizer.encode(run.text))
    context = context_for(model, n_tokens)
    course = Course(n_tokens // context, {name: [] for name in run.types})
    part = 0.5 if run.with_skills else 1.0
    for step in drift_steps(model, run.types, run.text, context):
        if step.result is not None:
            course.add(step.result)
        yield Progress(part * step.share, step.stage, course)
    skills: dict[str, list[SkillScore]] = {}
    answering = (ORIGINAL, *run.types) if run.with_skills else ()
    for i, name in enumerate(answering):
        for share, scores in _skill_steps(model, name):
            yield Progress(part + part * (i + share) / len(answering), f"{name}: skills", course)
            skills[name] = scores or []
    yield Progress(1.0, "done", course, step.result.drifts, skills)


def _skill_steps(
    model: "quantcore.Model", name: str
) -> Iterator[tuple[float, list[SkillScore] | None]]:
    weights = {}
    for tensor, restored in restored_tensors(model, name):
        weights[tensor] = restored
        yield 0.0, None
    for step in skill_steps(model, Llama(model.config, weights)):
        yield step.share, step.result


def run_button(model: "quantcore.Model", types: Sequence[str], text: Text) -> None:
    """Draw the button that measures the chosen types, here and now."""
    job = jobs.current()
    busy = job is not None and job.active
    with_skills = False
    if bench.is_shipped(model.name) and text.key == "evaluation":
        also = "Let each type also answer the thousand questions on recall, arithmetic, facts, "
        also += "agreement and chains. Takes longer."
        with_skills = bool(st.pills("Also", ["skills"], key="also", disabled=busy, help=also))
    says = (
        "Quantizes the whole model into each of the types to compare and lets all of them read "
        "the text, on this machine. You can go on using the lab meanwhile, or cancel."
    )
    if st.button("Measure", key="measure", disabled=busy, help=says):
        start(Run(model.name, tuple(types), text.key, text.words, with_skills))
        st.rerun()


def start(run: Run) -> None:
    """Begin a run in the pool, or let it wait there."""
    model = bench.model(run.model_name)  # here, for the pool's thread belongs to no session
    jobs.start(TITLE, lambda: steps(model, run))
    st.session_state["_run"] = run


def panel() -> None:
    """Draw the run of this session while there is one; take its results in when it is done."""
    job = jobs.current()
    if job is None or job.title != TITLE:
        return
    if job.active:
        _watch()
        return
    jobs.forget()
    if job.state == "failed":
        st.error(job.problem)
    elif job.state == "done":
        _take_in(st.session_state["_run"], job.latest)
    else:
        look.note("Cancelled; nothing was kept of that run.")


def _take_in(run: Run, last: Progress) -> None:
    found = st.session_state.setdefault(_FOUND, {})
    former = found.get(run.key, Results({}, {}))
    found[run.key] = Results({**former.drifts, **last.drifts}, {**former.skills, **last.skills})


@st.fragment(run_every=0.7)
def _watch() -> None:
    job = jobs.current()
    if job is None or not job.active:
        st.rerun()
    with st.container(border=True, key="run_panel"):
        step = job.latest
        st.markdown(f"**{step.stage}**" if step else waiting(jobs.ahead_of(job)))
        st.progress(step.share if step else 0.0)
        if step and step.course.chunks:
            figure = charts.so_far(
                step.course.running, step.course.chunks, step.course.n_chunks, look.current()
            )
            look.show_running(figure, "Mean divergence of each type so far, by chunks scored.")
        st.button("Cancel", key="cancel_run", on_click=job.cancel)


def waiting(ahead: int) -> str:
    """Say how long the queue is."""
    return f"Waiting: {plural(ahead, 'run')} ahead in the queue." if ahead else "Starting."
