"""Measuring an importance matrix from its page, beside the page, for models that have none."""

from collections.abc import Iterator

import streamlit as st

from pages.shared import bench, jobs, texts
from quantcore.evaluate.estimate import pass_seconds
from quantcore.evaluate.importance import imatrix_steps
from quantcore.evaluate.text import context_for
from quantcore.io.imatrix import Imatrix
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.progress import Progress

TITLE = "the measurement on the page Importance"


def steps(model: Model, measured: dict[str, Imatrix]) -> Iterator[Progress[Imatrix]]:
    """Measure on a text in the model's language; leave the result in `measured`, by its key.

    One that is there already stays: what was computed with it may still be shown.

    Raises
    ------
    ValueError
        If the text does not suit the model; before any work is done.
    """
    name, text = texts.to_choose_by(texts.suited(model.name))
    context = context_for(model, n_tokens(model.name, text))
    return _kept(imatrix_steps(model, text, context, dataset=name), model.key, measured)


def _kept(
    steps: Iterator[Progress[Imatrix]], key: str, measured: dict[str, Imatrix]
) -> Iterator[Progress[Imatrix]]:
    for step in steps:
        if step.result is not None:
            measured.setdefault(key, step.result)
        yield step


@bench.per_model(st.cache_data, max_entries=16)
def n_tokens(model_name: str, text: str) -> int:
    """Count the tokens of a text."""
    return len(bench.model(model_name).tokenizer.encode(text))


def offer(model: Model) -> None:
    """Draw the button that measures, and the run that it begins."""
    name, text = texts.to_choose_by(texts.suited(model.name))
    measured = bench.measured_imatrices()
    if jobs.button(
        "Measure it here",
        key="measure_imatrix",
        title=TITLE,
        begin=lambda: steps(model, measured),
        seconds=pass_seconds(model, n_tokens(model.name, text)) / n_threads(),
        help=f"The model reads {name} on this machine. You can go on working meanwhile.",
    ):
        st.rerun()
    jobs.watch(TITLE)
