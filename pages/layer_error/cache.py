"""Errors of every matrix in a type, and of every row of one."""

import numpy as np
import streamlit as st

from pages.shared import bench, plans, shipped, tensors
from quantcore.evaluate import weight_error
from quantcore.evaluate.quantized import applied_format, importances, needed_importance
from quantcore.format import Weights
from quantcore.formats import FORMATS
from quantcore.recipe.types import get_type


@bench.per_model(st.cache_data, show_spinner=False, max_entries=128)
def row_errors(model_name: str, tensor: str, type_name: str) -> np.ndarray:
    """Relative RMSE of every row of one tensor in a format."""
    fmt = applied_format(bench.model(model_name), tensor, type_name)
    importance = needed_importance(bench.model(model_name), tensor, type_name)
    found = weight_error.row_errors(tensors.weights(model_name, tensor), fmt, importance)
    return found.relative_rmse


@bench.per_model(st.cache_data, show_spinner="Quantizing every matrix", max_entries=64)
def model_errors(model_name: str, type_name: str) -> dict[str, weight_error.WeightError]:
    """Error of every matrix in a type, by name; those whose rows do not divide are left out.

    Of the shipped model they were measured before, in the usual formats.
    """
    opened, formats_of = bench.model(model_name), plans.formats(model_name, type_name)
    importance = _importances(opened, type_name, formats_of)
    known = shipped.known_errors(model_name)
    return {
        name: known.get((name, fmt, name in importance and FORMATS[fmt].uses_importance))
        or weight_error.tensor_error(
            opened.weights(name), applied_format(opened, name, fmt), importance.get(name)
        )
        for name, fmt in formats_of.items()
    }


def _importances(opened, type_name: str, formats_of: dict[str, str]) -> dict[str, Weights]:
    """Return what a type that needs one takes from the model's importance matrix, by tensor."""
    if get_type(type_name).mix:
        return importances(opened, type_name)
    found = {name: needed_importance(opened, name, fmt) for name, fmt in formats_of.items()}
    return {name: values for name, values in found.items() if values is not None}
