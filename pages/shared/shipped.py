"""What was measured of the shipped model and lies beside it."""

import streamlit as st

import quantcore.evaluate.measured as measured_files
import quantcore.sensitivity.results as sensitivity_files
from pages.shared import bench
from quantcore.evaluate import weight_error
from quantcore.sensitivity.results import Sensitivity
from quantcore.which_type import published_figures


def measured() -> measured_files.ShippedResults:
    """Read what was measured of the shipped model and lies beside it; ModelError where nothing."""
    return _measured(bench.shipped())


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=1)
def _measured(model_name: str) -> measured_files.ShippedResults:
    """Read it again when a file of the model has changed: the figures may be of another then."""
    return measured_files.load()


def sensitivity() -> Sensitivity:
    """Read what each tensor of the shipped model costs; ModelError where nothing lies there."""
    return _sensitivity(bench.shipped())


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=2)
def _sensitivity(model_name: str) -> Sensitivity:
    """Read the results in the shipped model's folder, again when a file there has changed."""
    return sensitivity_files.shipped()


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=8)
def known_errors(model_name: str) -> dict[tuple[str, str, bool], weight_error.TensorError]:
    """Errors that were measured of the shipped model, by tensor, format, and with matrix or not."""
    if not bench.is_shipped(model_name) or measured().stale:
        return {}
    kinds = ((False, measured().errors), (True, measured().matrix_errors))
    return {
        (row.name, fmt, aided): row
        for aided, by_format in kinds
        for fmt, rows in by_format.items()
        for row in rows
    }


def published() -> dict:
    """Read the published figures of a large model, to be laid beside ours."""
    return published_figures()
