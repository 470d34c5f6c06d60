"""What scales cost, and how they differ over a tensor."""

import numpy as np
import pytest

from quantcore.evaluate.scale_cost import (
    fits,
    largest_to_median,
    merged,
    rivals_of,
    scale_bits,
    stripes,
)
from quantcore.formats import get_format

SHAPE = (64, 256)


@pytest.mark.parametrize(
    "name, bits",
    [
        ("F32", 0),
        ("Q8_0", 0.5),
        ("Q4_1", 1),
        ("Q4_K", 0.5),
        ("INT4_G32", 0.5),
        ("INT4_G32_ASYM", 0.625),
        ("INT4_ROW", 16 / 256),
        ("INT4_TENSOR", 16 / 64 / 256),
    ],
)
def test_bits_for_scales_by_hand(name, bits):
    assert scale_bits(get_format(name), SHAPE) == bits


@pytest.mark.parametrize("name", ["Q4_K", "INT3_G128", "F16", "TQ1_0", "IQ2_XXS"])
def test_rivals_have_codes_of_as_many_bits(name):
    fmt = get_format(name)
    names = [rival.name for rival in rivals_of(fmt, SHAPE)]
    bits = max(2, min(8, fmt.code_bits))
    assert names[0] == f"INT{bits}_TENSOR" and f"INT{bits}_G16" in names
    assert f"INT{bits}_G256" not in names  # that is the row
    assert (name in names) == (name != "F16")
    assert len(set(names)) == len(names)
    assert {rival.code_bits for rival in rivals_of(fmt, SHAPE) if rival is not fmt} == {bits}


def test_rivals_are_those_that_can_store_the_tensor():
    names = [rival.name for rival in rivals_of(get_format("Q4_0"), (8, 96))]
    assert {"INT4_G32", "Q4_0", "Q4_1"} <= set(names)
    assert not {"Q4_K", "INT4_G128", "INT4_G64"} & set(names)
    assert fits(get_format("Q4_0"), (8, 96)) and not fits(get_format("Q4_K"), (8, 96))


def test_neighbours_are_merged_without_losing_the_largest():
    sizes = np.random.default_rng(0).random((700, 30))
    cells, rows, columns = merged(sizes, 256)
    assert cells.shape == (rows.size, columns.size) == (234, 30)
    row, column = np.unravel_index(sizes.argmax(), sizes.shape)
    assert cells[row // 3, column] == sizes.max() == cells.max()
    assert rows[row // 3] <= row < rows[row // 3] + 3


def test_stripes_are_told_from_chance():
    noise = 1 + 0.1 * np.random.default_rng(1).random((40, 50))
    assert stripes(noise) is None
    assert stripes(np.ones((4, 4))) is None
    assert stripes(noise + np.arange(40)[:, None]) == "rows"
    assert stripes(noise + np.arange(50)) == "columns"


def test_half_of_the_scales_may_be_zero():
    assert largest_to_median(np.array([0.0, 0.0, 3.0])) == 0
    assert largest_to_median(np.array([2.0, 1.0, 2.0])) == 1
