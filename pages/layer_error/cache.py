"""Errors of every matrix in a type, and of every row of one."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.shared import bench, plans, shipped, tensors
from quantcore.evaluate import weight_error
from quantcore.evaluate.quantized import applied_format, importances
from quantcore.evaluate.weight_error import TensorError
from quantcore.formats import FORMATS


@bench.per_model(st.cache_data, show_spinner=False, max_entries=128)
def row_errors(model_name: str, tensor: str, type_name: str) -> np.ndarray:
    """Relative RMSE of every row of one tensor in the format that a type gives it."""
    opened, formats = bench.model(model_name), plans.formats(model_name, type_name)
    fmt = applied_format(opened, tensor, formats[tensor])
    importance = importances(opened, type_name, formats).get(tensor)
    rows = weight_error.row_errors(tensors.weights(model_name, tensor), fmt, importance)
    return rows.relative_rmse


@bench.per_model(st.cache_data, show_spinner="Reading every matrix", max_entries=8)
def energies(model_name: str) -> dict[str, float]:
    """Sum of the squared weights of every matrix."""
    return weight_error.energies(bench.model(model_name))


def error_of_all(model_name: str, errors: Mapping[str, TensorError]) -> float:
    """Error of all these matrices together, in percent of their size."""
    relative = {name: error.relative_rmse for name, error in errors.items()}
    return 100 * weight_error.error_of_all(relative, energies(model_name))


@bench.per_model(st.cache_data, show_spinner="Quantizing every matrix", max_entries=64)
def model_errors(model_name: str, type_name: str) -> dict[str, TensorError]:
    """Error of every matrix that a type can store, by name.

    Of the shipped model they were measured before, in the usual formats.
    """
    opened, formats = bench.model(model_name), plans.fitting(model_name, type_name).formats
    importance = importances(opened, type_name, formats)
    known = shipped.known_errors(model_name)
    return {
        name: known.get((name, fmt, name in importance and FORMATS[fmt].uses_importance))
        or weight_error.stored_error(opened, name, fmt, importance.get(name))
        for name, fmt in formats.items()
    }
