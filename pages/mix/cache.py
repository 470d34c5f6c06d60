"""Choices by budget, and what mixes of the shipped model cost."""

import streamlit as st

from pages.shared import bench
from quantcore.sensitivity.budget import Budget, Budgeted
from quantcore.sensitivity.mixes import MixPoint, load_mixes
from quantcore.sensitivity.results import Sensitivity, Source
from quantcore.sensitivity.ways import budget_by


@bench.per_model(st.cache_resource, show_spinner="Choosing types", max_entries=32)
def budget(
    model_name: str,
    results_key: str,
    by: str,
    formats: tuple[str, ...],
    keep_output: str | None,
    by_layer: bool,
    _results: Sensitivity,
) -> Budget:
    """List the choices that a model has by results of its sensitivity; the key names these."""
    opened, some = bench.model(model_name), list(formats) or None
    return budget_by(by, opened, _results, some, keep_output=keep_output, by_layer=by_layer)


@st.cache_resource(show_spinner=False, max_entries=512)
def budgeted(budget_key: tuple, wanted: str, _budget: Budget) -> Budgeted:
    """Plan for a budget: "Q4_K_M", "4.5bpw", "kl:0.002"."""
    return _budget.plan_for(wanted)


@st.cache_resource(show_spinner=False)
def measured_mixes() -> tuple[Source, list[MixPoint]]:
    """Read what mixes of the shipped model cost on the evaluation text."""
    return load_mixes(bench.sources()[bench.shipped()] / "measured" / "mixes.json")
