"""GPTAQ and Qronos beside their definitions, and beside GPTQ, where inputs have drifted."""

import numpy as np
import pytest

from quantcore.formats import get_format
from quantcore.methods.columns.factor import damped
from quantcore.methods.gptaq import Gptaq
from quantcore.methods.gptq import Gptq
from quantcore.methods.qronos import Qronos
from tests.support.layers import grids_of, inputs_of, random_layer
from tests.twins import naive_gptq

WEIGHTS, ORIGINAL = random_layer(16, 96, seed=8)
RNG = np.random.default_rng(9)
TURN = np.eye(96) + RNG.normal(0, 0.03, (96, 96))  # what earlier layers have got wrong
DRIFTED = (ORIGINAL @ TURN + RNG.normal(0, 0.05, ORIGINAL.shape)).astype(np.float32)
INPUTS = inputs_of(DRIFTED, ORIGINAL)


def wrong(restored):
    """Relative error of outputs against those of the original model."""
    wanted = ORIGINAL.astype(np.float64) @ WEIGHTS.T
    return np.linalg.norm(DRIFTED.astype(np.float64) @ restored.T - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["INT4_G32", "Q4_1", "NF4", "IQ2_XS", "Q3_K"])
def test_without_drift_gptaq_is_gptq_code_for_code(name):
    fmt = get_format(name)
    weights, rows = random_layer(8, 256)
    inputs = inputs_of(rows, rows)
    plain, found = Gptq().choose(weights, fmt, inputs), Gptaq().choose(weights, fmt, inputs)
    np.testing.assert_array_equal(plain.restored, found.restored)


@pytest.mark.parametrize("name", ["INT4_ROW", "INT3_ROW_ASYM"])
def test_gptaq_is_its_definition(name):
    fmt = get_format(name)
    found = Gptaq(order="natural", block_size=32).choose(WEIGHTS, fmt, INPUTS)
    moment, drift = INPUTS.second_moment, INPUTS.cross_moment - INPUTS.second_moment
    expected = naive_gptq.gptaq(
        WEIGHTS, damped(moment, 0.01).moment, drift, 0.25, grids_of(fmt, WEIGHTS)
    )
    np.testing.assert_allclose(found.restored, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["INT4_ROW", "INT3_ROW_ASYM"])
def test_qronos_is_its_definition(name):
    fmt = get_format(name)
    found = Qronos(order="natural", damping=1e-4).choose(WEIGHTS, fmt, INPUTS)
    moment = INPUTS.second_moment
    added = 1e-4 * np.linalg.norm(moment, 2)
    expected = naive_gptq.qronos(
        WEIGHTS, moment, INPUTS.cross_moment, added, grids_of(fmt, WEIGHTS)
    )
    np.testing.assert_allclose(found.restored, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["INT4_G32", "INT3_G32_ASYM", "Q4_0"])
def test_outputs_are_nearer_to_the_originals(name):
    fmt = get_format(name)
    plain, share, whole = (
        wrong(method.choose(WEIGHTS, fmt, INPUTS).restored)
        for method in (Gptq(), Gptaq(), Qronos())
    )
    assert whole < share < plain


def test_inputs_of_both_models_are_asked_for():
    for method in (Gptaq(), Qronos()):
        with pytest.raises(ValueError, match="beside those of the quantized one"):
            method.choose(WEIGHTS, get_format("INT4_G32"), inputs_of(DRIFTED))
