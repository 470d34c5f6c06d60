"""Measuring an importance matrix from its page, beside the page, for models that have none."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import streamlit as st

from pages.drift.measuring import waiting
from pages.shared import (
    bench,
    jobs,
)
from quantcore.evaluate.importance import imatrix_steps
from quantcore.io.imatrix import Imatrix
from quantcore.progress import Progress

if TYPE_CHECKING:
    import quantcore

TITLE = "imatrix"
CONTEXT = 512


def steps(model: "quantcore.Model", found: dict) -> Iterator[Progress[Imatrix]]:
    """Measure on the calibration text, and leave the result in `found`."""
    context = min(CONTEXT, model.config.context_length)
    for step in imatrix_steps(model, None, context):
        yield step
    found[model.key] = step.result


def offer(model: "quantcore.Model") -> None:
    """Draw the button that measures, or the run of this session while there is one."""
    job = jobs.current()
    if job is not None and job.active and job.title == TITLE:
        _watch()
        return
    if job is not None and not job.active and job.title == TITLE:
        jobs.forget()
        if job.state == "failed":
            st.error(job.problem)
    busy = job is not None and job.active
    says = "The model reads the calibration text, on this machine. You can go on meanwhile."
    if st.button("Measure it here", key="measure_imatrix", disabled=busy, help=says):
        found = bench.measured_imatrices()
        jobs.start(TITLE, lambda: steps(model, found))
        st.rerun()


@st.fragment(run_every=0.7)
def _watch() -> None:
    job = jobs.current()
    if job is None or not job.active:
        st.rerun()
    with st.container(border=True, key="imatrix_run"):
        step = job.latest
        st.markdown(f"**{step.stage}**" if step else waiting(jobs.ahead_of(job)))
        st.progress(step.share if step else 0.0)
        st.button("Cancel", key="cancel_imatrix", on_click=job.cancel)
