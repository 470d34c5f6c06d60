"""Weights that lie on a grid: it is found where there is one, and nowhere else."""

import numpy as np
import pytest

from quantcore.formats import get_format
from quantcore.methods.grid.found_grid import find_grid
from quantcore.methods.grid.grid_steps import rounded_to, stored_type
from quantcore.methods.method import LayerInputs
from quantcore.methods.own_grid import OwnGrid, packed_on, type_for
from quantcore.model.source import open_model

RNG = np.random.default_rng(21)
NORMAL = RNG.normal(0, 0.02, (64, 512)).astype(np.float32)
STORED = pytest.mark.parametrize("stored", ["F32", "F16", "BF16"])


def inputs(n_cols):
    some = np.ones(n_cols, np.float32)
    return LayerInputs(n_tokens=1, mean_square=some, mean_abs=some, largest=some)


def ternary(weights):
    """BitNet b1.58's: the mean magnitude of the tensor, and codes -1, 0 and 1."""
    step = np.float32(np.float16(np.abs(weights).mean()))
    return np.clip(np.rint(weights / step), -1, 1) * step


@STORED
@pytest.mark.parametrize(
    ("name", "length", "codes"),
    [
        ("Q4_0", 32, (-8, 7)),
        ("Q8_0", 32, (-127, 127)),
        ("INT4_G32", 32, (-7, 7)),
        ("INT3_G128", 128, (-3, 3)),
        ("INT4_ROW", 512, (-7, 7)),
    ],
)
def test_the_grid_of_a_type_is_found(name, length, codes, stored):
    given = rounded_to(get_format(name).round_trip(NORMAL), stored)
    grid = find_grid(given)
    assert (grid.stored, grid.block_length, grid.whole_tensor) == (stored, length, False)
    assert (grid.lowest, grid.highest) == codes
    assert grid.n_points == codes[1] - codes[0] + 1
    exact = (rounded_to(grid.restored, stored) == given).mean()
    assert exact == 1 or (name == "Q8_0" and stored == "BF16" and exact > 0.999)
    if exact == 1:
        assert type_for(grid) == ("Q4_0" if name == "INT4_G32" else name) or name == "INT4_G32"


@STORED
def test_ternary_weights(stored):
    given = rounded_to(ternary(NORMAL), stored)
    grid = find_grid(given)
    assert grid.whole_tensor and grid.block_length == 512
    assert (grid.lowest, grid.highest, grid.n_points) == (-1, 1, 3)
    assert type_for(grid) in ("TQ2_0", "INT2_TENSOR")


@STORED
@pytest.mark.parametrize("scale", [1e-4, 0.02, 1.0])
def test_ordinary_weights_lie_on_no_grid(stored, scale):
    for draw in (RNG.standard_normal, lambda shape: RNG.standard_t(3, shape)):
        weights = rounded_to((draw((64, 512)) * scale).astype(np.float32), stored)
        assert stored_type(weights) == stored
        assert find_grid(weights) is None


def test_a_few_ordinary_weights_lie_on_no_grid_either():
    for shape in ((1, 16), (1, 32), (3, 40), (2, 5)):
        for stored in ("F32", "F16", "BF16"):
            for _ in range(2):
                weights = rounded_to(RNG.normal(0, 0.02, shape).astype(np.float32), stored)
                assert find_grid(weights) is None


def test_the_shipped_model_lies_on_none():
    model = open_model()
    for name in model.quantizable[::5]:
        assert find_grid(model.weights(name)) is None, name


def test_zeros_and_scales_without_a_grid():
    assert find_grid(np.zeros((4, 64), np.float32)) is None  # nothing to be found
    assert find_grid(get_format("NF4").round_trip(NORMAL)) is None
    assert find_grid(get_format("Q4_K").round_trip(NORMAL)) is None  # minima are no multiples
    spoilt = get_format("Q4_0").round_trip(NORMAL)
    spoilt[3, 100] *= 1.1037
    assert find_grid(spoilt) is None


@STORED
@pytest.mark.parametrize("name", ["Q4_0", "INT4_G32", "INT4_ROW"])
def test_nothing_is_lost_on_the_own_grid(name, stored):
    fmt = get_format(name)
    given = rounded_to(fmt.round_trip(NORMAL), stored)
    chosen = OwnGrid().choose(given, fmt, inputs(512))
    np.testing.assert_array_equal(rounded_to(chosen.restored, stored), given)
    np.testing.assert_array_equal(fmt.dequantize(chosen.packed), chosen.restored)
    assert "all weights are as in the file" in chosen.note
    assert chosen.stored_bytes == fmt.stored_bytes(given.shape)


def test_rounding_again_loses_what_training_bought():
    """Trained codes need not reach the end of their range; a type's rule makes them."""
    codes = np.clip(np.rint(RNG.normal(0, 2.2, (64, 512))), -6, 7)  # -8 is not there
    steps = np.repeat(RNG.uniform(0.01, 0.02, (64, 16)).astype(np.float16), 32, axis=1)
    weights = (codes * steps.astype(np.float32)).astype(np.float32)
    fmt = get_format("Q4_0")
    plain = np.square(fmt.round_trip(weights) - weights).sum()
    assert plain > 1e-3 * np.square(weights).sum()
    np.testing.assert_array_equal(OwnGrid().choose(weights, fmt, inputs(512)).restored, weights)


def test_a_grid_goes_into_finer_types():
    given = get_format("INT3_G128").round_trip(NORMAL)
    for name in ("INT4_G32", "Q4_0", "Q8_0", "INT8_G64"):
        np.testing.assert_array_equal(
            OwnGrid().choose(given, get_format(name), inputs(512)).restored, given
        )
    assert packed_on(find_grid(given), get_format("INT3_G256")) is None


def test_bad_input_gets_a_sentence():
    with pytest.raises(ValueError, match="are not on a grid: round them to nearest"):
        OwnGrid().choose(NORMAL, get_format("Q4_0"), inputs(512))
    with pytest.raises(ValueError, match="Q4_K cannot be given a grid: take TQ2_0, Q4_0"):
        OwnGrid().check((64, 512), get_format("Q4_K"))
    given = get_format("Q8_0").round_trip(NORMAL)
    with pytest.raises(ValueError, match=r"codes -127 to 127 in blocks of 32: take Q8_0"):
        OwnGrid().choose(given, get_format("Q4_0"), inputs(512))
    given[2, 3] = np.inf
    with pytest.raises(ValueError, match=r"Own grid cannot store inf .row 2, column 3"):
        OwnGrid().choose(given, get_format("Q8_0"), inputs(512))
