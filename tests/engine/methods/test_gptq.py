"""GPTQ beside its definition, its relatives, and rounding."""

import numpy as np
import pytest

from quantcore.evaluate.text import calibration_text, cut
from quantcore.formats import get_format
from quantcore.methods.columns.factor import damped, factored, order_of
from quantcore.methods.columns.pushing import push_through
from quantcore.methods.gptq import Gptq, prepare
from quantcore.methods.inputs.calibration import calibrate
from quantcore.methods.rtn import RoundToNearest
from quantcore.model.source import open_model
from tests.support.layers import grids_of, inputs_of, output_error, random_layer, weight_error
from tests.twins import naive_gptq

NATURAL = Gptq(order="natural")
WEIGHTS, ROWS = random_layer(16, 96)
INPUTS = inputs_of(ROWS)


@pytest.mark.parametrize("name", ["INT4_ROW", "INT3_ROW_ASYM", "INT2_ROW"])
def test_it_is_optimal_brain_quantization_column_by_column(name):
    fmt = get_format(name)
    found = NATURAL.choose(WEIGHTS, fmt, INPUTS)
    moment = damped(INPUTS.second_moment, 0.01).moment
    expected = naive_gptq.gptq(WEIGHTS, moment, grids_of(fmt, WEIGHTS))
    np.testing.assert_allclose(found.restored, expected, rtol=1e-5)


def test_it_is_ldlq_on_reversed_columns():
    fmt = get_format("INT3_ROW")
    found = NATURAL.choose(WEIGHTS[:, ::-1], fmt, inputs_of(ROWS[:, ::-1]))
    moment = damped(INPUTS.second_moment, 0.01).moment
    expected = naive_gptq.ldlq(WEIGHTS, moment, grids_of(fmt, WEIGHTS))
    np.testing.assert_allclose(found.restored[:, ::-1], expected, rtol=1e-5)


def test_reversed_it_is_babais_nearest_plane_and_within_its_bound():
    """Eight bits, so that nothing is cut off: the lattice has no end either."""
    weights, fmt = WEIGHTS[:, :40] * 0.5, get_format("INT8_ROW")
    inputs = inputs_of(ROWS[:, :40])
    moment = damped(inputs.second_moment, 0.01).moment
    found = NATURAL.choose(weights[:, ::-1], fmt, inputs_of(ROWS[:, :40][:, ::-1]))
    upper = np.linalg.cholesky(moment)  # rows: H = R R.T, so an error e has the length |e R|
    for row, restored, scale in zip(
        weights, found.restored[:, ::-1], found.packed.scales[:, 0].astype(np.float64), strict=True
    ):
        basis = scale * upper
        integers = naive_gptq.nearest_plane(row.astype(np.float64) @ upper, basis)
        np.testing.assert_array_equal(np.rint(restored / scale), integers)
        length = np.square((row - restored.astype(np.float64)) @ upper).sum()
        assert length <= scale**2 / 4 * np.square(np.diagonal(upper)).sum() * (1 + 1e-6)


@pytest.mark.parametrize("name", ["INT4_G32", "Q4_1", "NF4", "NVFP4", "INT2_ROW"])
@pytest.mark.parametrize("order", ["natural", "group", "act"])
def test_the_error_of_the_output_is_the_sum_of_losses(name, order):
    """tr(E H E.T) is what each column missed its aim by, squared, times D: reference's losses."""
    weights, rows = random_layer(8, 192, seed=1)
    method, fmt, inputs = Gptq(order=order), get_format(name), inputs_of(rows)
    task = prepare(method, weights, fmt, inputs)
    factor = factored(task.moment)
    pushed = push_through(task.weights, fmt, factor, task.plan)
    error = (weights - pushed.restored).astype(np.float64)
    moment = damped(inputs.second_moment, 0.01).moment
    missed = np.square((pushed.aimed - pushed.restored).astype(np.float64))
    losses = (missed[:, task.plan.order] * factor.diagonal).sum()
    assert losses == pytest.approx(((error @ moment) * error).sum(), rel=1e-5)


