"""What was measured of the shipped models and lies beside them."""

import streamlit as st

import quantcore.evaluate.measured as measured_files
import quantcore.evaluate.measured_cache as measured_cache
import quantcore.sensitivity.results as sensitivity_files
from pages.shared import bench
from quantcore.evaluate import weight_error
from quantcore.sensitivity.results import Sensitivity
from quantcore.which_type import published_figures


def is_measured(model_name: str) -> bool:
    """Whether it is a shipped model, beside which lies what was measured of it."""
    return bench.is_shipped(model_name) and (
        (bench.sources()[model_name] / "measured" / "measured.json").exists()
    )


def is_swept(model_name: str) -> bool:
    """Whether it is a shipped model, beside which lies what each of its tensors costs."""
    return bench.is_shipped(model_name) and (
        (bench.sources()[model_name] / "sensitivity.json").exists()
    )


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=2)
def measured(model_name: str) -> measured_files.ShippedResults:
    """Read what was measured of a shipped model and lies beside it; ModelError where nothing.

    It is read again when a file of the model has changed: the figures may be of another then.
    """
    return measured_files.load(model_name)


def has_caches(model_name: str) -> bool:
    """Whether it is a shipped model, beside which lies what its caches cost."""
    return bench.is_shipped(model_name) and (
        (bench.sources()[model_name] / "measured" / "cache.json").exists()
    )


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=2)
def caches(model_name: str) -> measured_cache.ShippedCaches:
    """Read what caches cost a shipped model, and its noise floor; ModelError where nothing."""
    return measured_cache.load(model_name)


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=2)
def sensitivity(model_name: str) -> Sensitivity:
    """Read what each tensor of a shipped model costs; ModelError where nothing lies there."""
    return sensitivity_files.shipped(model_name)


def every_sensitivity() -> list[Sensitivity]:
    """Read what each tensor costs of every shipped model of which that was measured."""
    return [sensitivity(name) for name in bench.every_shipped() if is_swept(name)]


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=8)
def known_errors(model_name: str) -> dict[tuple[str, str, bool], weight_error.TensorError]:
    """Errors that were measured of a shipped model, by tensor, format, and with matrix or not."""
    if not is_measured(model_name) or (known := measured(model_name)).stale:
        return {}
    kinds = ((False, known.errors), (True, known.matrix_errors))
    return {
        (row.name, fmt, aided): row
        for aided, by_format in kinds
        for fmt, rows in by_format.items()
        for row in rows
    }


def published() -> dict:
    """Read the published figures of a large model, to be laid beside ours."""
    return published_figures()
