"""What the page Mix knows of a model: errors, file types, choices by budget, measured mixes."""

import streamlit as st

from pages.shared import bench, shipped
from quantcore.evaluate.estimate import drift_seconds
from quantcore.evaluate.mix_error import Case, ErrorTable
from quantcore.pool import n_threads
from quantcore.recipe.plan import Plan
from quantcore.recipe.stock import stock_plans
from quantcore.sensitivity.budget import Budget, Budgeted
from quantcore.sensitivity.mixes import MixPoint, load_mixes
from quantcore.sensitivity.results import Sensitivity, Source
from quantcore.sensitivity.ways import budget_by


@bench.per_model(st.cache_resource, max_entries=8)
def error_table(model_name: str) -> ErrorTable:
    """Keep the errors that were measured of a model, shared by all sessions."""
    known = shipped.known_errors(model_name).items()
    errors = {Case(*key): row.relative_rmse for key, row in known}
    return ErrorTable(bench.model(model_name), errors)


@bench.per_model(st.cache_resource, max_entries=16)
def stock(model_name: str, with_imatrix: bool) -> dict[str, Plan]:
    """Plan llama-quantize's file types as they are."""
    return stock_plans(bench.model(model_name), with_imatrix)


@bench.per_model(st.cache_resource, show_spinner="Choosing formats", max_entries=32)
def budget(
    model_name: str,
    results_key: str,
    by: str,
    formats: tuple[str, ...],
    keep_output: str | None,
    by_layer: bool,
    _results: Sensitivity,
) -> Budget:
    """List the choices that a model has by results of its sensitivity, whose figures the key tells.

    Raises
    ------
    ValueError
        If the limits leave a tensor no type.
    """
    opened, some = bench.model(model_name), list(formats) or None
    return budget_by(by, opened, _results, some, keep_output=keep_output, by_layer=by_layer)


@bench.per_model(st.cache_resource, max_entries=512)
def budgeted(model_name: str, budget_key: tuple, wanted: str, _budget: Budget) -> Budgeted:
    """Plan for a budget: "Q4_K_M", "4.5bpw", "kl:0.002"; the key is what the budget was made of."""
    return _budget.plan_for(wanted)


@bench.per_model(st.cache_resource, max_entries=2)
def measured_mixes(model_name: str) -> tuple[Source, list[MixPoint]] | None:
    """Read what mixes of a shipped model cost on the evaluation text; None if unmeasured."""
    path = bench.sources()[model_name] / "measured" / "mixes.json"
    return load_mixes(path) if path.exists() else None


@bench.per_model(st.cache_data, max_entries=64)
def seconds(model_name: str, text: str, types: tuple[tuple[str, str], ...]) -> float:
    """Estimate measuring a recipe on a text, with the cores of this machine."""
    opened = bench.model(model_name)
    return drift_seconds(opened, [dict(types)], len(opened.tokenizer.encode(text))) / n_threads()