@pytest.mark.parametrize("name", ["INT4_G32_ASYM", "Q3_K", "IQ2_XS", "INT3_ROW"])
def test_results_do_not_depend_on_the_size_of_blocks(name):
    weights, rows = random_layer(8, 512, seed=2)
    small, large = (
        Gptq(block_size=size, damping=0.05).choose(weights, get_format(name), inputs_of(rows))
        for size in (32, 512)
    )
    assert np.mean(small.restored != large.restored) < 2e-3  # a tie that rounding tips over


def test_inputs_that_say_nothing_of_each_other_leave_rounding():
    alone = np.diag(np.float64([3, 1, 2, 5] * 24))
    inputs = inputs_of(ROWS)
    object.__setattr__(inputs, "second_moment", alone)
    for name in ("INT4_ROW", "INT4_G32_ASYM", "NF4"):
        if WEIGHTS.shape[1] % get_format(name).block_length(96) == 0:
            fmt = get_format(name)
            found = Gptq().choose(WEIGHTS, fmt, inputs)
            np.testing.assert_array_equal(found.restored, fmt.round_trip(WEIGHTS))


REAL = ("blk.3.attn_q.weight", "blk.5.ffn_down.weight")


@pytest.fixture(scope="module")
def real():
    model = open_model()
    tokens = cut(model, calibration_text()[:24000], 256).inputs
    inputs = calibrate(model, tokens, REAL, ("second_moment",))
    return {name: (model.weights(name)[:96], inputs[name]) for name in REAL}


@pytest.mark.parametrize(
    "name",
    ["INT4_G128", "INT3_G64", "INT3_ROW", "Q4_K", "Q3_K", "Q2_K", "IQ4_XS", "IQ2_XS", "IQ3_S",
     "IQ1_M", "MXFP4", "NF4"],
)  # fmt: skip
def test_outputs_of_real_layers_are_nearer_and_weights_further(name, real):
    fmt = get_format(name)
    for tensor, (weights, inputs) in real.items():
        plain = RoundToNearest(weighted=True).choose(weights, fmt, inputs).restored
        found = Gptq().choose(weights, fmt, inputs).restored
        moment = inputs.second_moment
        better = output_error(weights, found, moment) / output_error(weights, plain, moment)
        assert better < (0.8 if "ffn_down" in tensor else 0.75), tensor
        assert weight_error(weights, found) > 1.1 * weight_error(weights, plain), tensor


def test_orders_of_columns():
    diagonal = np.array([1.0, 5, 2, 2, 9, 0, 3, 4])
    assert order_of(diagonal, "natural", 4).tolist() == list(range(8))
    assert order_of(diagonal, "act", 4).tolist() == [4, 1, 7, 6, 2, 3, 0, 5]
    assert order_of(diagonal, "group", 4).tolist() == [4, 7, 6, 5, 1, 2, 3, 0]


def test_columns_without_input_become_zero_and_are_told_of():
    rows = ROWS.copy()
    rows[:, [4, 50]] = 0
    found = Gptq().choose(WEIGHTS, get_format("INT4_G32"), inputs_of(rows))
    assert (found.restored[:, [4, 50]] == 0).all() and (found.restored[:, 5] != 0).any()
    assert found.note.startswith("2 columns without input")


def test_what_does_not_suit_is_said():
    def refused(match, fmt="INT4_G32", inputs=INPUTS, weights=WEIGHTS, **settings):
        with pytest.raises(ValueError, match=match):
            Gptq(**settings).choose(weights, get_format(fmt), inputs)

    refused("multiple of 128", fmt="INT4_G128")
    refused("no scales", fmt="BF16")
    refused("order", fmt="IQ2_S", weights=random_layer(2, 256)[0], order="act")
    few = inputs_of(ROWS[:20])
    refused("singular.*Raise the damping", inputs=few, damping=0.0)
    Gptq().choose(WEIGHTS, get_format("INT4_G32"), few)  # damping is the way out
    refused("All inputs of this matrix are 0", inputs=inputs_of(0 * ROWS))
    rows = ROWS.copy()
    rows[3, 7] = np.nan
    refused("not finite", inputs=inputs_of(rows))
    bare = inputs_of(ROWS)
    object.__setattr__(bare, "second_moment", None)
    refused("calibrate this matrix", inputs=bare)
