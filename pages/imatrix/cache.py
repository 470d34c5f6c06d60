"""Errors with the importance matrix and without."""

import streamlit as st

from pages.shared import bench, tensors
from quantcore.evaluate import importance_use
from quantcore.formats import FORMATS


def importance(model_name: str, tensor: str) -> importance_use.Floats:
    """Mean squared input of each column of a matrix; ValueError where that is not known."""
    imatrix = bench.imatrix(model_name)
    means = None if imatrix is None else imatrix.importance(tensor)
    if means is None:
        raise ValueError(f"The importance of the columns of {tensor} is not known.")
    return means


@bench.per_model(st.cache_data, show_spinner="Quantizing twice", max_entries=128)
def with_and_without(model_name: str, tensor: str, type_name: str) -> importance_use.Pair:
    """Errors of one tensor quantized with its importance and without."""
    return importance_use.with_and_without(
        FORMATS[type_name], tensors.weights(model_name, tensor), importance(model_name, tensor)
    )
