"""Several methods on one matrix: how far its weights are, and how far its outputs."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.text import calibration_tokens
from quantcore.format import Format, Weights
from quantcore.methods import get_method
from quantcore.methods.inputs.calibration import ByTensor, calibration_steps, place_of
from quantcore.methods.method import LayerInputs, Method, Statistic
from quantcore.model.source import Model
from quantcore.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodResult:
    """What one method made of a matrix."""

    by: str
    type: str  # what it is stored as, which may not be what was asked for
    bits_per_weight: float  # with all that is stored
    weight_error: float  # root of the squared errors over the squared weights
    output_error: float  # the same of outputs, over all inputs of the calibration text
    seconds: float  # that choosing took
    note: str  # what to know besides; "" for nothing
    restored: Weights  # (n_rows, n_cols)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodComparison:
    """Methods side by side on one matrix."""

    model: str
    tensor: str
    calibration_tokens: int
    original: Weights  # (n_rows, n_cols)
    second_moment: NDArray[np.float64]  # (n_cols, n_cols), mean of x x.T; no damping
    results: tuple[MethodResult, ...]


def compare_methods_steps(
    model: Model,
    tensor: str,
    fmt: Format,
    by: Sequence[str],
    text: str | None = None,
    context: int | None = None,
) -> Iterator[Progress[MethodComparison]]:
    """Store a matrix in a format by several methods; the last step carries the comparison.

    Parameters
    ----------
    by
        Names of methods, as `quantcore.methods.METHODS` has them.
    text
        What the matrix is calibrated on, by default the calibration text that ships with the lab.
    context
        Tokens a chunk; by default as many of the usual as the text fills.

    Raises
    ------
    ValueError
        If a method, matrix or text does not suit; before any work, as far as can be told.
    """
    methods = [get_method(name) for name in dict.fromkeys(by)]
    place_of(model.config, tensor)  # refuses what is no matrix with inputs
    for method in methods:
        _check(method, model.tensors[tensor].shape, fmt)
    tokens = calibration_tokens(model, text, context)
    wanted: set[Statistic] = {"second_moment"}
    wanted.update(*(method.needs for method in methods))
    measuring = calibration_steps(model, tokens, [tensor], wanted - {"cross_moment"})
    return _steps(model, tensor, fmt, methods, measuring)


def _check(method: Method, shape: tuple[int, ...], fmt: Format) -> None:
    try:
        method.check(shape, fmt)
    except ValueError as problem:
        raise ValueError(f"{method.name}: {problem}") from problem


def _steps(
    model: Model,
    tensor: str,
    fmt: Format,
    methods: Sequence[Method],
    measuring: Iterator[Progress[ByTensor]],
) -> Iterator[Progress[MethodComparison]]:
    inputs = None
    for step in measuring:
        inputs = step.result
        yield Progress(step.share / 2, f"calibrating, {step.stage}")
    assert inputs is not None  # of the last step
    given, weights, results = inputs[tensor], model.weights(tensor), []
    for i, method in enumerate(methods):
        yield Progress(0.5 + i / len(methods) / 2, method.title)
        results.append(method_result(method, weights, fmt, given))
    assert given.second_moment is not None  # as was asked for
    comparison = MethodComparison(
        model=model.name,
        tensor=tensor,
        calibration_tokens=given.n_tokens,
        original=weights,
        second_moment=given.second_moment,
        results=tuple(results),
    )
    yield Progress(1.0, "done", comparison)


def method_result(
    method: Method, weights: Weights, fmt: Format, given: LayerInputs
) -> MethodResult:
    """Let a method choose codes for a matrix, whose second moment is given, and measure them."""
    inputs, note = given, ""
    if "cross_moment" in method.needs:
        inputs = replace(given, cross_moment=given.second_moment)
        note = "No other matrix is quantized here, so inputs have not drifted."
    fmt.round_trip(weights[:1], importance=given.mean_square)  # compiles what is not yet
    start = time.perf_counter()
    chosen = method.choose(weights, fmt, inputs)
    seconds = time.perf_counter() - start
    assert given.second_moment is not None
    return MethodResult(
        by=method.name,
        type=chosen.format.name,
        bits_per_weight=8 * chosen.stored_bytes / weights.size,
        weight_error=relative_error(weights, chosen.restored, None),
        output_error=relative_error(weights, chosen.restored, given.second_moment),
        seconds=seconds,
        note=" ".join(filter(None, [chosen.note, note])),
        restored=chosen.restored,
    )


def relative_error(
    weights: Weights, restored: Weights, moment: NDArray[np.float64] | None
) -> float:
    """Root of the squared errors' sum over the squares' sum, of weights or of their outputs."""
    wide = weights.astype(np.float64)
    error = restored - wide
    noise, signal = (
        float(np.vdot(each if moment is None else each @ moment, each)) for each in (error, wide)
    )
    if noise <= 0:
        return 0.0
    return math.sqrt(noise / signal) if signal > 0 else math.inf
