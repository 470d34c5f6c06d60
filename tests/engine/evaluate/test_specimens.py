"""Blocks to be taken apart: those of a tensor, of a file, and those made up to teach something."""

import numpy as np
import pytest

from quantcore import open_model, plan
from quantcore.evaluate import specimens
from quantcore.formats import FORMATS, get_format
from quantcore.recipe.quantize import quantize

NAMES = ["F16", "Q8_0", "Q4_0", "Q4_K", "IQ2_XXS", "INT4_ROW", "INT4_G32_ASYM", "NF4"]


def test_a_block_of_a_tensor_is_what_the_tensor_holds_there():
    weights = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
    fmt = get_format("Q4_K")
    specimen = specimens.from_tensor(fmt, weights, fmt.quantize(weights), 2, 1)
    np.testing.assert_array_equal(specimen.weights, weights[2, 256:])
    np.testing.assert_array_equal(specimen.opened.restored, fmt.round_trip(weights)[2, 256:])
    assert (specimen.bits_per_weight, specimen.place) == (4.5, None)


def test_a_block_of_a_file_says_where_its_bytes_lie(tmp_path):
    model, path = open_model(), tmp_path / "small.gguf"
    quantize(model, plan(model, "Q4_0"), path)
    file, name = open_model(path), "blk.1.attn_q.weight"
    stored, weights = file.as_stored(name), file.weights(name)
    specimen = specimens.from_tensor(FORMATS["Q4_0"], weights, stored.packed(), 5, 3, stored)
    there = path.read_bytes()[specimen.place.start_byte :][: specimen.opened.packed.size]
    assert there == specimen.opened.packed.tobytes()
    assert (specimen.place.file, specimen.place.big_endian) == ("small.gguf", False)
    other = FORMATS["Q8_0"]  # in which the file does not hold it
    specimen = specimens.from_tensor(other, weights, other.quantize(weights), 5, 3, stored)
    assert specimen.place is None


@pytest.mark.parametrize("name", NAMES)
def test_examples_fill_a_block_of_every_kind_of_format(name):
    fmt = get_format(name)
    for specimen in (specimens.textbook(fmt), specimens.all_equal(fmt)):
        assert specimen.weights.size == specimen.opened.restored.size >= 1
        assert 0 < specimen.bits_per_weight <= 32
    assert set(specimens.all_equal(fmt).weights) == {0.5}
    assert 33 in specimens.textbook(fmt).weights


def test_the_textbooks_33_comes_back_as_32():
    specimen = specimens.textbook(get_format("Q4_0"))
    assert specimen.opened.restored[specimens.TEXTBOOK_WEIGHT] == 32
    assert abs(specimen.opened.parts[0].scale) == 16


@pytest.mark.parametrize("size", [1, 32])
def test_a_spoilt_block_has_one_outlier(size):
    weights = np.linspace(-1, 1, size, dtype=np.float32)
    before = weights.copy()
    specimen = specimens.spoilt(get_format("F16" if size == 1 else "Q4_0"), weights)
    changed = specimen.weights != before
    assert changed.sum() == 1
    assert specimen.weights[changed] == 8 * np.abs(before).max()
    np.testing.assert_array_equal(weights, before)
