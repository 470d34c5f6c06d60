"""Outlier channels on one matrix: what is computed of them is what the changed model has."""

from dataclasses import replace

import numpy as np
import pytest

from quantcore import open_model
from quantcore.evaluate.outlier_errors import Way, inputs_under, logits_apart, under_outliers
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.text import calibration_text, cut
from quantcore.formats import get_format
from quantcore.methods.inputs.calibration import calibrate
from quantcore.methods.method import LayerInputs
from quantcore.model.activations import rounded
from quantcore.model.outliers.columns import MatrixFactors, factors_of, place_before
from quantcore.model.outliers.direction import principal_direction
from quantcore.model.outliers.settings import LLAMA_3_8B, Channels, OutlierSettings

NAMES = [f"blk.0.{role}.weight" for role in ("attn_k", "attn_output", "ffn_up", "ffn_down")]
PLAIN = Way("INT8_ROW", inputs="INT8_TOKEN")
SMOOTH = Way("INT8_ROW", "smoothquant", "INT8_TOKEN")


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def tokens(model):
    return cut(model, calibration_text(), 64, at_most=128).inputs


@pytest.mark.parametrize("settings", [LLAMA_3_8B, OutlierSettings.everywhere(3, 40.0, 0.5, 7)])
def test_inputs_are_those_that_a_calibration_of_the_changed_model_measures(model, tokens, settings):
    changed = model.with_outliers(settings)
    wanted = {"second_moment", "rows"}
    before, after = (calibrate(each, tokens, NAMES, wanted) for each in (model, changed))
    for name in NAMES:
        weights = model.weights(name)
        factors = factors_of(model.config, settings, name, weights.shape)
        assert not np.array_equal(weights, changed.weights(name))
        assert np.array_equal(factors.on(weights), changed.weights(name))
        assert np.array_equal(factors.off(changed.weights(name)), weights)
        found, measured = inputs_under(before[name], factors), after[name]
        for what in ("mean_square", "mean_abs", "largest", "second_moment", "rows"):
            ours, theirs = getattr(found, what), getattr(measured, what)
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).min())


def test_logits_are_equal_to_the_bit_unless_states_are_rotated(model, tokens):
    few = tokens[0][:16]
    assert logits_apart(model, model.with_outliers(LLAMA_3_8B), few) == 0
    direction = principal_direction(llama_of(model), tokens[:1])
    rotated = model.with_outliers(OutlierSettings(rotated=True), direction)
    assert 0 < logits_apart(model, rotated, few) < 1e-3


@pytest.fixture(scope="module")
def matrix():
    """Weights (32, 256), and inputs whose second moment is that of the rows."""
    draw = np.random.default_rng(3)
    rows = draw.standard_normal((96, 256)).astype(np.float32) * np.exp(draw.standard_normal(256))
    rows = rows.astype(np.float32)
    inputs = LayerInputs(
        n_tokens=96,
        mean_square=np.square(rows).mean(0),
        mean_abs=np.abs(rows).mean(0),
        largest=np.abs(rows).max(0),
        second_moment=rows.T.astype(np.float64) @ rows / 96,
        rows=rows,
    )
    return draw.standard_normal((32, 256)).astype(np.float32), inputs


def _factors(at_rows=(), at_columns=(), by=64.0):
    rows, columns = np.ones(32), np.ones(256)
    rows[list(at_rows)], columns[list(at_columns)] = by, by
    return MatrixFactors(rows=rows, columns=columns)


@pytest.mark.parametrize("way", [Way("INT8_TENSOR"), Way("Q4_K"), PLAIN])
def test_errors_are_those_of_the_changed_layer_in_units_of_the_original(matrix, way):
    weights, inputs = matrix
    factors = _factors(at_rows=(3, 9), at_columns=(5, 200))
    there = weights * factors.rows[:, None] * factors.columns
    restored = get_format(way.type).round_trip(there.astype(np.float32)).astype(np.float64)
    given = rounded((inputs.rows / factors.columns).astype(np.float32), way.inputs)
    output, wanted = given @ restored.T / factors.rows, inputs.rows.astype(np.float64) @ weights.T
    error = np.linalg.norm(output - wanted) / np.linalg.norm(wanted)
    assert under_outliers(weights, inputs, factors).errors[way] == pytest.approx(error, rel=1e-4)


def test_each_scale_stops_what_it_is_for(matrix):
    """By the definitions: rows have scales of their own, and SmoothQuant takes factors up."""
    none, loud_rows, loud_weights, loud_inputs = (
        under_outliers(*matrix, factors).errors
        for factors in (
            _factors(),
            _factors(at_rows=(3,)),
            _factors(at_columns=(5, 200)),
            _factors(at_columns=(5, 200), by=1 / 64),
        )
    )
    by_row, by_tensor = Way("INT8_ROW"), Way("INT8_TENSOR")
    assert loud_rows[by_row] == pytest.approx(none[by_row], rel=1e-6)
    assert loud_rows[by_tensor] > 10 * none[by_tensor]
    for loud in (loud_weights, loud_inputs):
        assert loud[SMOOTH] == pytest.approx(none[SMOOTH], rel=1e-3)
        assert loud[PLAIN] > 3 * none[PLAIN]
    turned = Way("INT8_ROW", "rotation", "INT8_TOKEN")
    assert loud_inputs[turned] < loud_inputs[PLAIN]


def test_columns_belong_to_what_stands_before_them():
    assert place_before("blk.0.ffn_down.weight") == "inner"
    assert place_before("blk.0.attn_output.weight") == "values"
    assert place_before("output.weight") == place_before("blk.7.ffn_gate.weight") == "norms"


def test_what_cannot_be_is_refused(model, matrix):
    weights, inputs = matrix
    name = NAMES[0]
    with pytest.raises(ValueError, match="mix columns"):
        factors_of(model.config, OutlierSettings(rotated=True), name, (128, 256))
    with pytest.raises(ValueError, match="choose 256 or fewer"):
        factors_of(model.config, OutlierSettings(norms=Channels(n=257)), name, (128, 256))
    with pytest.raises(ValueError, match="calibrate with both"):
        under_outliers(weights, replace(inputs, rows=None), _factors())
    short = under_outliers(weights[:, :200], _cut(inputs, 200), _cut_factors(200))
    assert not any(way.type in ("Q4_K", "INT4_G128_ASYM") for way in short.errors)


def _cut(inputs, n):
    return replace(
        inputs,
        mean_square=inputs.mean_square[:n],
        mean_abs=inputs.mean_abs[:n],
        largest=inputs.largest[:n],
        second_moment=inputs.second_moment[:n, :n],
        rows=inputs.rows[:, :n],
    )


def _cut_factors(n):
    return MatrixFactors(rows=np.ones(32), columns=np.ones(n))
