"""Measuring a sweep from its page: begun here or on a cluster, watched, cancelled, gone on with."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import streamlit as st

from pages.drift.measuring import waiting
from pages.sensitivity import run_words as words
from pages.sensitivity.charts import running as charts
from pages.sensitivity.setup import Sweep, choose, plan_of
from pages.shared import jobs, look
from pages.shared import sweeps as sensitivity_kept
from pages.shared.frame import sentence
from quantcore.model.source import Model
from quantcore.progress import Progress as Step
from quantcore.sensitivity.measure import guide_steps_of, sensitivity_steps
from quantcore.sensitivity.results import Sensitivity

TITLE = "sensitivity"
SAVE_EVERY_S = 2.0
FRESH = "_fresh_sensitivity"  # file that the page shows next


@dataclass(frozen=True)
class Progress:
    """One step of a sweep."""

    share: float
    stage: str
    results: Sensitivity
    problems: Sequence[str] = field(default_factory=tuple)


def steps(sweep: Sweep) -> Iterator[Progress]:
    """Measure what is missing, and keep what was found every few seconds and at the end."""
    model, path = sweep.model, sweep.path
    results, problems, saved = None, (), time.monotonic()
    part = 0.85 if sweep.guides else 1.0
    try:
        for step in sensitivity_steps(model, sweep.settings, sweep.known(), sweep.scheduler):
            results, problems = step.result.results, step.result.problems
            if time.monotonic() - saved > SAVE_EVERY_S:
                sensitivity_kept.save(results, path)
                saved = time.monotonic()
            stage = words.stage(step.result.effect) if step.result.effect else step.stage
            yield Progress(part * step.share, stage, results, problems)
        for guide in _guides(model, sweep, results):
            share = part + (1 - part) * guide.share
            yield Progress(share, words.guide_stage(guide.stage), results, problems)
    finally:
        if results is not None and results.effects:
            sensitivity_kept.save(results, path)
    yield Progress(1.0, "done", results, problems)


def _guides(model: Model, sweep: Sweep, results: Sensitivity) -> Iterator[Step[Sensitivity]]:
    """Compute the guides of the formats that have none yet."""
    have = {guide.format for guide in results.guides}
    lacking = [name for name in sweep.settings.formats if name not in have]
    if sweep.guides and lacking:
        yield from guide_steps_of(model, results, lacking, sweep.settings.text)


def offer(model: Model) -> None:
    """Draw what can be chosen for a sweep, what it will take, and the button that begins it."""
    st.space("medium")
    look.finding(words.MEASURE, words.HOW_TO_MEASURE)
    job = jobs.current()
    busy = job is not None and job.active
    try:
        sweep = choose(model)
        look.note(words.estimate(plan_of(sweep)))
    except (ValueError, OSError) as problem:
        st.error(sentence(problem))
        sweep = None
    unable = busy or sweep is None
    if st.button("Measure", key="measure_sensitivity", disabled=unable, help=words.ABOUT_MEASURING):
        start(sweep)
        st.rerun()


def start(sweep: Sweep) -> None:
    """Begin a sweep in the pool, or let it wait there."""
    jobs.start(TITLE, lambda: steps(sweep))
    st.session_state["_sweep"] = sweep


def panel() -> None:
    """Draw the sweep of this session while there is one; show its results when it ends."""
    job = jobs.current()
    if job is None or job.title != TITLE:
        return
    if job.active:
        _watch()
        return
    jobs.forget()
    last, sweep = job.latest, st.session_state["_sweep"]
    if last is not None and any(e.group != "all" for e in last.results.effects):
        st.session_state[FRESH] = sweep.path
    if job.state == "failed":
        st.error(job.problem)
    elif job.state == "cancelled":
        look.note(words.cancelled(len(last.results.effects) if last else 0))
    if last is not None and last.problems:
        st.error(words.failed_pieces(last.problems))


@st.fragment(run_every=0.9)
def _watch() -> None:
    job = jobs.current()
    if job is None or not job.active:
        st.rerun()
    sweep: Sweep = st.session_state["_sweep"]
    with st.container(border=True, key="sensitivity_panel"):
        step = job.latest
        st.markdown(f"**{step.stage}**" if step else waiting(jobs.ahead_of(job)))
        st.progress(min(step.share, 1.0) if step else 0.0)
        if step:
            figure = charts.so_far(
                step.results, sweep.model.quantizable, sweep.settings, look.current(), look.narrow()
            )
            look.show_running(figure, "What was found so far, by layer and role, a map a format.")
        st.button("Cancel", key="cancel_sensitivity", on_click=job.cancel)
