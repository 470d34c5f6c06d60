"""What the page Methods knows of a matrix: its inputs, and what methods make of it."""

from contextlib import suppress

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.shared import bench, kept, shipped, texts
from quantcore.evaluate.cache_drift import CacheDrift
from quantcore.evaluate.gptq_course import GptqCourse, follow_gptq
from quantcore.evaluate.kept_drift import text_digest
from quantcore.evaluate.method_table import BY, MethodRow, MethodTable, load_methods
from quantcore.evaluate.outlier_errors import UnderOutliers, logits_apart, under_outliers
from quantcore.evaluate.text import context_for, cut
from quantcore.evaluate.two_bits import TurnedWeights, Walk, turned_weights
from quantcore.evaluate.two_bits import walk as walk_through
from quantcore.formats import get_format
from quantcore.io import ModelError
from quantcore.methods import get_method
from quantcore.methods.awq import AWQ, ScaleSearch
from quantcore.methods.bound import least_output_error
from quantcore.methods.inputs.calibration import calibrate, place_of
from quantcore.methods.inputs.kept_inputs import find_inputs, keep_inputs
from quantcore.methods.method import LayerInputs, Statistic
from quantcore.model.outliers.columns import factors_of
from quantcore.model.outliers.settings import OutlierSettings
from quantcore.model.shipped import shipped_name

TOKENS = 8192  # of the calibration text: enough for a picture, soon read
STATISTICS: tuple[Statistic, ...] = ("second_moment", "rows")
INPUTS = ".inputs.npz"  # what ends the names of files that keep inputs
INPUTS_BYTES = 1_000_000_000  # that all of them may take
WIDEST = 4096  # columns whose second moment a server keeps for all who look
RUN_AT_MOST = 30_000_000  # weights of a model that a page runs twice to compare its logits
LOGITS_OF = 64  # tokens
TOO_WIDE = (
    "This matrix has more than {widest:,} columns: how its inputs go together takes more memory "
    "than a page should. On the command line, python -m quantcore method does it."
)


@bench.per_model(st.cache_resource, max_entries=4)
def table(model_name: str) -> MethodTable | None:
    """Read what methods made of a model's matrices, if that lies beside it."""
    return load_methods(bench.model(model_name))


@st.cache_resource
def compared_here() -> dict[tuple[str, str, str], list[MethodRow]]:
    """Keep what was compared since the server started, by key of the model, tensor and type."""
    return {}


def rows(model_name: str, tensor: str) -> list[MethodRow]:
    """List what methods made of a matrix in any type: shipped, and compared here."""
    known, key = table(model_name), bench.model(model_name).key
    beside = known.of(tensor) if known else []
    mine = [
        row
        for (model, name, _), made in compared_here().items()
        for row in made
        if (model, name) == (key, tensor)
    ]
    newer = {(row.asked, row.by) for row in mine}
    return [*mine, *(row for row in beside if (row.asked, row.by) not in newer)]


@bench.per_model(st.cache_resource, show_spinner="Reading the calibration text", max_entries=8)
def inputs(model_name: str, tensor: str) -> LayerInputs:
    """Take the inputs of a matrix from the beginning of the calibration text, or what was kept."""
    model = bench.model(model_name)
    n_cols = model.tensors[tensor].shape[1]
    if n_cols > WIDEST:
        raise ValueError(TOO_WIDE.format(widest=WIDEST))
    _, text = texts.to_choose_by(texts.suited(model_name))
    context = min(512, context_for(model, TOKENS))
    place = place_of(model.config, tensor)  # queries, keys and values share one
    path = kept.path_for(model, INPUTS, place, text_digest(text), context, TOKENS, STATISTICS)
    if (known := find_inputs(path, n_cols)) is not None:
        return known
    tokens = cut(model, text, context, at_most=TOKENS).inputs
    measured = calibrate(model, tokens, [tensor], STATISTICS)[tensor]
    with suppress(ModelError):  # a full disk: it is measured again another time
        keep_inputs(path, measured)
        kept.make_room(INPUTS, INPUTS_BYTES)
    return measured


