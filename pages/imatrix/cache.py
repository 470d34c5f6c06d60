"""Errors with the importance matrix and without."""

import streamlit as st

from pages.shared import bench, tensors
from quantcore.evaluate import importance_use
from quantcore.formats import get_format


@bench.per_model(st.cache_data, show_spinner="Quantizing twice", max_entries=128)
def with_and_without(model_name: str, tensor: str, type_name: str) -> importance_use.Pair:
    """Errors of one tensor quantized with its importance and without."""
    importance = bench.imatrix(model_name).importance(tensor)
    return importance_use.with_and_without(
        get_format(type_name), tensors.weights(model_name, tensor), importance
    )
