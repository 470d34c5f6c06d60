"""Measuring a sweep from its page: begun here or on a cluster, watched, cancelled, gone on with."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

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
from quantcore.sensitivity.pieces import checked_formats
from quantcore.sweep import check_scheduler

TITLE = "the sweep on the page Sensitivity"
FRESH = "_fresh_sensitivity"  # file that the page shows next
PART_OF_PIECES = 0.85  # of the work, where guides follow


def steps(sweep: Sweep) -> Iterator[Progress[Swept]]:
    """Measure what is missing, and keep what was found every few seconds and at the end.

    Raises
    ------
    ValueError
        If the model, the text or the scheduler does not suit; before any work is done.
    """
    if sweep.scheduler:
        check_scheduler(sweep.scheduler)
    pieces = sensitivity_steps(sweep.model, sweep.settings, sweep.known(), sweep.scheduler)
    return _steps(sweep, pieces)


def _steps(sweep: Sweep, pieces: Iterator[Progress[Swept]]) -> Iterator[Progress[Swept]]:
    model, settings = sweep.model, sweep.settings
    part = PART_OF_PIECES if sweep.guides else 1.0
    swept = None
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


def offer(model: Model, ended: jobs.Job | None) -> None:
    """Draw what can be chosen for a sweep, the button that begins it, and how it goes or went."""
    st.space("medium")
    look.finding(words.MEASURE, words.HOW_TO_MEASURE)
    sweep, seconds, unable = None, None, words.NOTHING_TO_MEASURE
    try:
        sweep = choose(model)
        work = estimate(sweep)
        look.note(words.estimate(work, on_cluster=sweep.scheduler is not None))
        if work.core_seconds or work.n_guides:
            seconds, unable = work.core_seconds / n_threads(), ""
    except (ValueError, OSError) as problem:
        unable = sentence(problem)
    if jobs.button(
        "Measure",
        key="measure_sensitivity",
        title=TITLE,
        begin=partial(_begin, sweep),
        seconds=None if sweep and sweep.scheduler else seconds,
        unable=unable,
        help=words.ABOUT_MEASURING,
    ):
        st.session_state["_sweep"] = sweep
        st.rerun()
    jobs.watch(TITLE, _draw)
    if ended is not None:
        _say_how_it_ended(ended)


def _begin(sweep: Sweep | None) -> Iterator[Progress[Swept]]:
    assert sweep is not None  # else the button could not be pressed
    return steps(sweep)


def take_in() -> jobs.Job | None:
    """Take in the sweep of this session once it has ended: the page shows its results next."""
    job = jobs.ended(TITLE)
    swept: Swept | None = job.result if job else None
    if swept and any(effect.group != "all" for effect in swept.results.effects):
        st.session_state[FRESH] = st.session_state["_sweep"].path
    return job


def _say_how_it_ended(job: jobs.Job) -> None:
    swept: Swept | None = job.result
    if job.state == "failed":
        look.problem(job.problem)
    if job.state == "cancelled":
        look.note(words.cancelled(len(swept.results.effects) if swept else 0))
    if swept and swept.problems:
        look.problem(words.failed_pieces(swept.problems))


def _draw(step: Progress[Swept]) -> None:
    """Draw the maps of a sweep as they fill up."""
    sweep: Sweep = st.session_state["_sweep"]
    if step.result is not None:
        results, settings = step.result.results, sweep.settings
        able = checked_formats(sweep.model, settings.formats)
        how = settings.hows[0]
        figure = charts.so_far(results, able, how, look.current(), look.narrow())
        look.show_running(figure, "What was found so far, by layer and role, one map per format.")