@bench.per_model(st.cache_resource, max_entries=64)
def least_errors(model_name: str, tensor: str, low: float, high: float) -> tuple[NDArray, NDArray]:
    """Find the least error of the output at bits per weight from low to high: bits, errors."""
    moment = inputs(model_name, tensor).second_moment
    assert moment is not None  # it was asked for
    bits = np.linspace(low, high, 60)
    return bits, least_output_error(moment, bits)


@bench.per_model(st.cache_resource, show_spinner="Rounding column after column", max_entries=16)
def course(model_name: str, tensor: str, type_name: str) -> GptqCourse:
    """Let GPTQ and plain rounding store a matrix."""
    weights = bench.model(model_name).weights(tensor)
    return follow_gptq(weights, get_format(type_name), inputs(model_name, tensor))


@bench.per_model(st.cache_resource, show_spinner="Trying AWQ’s ratios", max_entries=32)
def ratios(model_name: str, tensor: str, type_name: str) -> ScaleSearch:
    """Try AWQ's ratios on a matrix."""
    weights = bench.model(model_name).weights(tensor)
    return AWQ().search(weights, get_format(type_name), inputs(model_name, tensor))


@bench.per_model(st.cache_resource, show_spinner="Turning the matrix", max_entries=16)
def turned(model_name: str, tensor: str) -> TurnedWeights:
    """Turn a matrix, and store it in two bits per weight in three ways."""
    return turned_weights(bench.model(model_name).weights(tensor))


@bench.per_model(st.cache_resource, show_spinner="Looking for the path", max_entries=64)
def walk(model_name: str, tensor: str, tile: int) -> Walk:
    """Follow a trellis through one of the runs of 256 weights that are kept."""
    return walk_through(turned(model_name, tensor).tiles[tile])


@bench.per_model(st.cache_resource, show_spinner="Storing the layer in every way", max_entries=64)
def with_outliers(model_name: str, tensor: str, settings: OutlierSettings) -> UnderOutliers:
    """Give a matrix outlier channels, and store it by formats and methods."""
    model = bench.model(model_name)
    weights = model.weights(tensor)
    factors = factors_of(model.config, settings, tensor, weights.shape)
    return under_outliers(weights, inputs(model_name, tensor), factors)


@bench.per_model(st.cache_resource, show_spinner="Comparing logits", max_entries=64)
def logits_moved(model_name: str, settings: OutlierSettings) -> tuple[float, int] | None:
    """Find the largest difference that outlier channels make to logits, and at how many tokens.

    None where the model is too large to be run for it.
    """
    model = bench.model(model_name)
    if model.n_weights > RUN_AT_MOST:
        return None
    _, text = texts.to_choose_by(texts.suited(model_name))
    n_tokens = min(LOGITS_OF, model.config.context_length)
    tokens = model.tokenizer.encode(text[: 40 * n_tokens])[:n_tokens]
    return logits_apart(model, model.with_outliers(settings), tokens), len(tokens)


def caches(model_name: str) -> tuple[CacheDrift, ...]:
    """Read what types of the KV cache cost a shipped model; nothing where it is not measured."""
    name = shipped_name(bench.model(model_name).path)
    if not name:
        return ()
    try:
        known = shipped.caches(name)
    except ModelError:
        return ()
    return () if known.stale else known.caches


def able(shape: tuple[int, ...], type_name: str) -> list[str]:
    """Name the methods that can store a matrix of this shape in a type."""
    return [name for name in BY if not _why_not(name, shape, type_name)]


def _why_not(name: str, shape: tuple[int, ...], type_name: str) -> str:
    try:
        get_method(name).check(shape, get_format(type_name))
    except ValueError as problem:
        return str(problem)
    return ""
