"""Measuring weight errors from the page: at once where that is quick, else as a run with a button.

Sizes come from the plan at once. An error takes the weights themselves.
"""

import streamlit as st

from pages.mix import cache
from pages.shared import bench, jobs, look
from quantcore.evaluate.mix_error import Case, ErrorTable, error_steps

TITLE = "mix"
AT_ONCE = 8_000_000  # weights quantized while a page waits; more is a run with a button


def at_once(table: ErrorTable, cases: list[Case]) -> None:
    """Measure what a table lacks of some cases here and now, where that is quick."""
    if sum(table.costs(table.missing(cases))) <= AT_ONCE:
        for _ in error_steps(table, cases):
            pass


def offer(model_name: str, cases: list[Case], scope: str, label: str) -> None:
    """Draw a button that measures what is lacking of some cases, or the run that it began."""
    title, table = f"{TITLE} {scope}", cache.error_table(model_name)
    jobs.panel(title)  # what it measures is in the table step by step
    job, missing = jobs.current(), table.missing(cases)
    if not missing or (job is not None and job.title == title):
        return
    tensors = bench.model(model_name).tensors
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button(label, key=f"mix_measure_{scope}", disabled=jobs.busy()):
            jobs.start(title, lambda: error_steps(table, missing))
            st.rerun()
        n_weights = sum(tensors[case.tensor].n_weights for case in missing)
        look.note(f"{_millions(n_weights)} weights to quantize, on this machine.")


def _millions(n_weights: int) -> str:
    """Word a number of weights.

    >>> _millions(58_720_256), _millions(8_030_261_248)
    ('59 million', '8.0 billion')
    """
    return (
        f"{n_weights / 1e9:,.1f} billion" if n_weights > 1e9 else f"{n_weights / 1e6:,.0f} million"
    )
