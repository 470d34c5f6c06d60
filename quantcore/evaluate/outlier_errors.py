"""What outlier channels do to formats and methods, on one matrix.

The model computes the same with outlier channels and without, so what a layer's output misses can
be set side by side: factors of rows are taken off before errors are measured, as the next matrix
does. Errors are the root of the squared errors' sum over the squares' sum, of outputs:

    of rounded weights          over all tokens that the inputs were measured on
    of rounded inputs as well   over the inputs that were kept, `LayerInputs.rows`
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from quantcore.evaluate.by_method import relative_error
from quantcore.evaluate.quantized import llama_of
from quantcore.format import Weights
from quantcore.formats import get_format
from quantcore.methods import METHODS
from quantcore.methods.method import Chosen, LayerInputs
from quantcore.model.activations import rounded
from quantcore.model.outliers.columns import MatrixFactors
from quantcore.model.source import Model

SMALLEST = 1e-30  # of a median, where most columns are zero


@dataclass(frozen=True, slots=True)
class Way:
    """A way to store a matrix: a format, a method, and what its inputs are rounded to."""

    type: str
    by: str = "rtn"  # of `METHODS`
    inputs: str = "F32"  # a kind of `quantcore.model.activations.rounded`

    @property
    def rounds_inputs(self) -> bool:
        """Whether inputs are in eight bits as well."""
        return self.inputs != "F32"


WAYS = (
    Way("INT8_TENSOR"),
    Way("INT8_ROW"),
    Way("Q4_K"),
    *(Way("INT4_G128_ASYM", by) for by in ("rtn", "awq", "rotation", "gptq")),
    Way("INT8_ROW", inputs="INT8_TOKEN"),
    Way("INT8_ROW", "smoothquant", "INT8_TOKEN"),
    Way("INT8_ROW", "llm_int8", "INT8_OUTLIERS"),
    Way("INT8_ROW", "rotation", "INT8_TOKEN"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnderOutliers:
    """A matrix with its outlier channels."""

    errors: dict[Way, float]  # of the output; without the ways that do not suit its shape
    largest_weight: Weights  # (n_cols,), of the absolute weights of each column
    largest_input: Weights  # (n_cols,)

    @property
    def weight_reach(self) -> float:
        """Largest weight over that of the median column."""
        return _reach(self.largest_weight)

    @property
    def input_reach(self) -> float:
        """Largest input over that of the median column."""
        return _reach(self.largest_input)


def _reach(largest: Weights) -> float:
    return float(largest.max() / max(np.median(largest), SMALLEST))


def under_outliers(weights: Weights, inputs: LayerInputs, factors: MatrixFactors) -> UnderOutliers:
    """Give a matrix (n_rows, n_cols) its factors, and store it in every way.

    Parameters
    ----------
    inputs
        Of the matrix as it is, with the second moment and rows.

    Raises
    ------
    ValueError
        If either is missing.
    """
    if inputs.second_moment is None or inputs.rows is None:
        raise ValueError("Second moment and rows of the inputs are needed: calibrate with both.")
    changed, theirs = factors.on(weights), inputs_under(inputs, factors)
    errors = {}
    for way in WAYS:
        method, fmt = METHODS[way.by], get_format(way.type)
        try:
            method.check(weights.shape, fmt)
        except ValueError:
            continue
        chosen = method.choose(changed, fmt, theirs)
        if way.rounds_inputs:
            errors[way] = _error_of_both(weights, inputs.rows, chosen, way.inputs, factors)
        else:
            restored = factors.off(chosen.restored)
            errors[way] = relative_error(weights, restored, inputs.second_moment)
    return UnderOutliers(
        errors=errors,
        largest_weight=np.abs(changed).max(axis=0),
        largest_input=theirs.largest,
    )


def _error_of_both(
    weights: Weights, rows: Weights, chosen: Chosen, kind: str, factors: MatrixFactors
) -> float:
    """Measure the output of rounded weights on rounded inputs, in the units of the original's."""
    columns = factors.columns.astype(np.float32)
    scales = np.float32(1) if chosen.column_scales is None else chosen.column_scales
    given = rows / columns / scales
    if chosen.rotation is None:
        given = rounded(given, kind)
    else:
        turned = chosen.rotation.columns
        given = turned.rotate_back(rounded(turned.rotate(given), kind))
    output = given @ (chosen.restored * scales).T
    output /= factors.rows.astype(np.float32)
    return relative_error(rows @ weights.T, output, None)


def inputs_under(inputs: LayerInputs, factors: MatrixFactors) -> LayerInputs:
    """Say what inputs are like once the columns that read them have factors; exactly."""
    wide = 1 / factors.columns
    narrow = wide.astype(np.float32)
    moment, rows = inputs.second_moment, inputs.rows
    return replace(
        inputs,
        mean_square=inputs.mean_square * narrow**2,
        mean_abs=inputs.mean_abs * narrow,
        largest=inputs.largest * narrow,
        second_moment=None if moment is None else moment * np.outer(wide, wide),
        rows=None if rows is None else rows * narrow,
        cross_moment=None,
    )


def logits_apart(one: Model, two: Model, tokens: ArrayLike) -> float:
    """Find the largest difference between the logits of two models, at every token of (n,)."""
    ours, theirs = (llama_of(model).logits(np.asarray(tokens)) for model in (one, two))
    return float(np.abs(ours - theirs).max())
