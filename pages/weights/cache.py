"""Statistics of tensors."""

import numpy as np
import streamlit as st

from pages.shared import bench, tensors
from quantcore.evaluate import statistics
from quantcore.evaluate.grid_report import FLOATS, GridReport, grid_report


@bench.per_model(st.cache_data, show_spinner=False, max_entries=512)
def tensor_statistics(model_name: str, tensor: str) -> statistics.TensorStatistics:
    """Moments and extremes of one tensor."""
    return statistics.tensor_statistics(tensors.weights(model_name, tensor))


@bench.per_model(st.cache_data, show_spinner="Reading every matrix", max_entries=8)
def model_statistics(model_name: str) -> dict[str, statistics.TensorStatistics]:
    """Moments and extremes of every matrix, by name; one in memory at a time."""
    return dict(statistics.model_statistics(bench.model(model_name)))


@bench.per_model(st.cache_data, show_spinner=False, max_entries=128)
def weight_counts(model_name: str, tensor: str, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Count one tensor by bins over its symmetric range."""
    return statistics.histogram(tensors.weights(model_name, tensor), n_bins)


@bench.per_model(st.cache_data, show_spinner=False, max_entries=128)
def tail_shares(model_name: str, tensor: str, sigmas: tuple[float, ...]) -> np.ndarray:
    """Share of one tensor's weights beyond each distance."""
    return statistics.tail_shares(tensors.weights(model_name, tensor), sigmas)


@bench.per_model(st.cache_data, show_spinner=False, max_entries=128)
def ranges(model_name: str, tensor: str, axis: int) -> statistics.Ranges:
    """Extremes of one tensor by row (axis 0) or column (1)."""
    return statistics.ranges(tensors.weights(model_name, tensor), axis)


@bench.per_model(st.cache_resource, show_spinner="Looking for a grid", max_entries=512)
def own_grid(model_name: str, tensor: str) -> GridReport | None:
    """Find the grid that one tensor is on; none where its type in the file is one already."""
    if bench.model(model_name).tensors[tensor].dtype not in FLOATS:
        return None
    return grid_report(tensors.weights(model_name, tensor))
