"""Where weights land on a grid: as a format stores them, and on a grid turned by hand."""

import numpy as np
import pytest

from quantcore.evaluate.by_hand import EvenGrid
from quantcore.evaluate.landing import Landing, as_stored, on_grid
from quantcore.formats import get_format


def test_on_the_textbooks_grid():
    grid = EvenGrid(scale=16.0, zero_point=8, n_values=16)
    landing = on_grid(grid, np.float32([33, 500, 0]), first_weight=7)
    assert landing.restored.tolist() == [32, 112, 0]
    assert (landing.codes + landing.first_code).tolist() == [2, 7, 0]
    assert (landing.step, landing.worst, landing.first_weight) == (16, 1, 7)
    assert landing.error.tolist() == [-1, -388, 0]
    assert landing.error_steps.tolist() == [1 / 16, 388 / 16, 0]
    assert landing.rms_error == pytest.approx(grid.rms_error(landing.values))


@pytest.mark.parametrize("name, part", [("Q4_0", 0), ("Q4_K", 5), ("IQ4_NL", 0), ("INT4_ROW", 0)])
def test_as_a_format_stores_them(name, part):
    weights = np.random.default_rng(1).normal(size=256).astype(np.float32)
    fmt = get_format(name)
    opened = fmt.open_block(fmt.quantize(weights[None]), 0, 0)
    landing = as_stored(weights, opened, part, even=fmt.family != "uneven")
    np.testing.assert_array_equal(landing.restored, landing.grid[landing.codes])
    where = slice(landing.first_weight, landing.first_weight + landing.values.size)
    np.testing.assert_array_equal(landing.values, weights[where])
    np.testing.assert_array_equal(landing.error, opened.restored[where] - weights[where])
    assert bool(landing.step) == (name != "IQ4_NL")
    if landing.step:
        assert landing.error_steps.max() == np.abs(landing.error).max() / landing.step


def test_a_grid_of_one_value_has_no_step():
    zeros = np.zeros(3, np.float32)
    landing = Landing(values=zeros, codes=zeros.astype(np.int32), restored=zeros, grid=zeros[:1])
    assert (landing.step, landing.rms_error) == (0, 0)
    assert landing.error_steps.tolist() == [0, 0, 0]
