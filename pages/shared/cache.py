"""Every cached call into quantcore.

Arguments are names and numbers, never arrays: Streamlit hashes only a sample of a large array, so
two tensors could share one entry. Arrays that come out are shared by all sessions: never write to
them. `cache_resource` hands out the same object, `cache_data` would copy it by pickle.
"""

import contextlib
import json
import os
import re
from pathlib import Path

import numpy as np
import streamlit as st

import quantcore
import quantcore.evaluate.measured as measured_files
import quantcore.sensitivity.results as sensitivity_files
from quantcore.evaluate import importance_use, statistics, weight_error
from quantcore.evaluate.drift import TokenDrift
from quantcore.evaluate.quantized import applied_format, importances, llama_of, needed_importance
from quantcore.evaluate.reading import Continuations, continue_both, read_closely
from quantcore.format import ScaleFactors, Weights
from quantcore.formats import FORMATS, get_format
from quantcore.io.gguf_parts import first_part
from quantcore.io.imatrix import Imatrix
from quantcore.model.llama import Llama
from quantcore.recipe.overrides import Override
from quantcore.recipe.plan import Plan
from quantcore.recipe.types import get_type, mixed_formats, mixes_for
from quantcore.sensitivity.budget import Budget, Budgeted
from quantcore.sensitivity.mixes import MixPoint, load_mixes
from quantcore.sensitivity.results import Sensitivity, Source
from quantcore.sensitivity.ways import budget_by

ROOT = Path(__file__).resolve().parent.parent.parent
# Only folders in here can be opened, never a path from the address bar.
OWN_MODELS = Path(os.environ.get("QUANTLAB_MODELS", ROOT / "models"))


def sources() -> dict[str, Path]:
    """Folders and GGUF files of the models that can be opened, by name; the shipped one first."""
    found: dict[str, Path] = {}
    for folder in (ROOT / "assets", OWN_MODELS):
        for config in sorted(folder.glob("*/config.json")):
            found.setdefault(config.parent.name, config.parent)
    for file in sorted(OWN_MODELS.glob("*.gguf")):
        # Of a model in several files, the first stands for all.
        if first_part(file) == file and not file.name.endswith(".imatrix.gguf"):
            found.setdefault(file.name, file)
    return found


def model(name: str) -> "quantcore.Model":
    """Open a model: its config, tokenizer and tensor names; weights are read when asked for."""
    return _opened(sources()[name])


@st.cache_resource(show_spinner="Opening the model", max_entries=4)
def _opened(place: Path) -> "quantcore.Model":
    return quantcore.open_model(place)


def shipped() -> str:
    """Name the model that the lab ships."""
    return next(name for name in sources() if is_shipped(name))


def is_shipped(name: str) -> bool:
    """Whether it is the model that the lab ships, with its evaluation text and questions."""
    return sources()[name].parent == ROOT / "assets"


@st.cache_data
def passage() -> str:
    """Read the hand-written text for models from elsewhere."""
    return (ROOT / "assets" / "passage.txt").read_text(encoding="utf-8")


@st.cache_data
def published() -> dict:
    """Read the published figures of a large model, to be laid beside ours."""
    return json.loads((ROOT / "assets" / "published.json").read_text(encoding="utf-8"))


@st.cache_resource(show_spinner=False, max_entries=16)
def weights(model_name: str, tensor: str) -> Weights:
    """One tensor as float32, (n_rows, n_cols)."""
    return model(model_name).weights(tensor)


@st.cache_resource(show_spinner="Quantizing", max_entries=32)
def packed(model_name: str, tensor: str, type_name: str):
    """One tensor in a format: bytes for block formats, codes and scales apart for the others.

    Where a GGUF file holds it in that format, they are the file's own bytes.
    """
    stored = model(model_name).as_stored(tensor)
    if stored is not None and model(model_name).holds(tensor, type_name):
        return stored.packed()
    fmt, values = get_format(type_name), weights(model_name, tensor)
    importance = needed_importance(model(model_name), tensor, type_name)
    return fmt.quantize(values) if importance is None else fmt.quantize(values, importance)


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


# Distributions and errors of weights, for the pages on weights, scales and layers.


