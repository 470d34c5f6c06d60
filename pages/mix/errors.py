"""Measuring weight errors from the page: at once where that is quick, else as a run with a button.

Sizes come from the plan at once. An error takes the weights themselves.
"""

import streamlit as st

from pages.mix import cache
from pages.shared import bench, jobs
from pages.shared.units import millions
from quantcore.evaluate.estimate import quantizing_seconds
from quantcore.evaluate.mix_error import Case, ErrorTable, error_steps
from quantcore.pool import n_threads

TITLES = {
    scope: f"measuring the error of {what} on the page Mix"
    for scope, what in {"recipe": "the recipe", "tensor": "a tensor", "stock": "every mix"}.items()
}
AT_ONCE = 8_000_000  # weights quantized while a page waits; more is a run with a button


def at_once(table: ErrorTable, cases: list[Case]) -> None:
    """Measure what a table lacks of some cases here and now, where that is quick."""
    if sum(table.costs(table.missing(cases))) <= AT_ONCE:
        for _ in error_steps(table, cases):
            pass


def offer(model_name: str, cases: list[Case], scope: str, label: str) -> None:
    """Draw a button that measures what is lacking of some cases, or the run that it began."""
    title, table = TITLES[scope], cache.error_table(model_name)
    jobs.panel(title)  # what it measures is in the table step by step
    job, missing = jobs.current(), table.missing(cases)
    if not missing or (job is not None and job.title == title):
        return
    model = bench.model(model_name)
    work = quantizing_seconds(model, ((case.tensor, case.type) for case in missing))
    n_weights = sum(model.tensors[case.tensor].n_weights for case in missing)
    if jobs.button(
        label,
        key=f"mix_measure_{scope}",
        title=title,
        begin=lambda: error_steps(table, missing),
        seconds=work / n_threads(),
        help=f"{millions(n_weights)} weights to quantize, on this machine.",
    ):
        st.rerun()
