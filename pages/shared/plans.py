"""Which format each tensor gets, cached by model, type and what was chosen by hand."""

import contextlib
import re

import streamlit as st

import quantcore
from pages.shared import bench
from quantcore.evaluate.quantized import needed_importance
from quantcore.recipe.overrides import Override
from quantcore.recipe.plan import Plan
from quantcore.recipe.types import get_type, mixed_formats, mixes_for


@st.cache_data(show_spinner=False)
def mixes() -> list[str]:
    """List the mixes that can be made of the shipped model."""
    return mixes_for(bench.model(bench.shipped()))


@bench.per_model(st.cache_data, show_spinner=False, max_entries=256)
def formats(model_name: str, type_name: str) -> dict[str, str]:
    """Format of every matrix in a type; matrices whose rows do not divide are left out."""
    opened, meant = bench.model(model_name), get_type(type_name)
    if meant.mix:
        return mixed_formats(opened, meant.mix)
    found = {}
    for name in opened.quantizable:
        with contextlib.suppress(ValueError):
            meant.format.check(opened.tensors[name].shape)
            needed_importance(opened, name, meant.format.name)
            found[name] = meant.format.name
    return found


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=128)
def planned(
    model_name: str,
    file_type: str,
    imatrix: bool,
    pure: bool = False,
    changed: tuple[tuple[str, str], ...] = (),
) -> Plan:
    """Plan a file, with some tensors' types chosen by hand."""
    overrides = [Override(f"^{re.escape(name)}$", type) for name, type in changed]
    opened = bench.model(model_name)
    return quantcore.plan(opened, file_type, imatrix=imatrix, pure=pure, overrides=overrides)