@st.cache_data(show_spinner=False, max_entries=512)
def tensor_statistics(model_name: str, tensor: str) -> statistics.TensorStatistics:
    """Moments and extremes of one tensor."""
    return statistics.tensor_statistics(weights(model_name, tensor))


@st.cache_data(show_spinner="Reading every matrix", max_entries=8)
def model_statistics(model_name: str) -> dict[str, statistics.TensorStatistics]:
    """Moments and extremes of every matrix, by name; one in memory at a time."""
    return dict(statistics.model_statistics(model(model_name)))


@st.cache_data(show_spinner=False, max_entries=128)
def weight_counts(model_name: str, tensor: str, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Count one tensor by bins over its symmetric range."""
    return statistics.histogram(weights(model_name, tensor), n_bins)


@st.cache_data(show_spinner=False, max_entries=128)
def tail_shares(model_name: str, tensor: str, sigmas: tuple[float, ...]) -> np.ndarray:
    """Share of one tensor's weights beyond each distance."""
    return statistics.tail_shares(weights(model_name, tensor), sigmas)


@st.cache_data(show_spinner=False, max_entries=128)
def ranges(model_name: str, tensor: str, axis: int) -> statistics.Ranges:
    """Extremes of one tensor by row (axis 0) or column (1)."""
    return statistics.ranges(weights(model_name, tensor), axis)


@st.cache_data(show_spinner=False, max_entries=4096)
def tensor_error(model_name: str, tensor: str, type_name: str) -> weight_error.WeightError:
    """Error that a format makes in one tensor; none where a file holds it so already."""
    fmt = applied_format(model(model_name), tensor, type_name)
    importance = needed_importance(model(model_name), tensor, type_name)
    return weight_error.tensor_error(weights(model_name, tensor), fmt, importance)


@st.cache_data(show_spinner=False, max_entries=128)
def row_errors(model_name: str, tensor: str, type_name: str) -> np.ndarray:
    """Relative RMSE of every row of one tensor in a format."""
    fmt = applied_format(model(model_name), tensor, type_name)
    importance = needed_importance(model(model_name), tensor, type_name)
    found = weight_error.row_errors(weights(model_name, tensor), fmt, importance)
    return found.relative_rmse


# Whole models ready to run, and what they say, for the page on drift.


@st.cache_resource(show_spinner="Quantizing the whole model", max_entries=6)
def llama(model_name: str, type_name: str | None) -> Llama:
    """Make a model ready to run, in a mix or one format, or None: as it is."""
    return llama_of(model(model_name), type_name)


@st.cache_resource(show_spinner="Reading", max_entries=64)
def reading(model_name: str, type_name: str, text: str) -> TokenDrift:
    """Score every token of a short text by the original and in one type."""
    pair = llama(model_name, None), llama(model_name, type_name)
    return read_closely(model(model_name), *pair, text)


@st.cache_resource(show_spinner="Writing", max_entries=64)
def continuations(model_name: str, type_name: str, prompt: str, n: int) -> Continuations:
    """Continue a prompt by the original and in one type."""
    pair = llama(model_name, None), llama(model_name, type_name)
    return continue_both(model(model_name), *pair, prompt, n)


@st.cache_resource
def measured_imatrices() -> dict[str, Imatrix]:
    """Keep importance matrices that were measured since the server started, by key of the model."""
    return {}


def imatrix(model_name: str) -> Imatrix | None:
    """Find the importance matrix in a model's folder, beside its GGUF file, or measured here."""
    opened = model(model_name)
    return opened.imatrix or measured_imatrices().get(opened.key)


@st.cache_data(show_spinner="Quantizing twice", max_entries=128)
def with_and_without(model_name: str, tensor: str, type_name: str) -> importance_use.Pair:
    """Errors of one tensor quantized with its importance and without."""
    importance = imatrix(model_name).importance(tensor)
    return importance_use.with_and_without(
        get_format(type_name), weights(model_name, tensor), importance
    )


@st.cache_data(show_spinner=False)
def mixes() -> list[str]:
    """List the mixes that can be made of the shipped model."""
    return mixes_for(model(shipped()))


@st.cache_data(show_spinner=False, max_entries=256)
def formats(model_name: str, type_name: str) -> dict[str, str]:
    """Format of every matrix in a type; matrices whose rows do not divide are left out."""
    opened, meant = model(model_name), get_type(type_name)
    if meant.mix:
        return mixed_formats(opened, meant.mix)
    found = {}
    for name in opened.quantizable:
        with contextlib.suppress(ValueError):
            meant.format.check(opened.tensors[name].shape)
            needed_importance(opened, name, meant.format.name)
            found[name] = meant.format.name
    return found


@st.cache_data(show_spinner="Quantizing every matrix", max_entries=64)
def model_errors(model_name: str, type_name: str) -> dict[str, weight_error.WeightError]:
    """Error of every matrix in a type, by name; those whose rows do not divide are left out.

    Of the shipped model they were measured before, in the usual formats.
    """
    opened, formats_of = model(model_name), formats(model_name, type_name)
    importance, known = _importances(opened, type_name, formats_of), known_errors(model_name)
    return {
        name: known.get((name, fmt, name in importance and FORMATS[fmt].uses_importance))
        or weight_error.tensor_error(
            opened.weights(name), applied_format(opened, name, fmt), importance.get(name)
        )
        for name, fmt in formats_of.items()
    }


@st.cache_resource(show_spinner=False, max_entries=8)
def known_errors(model_name: str) -> dict[tuple[str, str, bool], weight_error.TensorError]:
    """Errors that were measured of the shipped model, by tensor, format, and with matrix or not."""
    if not is_shipped(model_name) or measured().stale:
        return {}
    kinds = ((False, measured().errors), (True, measured().matrix_errors))
    return {
        (row.name, fmt, aided): row
        for aided, by_format in kinds
        for fmt, rows in by_format.items()
        for row in rows
    }


def _importances(opened, type_name: str, formats_of: dict[str, str]) -> dict[str, Weights]:
    """Return what a type that needs one takes from the model's importance matrix, by tensor."""
    if get_type(type_name).mix:
        return importances(opened, type_name)
    found = {name: needed_importance(opened, name, fmt) for name, fmt in formats_of.items()}
    return {name: values for name, values in found.items() if values is not None}


@st.cache_resource(show_spinner=False, max_entries=128)
def planned(
    model_name: str,
    file_type: str,
    imatrix: bool,
    pure: bool = False,
    changed: tuple[tuple[str, str], ...] = (),
) -> Plan:
    """Plan a file, with some tensors' types chosen by hand."""
    overrides = [Override(f"^{re.escape(name)}$", type) for name, type in changed]
    opened = model(model_name)
    return quantcore.plan(opened, file_type, imatrix=imatrix, pure=pure, overrides=overrides)


@st.cache_resource(show_spinner="Choosing types", max_entries=32)
def budget(
    model_name: str,
    results_key: str,
    by: str,
    formats: tuple[str, ...],
    keep_output: str | None,
    by_layer: bool,
    _results: Sensitivity,
) -> Budget:
    """List the choices that a model has by results of its sensitivity; the key names these."""
    opened, some = model(model_name), list(formats) or None
    return budget_by(by, opened, _results, some, keep_output=keep_output, by_layer=by_layer)


@st.cache_resource(show_spinner=False, max_entries=512)
def budgeted(budget_key: tuple, wanted: str, _budget: Budget) -> Budgeted:
    """Plan for a budget: "Q4_K_M", "4.5bpw", "kl:0.002"."""
    return _budget.plan_for(wanted)


@st.cache_resource(show_spinner=False)
def measured_mixes() -> tuple[Source, list[MixPoint]]:
    """Read what mixes of the shipped model cost on the evaluation text."""
    return load_mixes(sources()[shipped()] / "measured" / "mixes.json")


@st.cache_resource(show_spinner=False)
def measured() -> measured_files.Measured:
    """Read what was measured of the shipped model and lies beside it; ModelError where nothing."""
    return measured_files.load()


@st.cache_resource(show_spinner=False)
def sensitivity() -> Sensitivity:
    """Read what each tensor of the shipped model costs; ModelError where nothing lies there."""
    return sensitivity_files.shipped()
