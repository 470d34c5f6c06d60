"""Which format each tensor gets, cached by model, type and what was chosen by hand."""

import streamlit as st

import quantcore
from pages.shared import bench
from quantcore.evaluate.quantized import Fitting, fitting_formats, formats_by_tensor, importances
from quantcore.recipe.overrides import exactly
from quantcore.recipe.plan import Plan
from quantcore.recipe.types import mixes_for


@st.cache_data(show_spinner=False)
def mixes() -> list[str]:
    """List the mixes that can be made of the shipped model."""
    return mixes_for(bench.model(bench.shipped()))


@bench.per_model(st.cache_data, show_spinner=False, max_entries=256)
def fitting(model_name: str, type_name: str) -> Fitting:
    """Format of every matrix that a type can store, and why it cannot store the others."""
    return fitting_formats(bench.model(model_name), type_name)


def formats(model_name: str, type_name: str) -> dict[str, str]:
    """Format of every matrix that a type can store; ValueError where there is none, with reason."""
    return fitting(model_name, type_name).formats or whole(model_name, type_name)


@bench.per_model(st.cache_data, show_spinner=False, max_entries=256)
def whole(model_name: str, type_name: str) -> dict[str, str]:
    """Format of every matrix in a type that is to store all of them.

    ValueError where it cannot, in a sentence that says what could.
    """
    opened = bench.model(model_name)
    formats = formats_by_tensor(opened, type_name)
    importances(opened, type_name, formats)
    return formats


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=128)
def planned(
    model_name: str,
    file_type: str,
    imatrix: bool,
    pure: bool = False,
    changed: tuple[tuple[str, str], ...] = (),
) -> Plan:
    """Plan a file, with some tensors' types chosen by hand."""
    opened, asked = bench.model(model_name), exactly(dict(changed))
    return quantcore.plan(opened, file_type, imatrix=imatrix, pure=pure, overrides=asked)
