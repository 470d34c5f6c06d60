"""Scale factors of a tensor."""

import streamlit as st

from pages.shared import bench, tensors
from quantcore.format import ScaleFactors
from quantcore.formats import get_format


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=16)
def scale_factors(model_name: str, tensor: str, type_name: str) -> ScaleFactors:
    """Scales and minima of one tensor in a format."""
    return get_format(type_name).scale_factors(tensors.packed(model_name, tensor, type_name))
