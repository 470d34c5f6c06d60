"""One tensor at a time, cached: its weights, what a format makes of them, the error."""

import streamlit as st

from pages.shared import bench
from quantcore.checks import refuse_lost
from quantcore.evaluate import weight_error
from quantcore.evaluate.quantized import applied_format, needed_importance
from quantcore.format import Weights
from quantcore.formats import get_format


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=16)
def weights(model_name: str, tensor: str) -> Weights:
    """One tensor as float32, (n_rows, n_cols)."""
    return bench.model(model_name).weights(tensor)


@bench.per_model(st.cache_resource, show_spinner="Quantizing", max_entries=32)
def packed(model_name: str, tensor: str, type_name: str):
    """One tensor in a format: bytes for block formats, codes and scales apart for the others.

    Where a GGUF file or a quantized folder holds it in that format, they are its own.
    """
    held = bench.model(model_name).holds(tensor, type_name)
    own = bench.model(model_name).packed(tensor) if held else None
    if own is not None:
        return own
    importance = needed_importance(bench.model(model_name), tensor, type_name)
    fmt, original = get_format(type_name), weights(model_name, tensor)
    stored = fmt.quantize(original, importance)
    refuse_lost(f"{type_name} of {tensor}", original, fmt.dequantize(stored))
    return stored


@bench.per_model(st.cache_data, show_spinner=False, max_entries=4096)
def tensor_error(model_name: str, tensor: str, type_name: str) -> weight_error.WeightError:
    """Error that a format makes in one tensor; none where a file holds it so already."""
    fmt = applied_format(bench.model(model_name), tensor, type_name)
    importance = needed_importance(bench.model(model_name), tensor, type_name)
    return weight_error.tensor_error(weights(model_name, tensor), fmt, importance)
