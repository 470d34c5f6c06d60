"""Measuring a sweep from its page: begun here or on a cluster, watched, cancelled, gone on with."""

from collections.abc import Iterator
from contextlib import closing

import streamlit as st

from pages.sensitivity.charts import running as charts
from pages.sensitivity.setup import Sweep, choose, estimate
from pages.sensitivity.words import run as words
from pages.shared import jobs, look
from pages.shared.frame import sentence
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.progress import Progress
from quantcore.sensitivity.measure import Swept, guide_steps_of, saving, sensitivity_steps

TITLE = "sensitivity"
FRESH = "_fresh_sensitivity"  # file that the page shows next
PART_OF_PIECES = 0.85  # of the work, where guides follow


def steps(sweep: Sweep) -> Iterator[Progress[Swept]]:
    """Measure what is missing, and keep what was found every few seconds and at the end."""
    model, settings = sweep.model, sweep.settings
    part = PART_OF_PIECES if sweep.guides else 1.0
    swept = None
    pieces = sensitivity_steps(model, settings, sweep.known(), sweep.scheduler)
    with closing(saving(pieces, sweep.path)) as saved:
        for step in saved:
            swept = step.result
            stage = words.stage(swept.effect) if swept and swept.effect else step.stage
            yield Progress(part * step.share, stage, swept)
    if swept is None or not sweep.guides:
        return
    guides = guide_steps_of(model, swept.results, settings.formats, settings.words)
    with closing(saving(guides, sweep.path)) as saved:
        for step in saved:
            share, stage = part + (1 - part) * step.share, words.guide_stage(step.stage)
            yield Progress(share, stage, swept)


def offer(model: Model) -> None:
    """Draw what can be chosen for a sweep, what it will take, and the button that begins it."""
    st.space("medium")
    look.finding(words.MEASURE, words.HOW_TO_MEASURE)
    sweep: Sweep | None = None
    try:
        chosen = choose(model)
        look.note(words.estimate(estimate(chosen), None if chosen.scheduler else n_threads()))
        sweep = chosen
    except (ValueError, OSError) as problem:
        st.error(sentence(problem))
    unable = jobs.busy() or sweep is None
    says = words.ABOUT_MEASURING
    if st.button("Measure", key="measure_sensitivity", disabled=unable, help=says) and sweep:
        start(sweep)
        st.rerun()


def start(sweep: Sweep) -> None:
    """Begin a sweep in the pool, or let it wait there."""
    jobs.start(TITLE, lambda: steps(sweep))
    st.session_state["_sweep"] = sweep


def panel() -> None:
    """Draw the sweep of this session while there is one; show its results when it ends."""
    job = jobs.panel(TITLE, draw=_draw)
    if job is None:
        return
    swept: Swept | None = job.result
    if swept and any(effect.group != "all" for effect in swept.results.effects):
        st.session_state[FRESH] = st.session_state["_sweep"].path
    if job.state == "cancelled":
        look.note(words.cancelled(len(swept.results.effects) if swept else 0))
    if swept and swept.problems:
        st.error(words.failed_pieces(swept.problems))


def _draw(step: Progress[Swept]) -> None:
    """Draw the maps of a sweep as they fill up."""
    sweep: Sweep = st.session_state["_sweep"]
    if step.result is not None:
        results, tensors = step.result.results, sweep.model.quantizable
        figure = charts.so_far(results, tensors, sweep.settings, look.current(), look.narrow())
        look.show_running(figure, "What was found so far, by layer and role, one map per format.")
