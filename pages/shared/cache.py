"""Every cached call into quantcore.

Arguments are names and numbers, never arrays: Streamlit hashes only a sample of a large array, so
two tensors could share one entry. Arrays that come out are shared by all sessions: never write to
them. `cache_resource` hands out the same object, `cache_data` would copy it by pickle.
"""

import os
from pathlib import Path

import numpy as np
import streamlit as st

import quantcore
from quantcore.format import ScaleFactors, Weights
from quantcore.formats import get_format

ROOT = Path(__file__).resolve().parent.parent.parent
# Only folders in here can be opened, never a path from the address bar.
OWN_MODELS = Path(os.environ.get("QUANTLAB_MODELS", ROOT / "models"))


def sources() -> dict[str, Path]:
    """Folders of the models that can be opened, by name; the shipped one first."""
    found = [*sorted(ROOT.glob("assets/*/config.json")), *sorted(OWN_MODELS.glob("*/config.json"))]
    return {config.parent.name: config.parent for config in reversed(found)}


@st.cache_resource(show_spinner="Opening the model", max_entries=4)
def model(name: str) -> "quantcore.Model":
    """Open a model: its config, tokenizer and tensor names; weights are read when asked for."""
    return quantcore.open_model(sources()[name])


@st.cache_resource(show_spinner=False, max_entries=16)
def weights(model_name: str, tensor: str) -> Weights:
    """One tensor as float32, (n_rows, n_cols)."""
    return model(model_name).weights(tensor)


@st.cache_resource(show_spinner="Quantizing", max_entries=32)
def packed(model_name: str, tensor: str, type_name: str):
    """One tensor in a format: bytes for block formats, an `IntegerPacked` for INT ones."""
    return get_format(type_name).quantize(weights(model_name, tensor))


@st.cache_resource(show_spinner="Quantizing", max_entries=16)
def restored(model_name: str, tensor: str, type_name: str) -> Weights:
    """One tensor as it comes back from a format, float32."""
    back = get_format(type_name).dequantize(packed(model_name, tensor, type_name))
    back.flags.writeable = False
    return back


@st.cache_resource(show_spinner=False, max_entries=16)
def scale_factors(model_name: str, tensor: str, type_name: str) -> ScaleFactors:
    """Scales and minima of one tensor in a format."""
    return get_format(type_name).scale_factors(packed(model_name, tensor, type_name))


@st.cache_data(show_spinner=False, max_entries=256)
def histogram(model_name: str, tensor: str, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Count one tensor's weights by bins: a chart never gets a million floats."""
    return np.histogram(weights(model_name, tensor), bins=n_bins)
