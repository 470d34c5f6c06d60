"""Measuring an importance matrix from its page, beside the page, for models that have none."""

from collections.abc import Iterator

import streamlit as st

from pages.shared import bench, jobs
from quantcore.evaluate.importance import imatrix_steps
from quantcore.io.imatrix import Imatrix
from quantcore.model.source import Model
from quantcore.progress import Progress

TITLE = "imatrix"
CONTEXT = 512


def steps(model: Model, measured: dict[str, Imatrix]) -> Iterator[Progress[Imatrix]]:
    """Measure on the calibration text, and leave the result in `measured`, by the model's key.

    One that is there already stays: what was computed with it may still be shown.
    """
    context = min(CONTEXT, model.config.context_length)
    for step in imatrix_steps(model, None, context):
        if step.result is not None:
            measured.setdefault(model.key, step.result)
        yield step


def offer(model: Model) -> None:
    """Draw the button that measures; `jobs.panel` shows the run that it begins."""
    says = "The model reads the calibration text on this machine. You can go on working meanwhile."
    if st.button("Measure it here", key="measure_imatrix", disabled=jobs.busy(), help=says):
        measured = bench.measured_imatrices()
        jobs.start(TITLE, lambda: steps(model, measured))
        st.rerun()
