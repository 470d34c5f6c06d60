"""Rounding by hand: the textbook's numbers, and the search for the best grid."""

import numpy as np
import pytest

from quantcore.evaluate.by_hand import EvenGrid, best_turn, grid_of
from quantcore.formats import get_format

TEXTBOOK = EvenGrid(scale=16.0, zero_point=8, n_values=16)


def test_the_textbooks_example():
    (place,) = TEXTBOOK.nearest(np.array([33.0]))
    assert place - 8 == 2
    assert TEXTBOOK.values[place] == 32


def test_beyond_the_ends_weights_are_cut_off():
    values = np.array([-1000.0, 1000.0])
    assert TEXTBOOK.values[TEXTBOOK.nearest(values)].tolist() == [-128, 112]
    assert TEXTBOOK.rms_error(np.array([120.0])) == 8


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_other_bits_keep_the_range(bits):
    narrow = TEXTBOOK.with_bits(bits)
    assert narrow.n_values == 2**bits
    assert narrow.values[0] == TEXTBOOK.values[0]
    assert 0 in narrow.values
    odd = EvenGrid(scale=1.0, zero_point=7, n_values=15).with_bits(bits)
    assert odd.values[[0, -1]] == pytest.approx([-7, 7])
    offset = EvenGrid(scale=0.5, zero_point=-2, n_values=16).with_bits(bits)
    assert offset.values[[0, -1]] == pytest.approx([1, 8.5])


def test_an_error_is_at_most_half_a_step_within_the_range():
    values = np.random.default_rng(1).uniform(-128, 112, 1000)
    error = TEXTBOOK.values[TEXTBOOK.nearest(values)] - values
    assert np.abs(error).max() <= 8


def test_the_best_turn_is_the_least_of_all():
    values = np.random.default_rng(2).normal(size=32)
    grid = EvenGrid(scale=0.5, zero_point=8, n_values=16)
    percents, shifts = range(40, 161, 5), [-1.0, 0.0, 0.5]
    error, percent, shift = best_turn(values, grid, percents, shifts)
    assert error == min(grid.turned(p, s).rms_error(values) for p in percents for s in shifts)
    assert grid.turned(percent, shift).rms_error(values) == error
    assert best_turn(grid.values, grid, percents, shifts) == (0, 100, 0)


@pytest.mark.parametrize(
    "name", ["Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q4_K", "Q3_K", "Q6_K", "INT4_G32"]
)
def test_a_formats_grid_is_read_back(name):
    weights = np.random.default_rng(3).normal(size=(1, 256)).astype(np.float32)
    fmt = get_format(name)
    block = fmt.open_block(fmt.quantize(weights), 0, 0)
    for part in block.parts:
        grid = grid_of(part, block.first_code)
        np.testing.assert_allclose(grid.values, part.grid, rtol=1e-4, atol=1e-6)
