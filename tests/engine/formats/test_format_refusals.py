"""Formats: bad input gets one sentence that says what is wrong, and where."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from quantcore import FORMATS, get_format
from quantcore.formats import OUTSIDE_GGUF
from tests.support.with_matrix import quantized, round_trip

INTEGERS = [get_format(name) for name in ("INT8_TENSOR", "INT4_ROW", "INT4_G32_ASYM")]
EVERY = [*FORMATS.values(), *OUTSIDE_GGUF.values(), *INTEGERS]
CUT = [fmt for fmt in EVERY if 1 < fmt.block_length(512) < 512]  # into blocks or groups
ALL = pytest.mark.parametrize("fmt", EVERY, ids=lambda fmt: fmt.name)
WEIGHTS = np.linspace(-1, 1, 3 * 512, dtype=np.float32).reshape(3, 512)


@ALL
def test_a_weight_that_is_no_number(fmt):
    for bad, place in product([np.nan, np.inf, -np.inf], [(0, 0), (1, 300), (2, 511)]):
        weights = WEIGHTS.copy()
        weights[place] = bad
        with pytest.raises(ValueError, match=rf"{bad} \(row {place[0]}, column {place[1]}\)"):
            quantized(fmt, weights)


@ALL
def test_the_first_bad_weight_is_named(fmt):
    weights = np.resize(WEIGHTS, (600, 512))  # enough for several threads
    weights[[100, 599], [7, 0]] = np.nan
    with pytest.raises(ValueError, match="row 100, column 7"):
        quantized(fmt, weights)


@ALL
def test_nothing_to_store(fmt, subtests):
    for shape in ((0, 512), (3, 0), ()):
        with subtests.test(shape=shape):
            with pytest.raises(ValueError, match="at least one row"):
                quantized(fmt, np.zeros(shape, np.float32))
            with pytest.raises(ValueError, match="at least one row"):
                fmt.stored_bytes(shape)


@ALL
def test_anything_but_floats(fmt):
    for dtype in (np.int8, np.int64, bool, complex):
        with pytest.raises(ValueError, match=f"floats, got an array of {np.dtype(dtype)}"):
            quantized(fmt, np.ones((2, 512), dtype))


@pytest.mark.parametrize("fmt", CUT, ids=lambda fmt: fmt.name)
def test_a_ragged_row(fmt):
    size = fmt.block_length(512)
    for n_cols in (1, size + 1, 2 * size - 1):
        with pytest.raises(ValueError, match=f"{fmt.name} .* multiple of {size} .* {n_cols}"):
            quantized(fmt, np.ones((2, n_cols), np.float32))
        with pytest.raises(ValueError, match=f"multiple of {size}"):
            fmt.stored_bytes((2, n_cols))


@ALL
def test_other_floats_are_taken_as_float32(fmt):
    for other in (WEIGHTS.astype(np.float64), np.asfortranarray(WEIGHTS), WEIGHTS.astype(">f4")):
        np.testing.assert_array_equal(round_trip(fmt, other), round_trip(fmt, WEIGHTS))
    with pytest.raises(ValueError, match="inf"):
        quantized(fmt, WEIGHTS.astype(np.float64) * 1e300)


@ALL
def test_weights_that_must_not_be_written(fmt):
    locked = WEIGHTS.copy()
    locked.flags.writeable = False
    np.testing.assert_array_equal(round_trip(fmt, locked), round_trip(fmt, WEIGHTS))


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_bytes_that_are_no_blocks(fmt):
    for packed in (
        np.zeros((2, fmt.block_bytes + 1), np.uint8),
        np.zeros((2, fmt.block_bytes), np.int8),
        np.zeros((0, fmt.block_bytes), np.uint8),
        np.uint8(1),
    ):
        with pytest.raises(ValueError, match=f"{fmt.name} is stored as uint8 .* {fmt.block_bytes}"):
            fmt.dequantize(packed)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_blocks_that_are_no_rows(fmt):
    packed = quantized(fmt, WEIGHTS[0])
    assert fmt.dequantize(packed).shape == (512,)
    for look in (fmt.scale_factors, lambda bytes: fmt.open_block(bytes, 0, 0)):
        with pytest.raises(ValueError, match="rows of bytes"):
            look(packed)


@ALL
def test_an_out_that_does_not_fit(fmt):
    packed = quantized(fmt, WEIGHTS)
    locked = np.empty((3, 512), np.float32)
    locked.flags.writeable = False
    for out in (
        np.empty((3, 256), np.float32),
        np.empty((3, 512), np.float64),
        np.empty((512, 3), np.float32).T,
        [[0.0] * 512] * 3,
        locked,
    ):
        with pytest.raises(ValueError, match="out="):
            fmt.dequantize(packed, out=out)


@ALL
def test_a_block_that_is_not_there(fmt):
    packed = quantized(fmt, WEIGHTS)
    for row, block in ((3, 0), (-1, 0), (0, 512), (0, -1)):
        with pytest.raises(ValueError, match=f"No block {block} in row {row}"):
            fmt.open_block(packed, row, block)


@pytest.mark.parametrize("fmt", [*OUTSIDE_GGUF.values(), *INTEGERS], ids=lambda fmt: fmt.name)
def test_a_tensor_has_rows(fmt):
    with pytest.raises(ValueError, match=rf"{fmt.name} needs weights \(n_rows, n_cols\)"):
        fmt.quantize(np.ones(512, np.float32))


@pytest.mark.parametrize("name", ["q4_0", " Q4_0 ", "q4_0".title()])
def test_names_in_any_case(name):
    assert get_format(name) is FORMATS["Q4_0"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Q8_O", "Q8_0"),
        ("FP16", "F16"),
        ("INT4", "INT4_ROW"),
        ("INT8_COLUMN", "INT8_"),
        ("FP8_E4M3", "FP8_E4M3_ROW"),
        ("NF4DQ", "NF4_DQ"),
    ],
)
def test_a_name_that_is_nearly_right(name, hint):
    with pytest.raises(ValueError, match=f"no format called '{name}'. Did you mean {hint}"):
        get_format(name)


@pytest.mark.parametrize("name", ["", "pizza", "INT9_ROW", "INT1_ROW", "INT4_G0", "INT4_G", None])
def test_a_name_that_is_wrong(name):
    with pytest.raises(ValueError, match=r"There are F32, F16.* INT2 to INT8 .*INT4_G128"):
        get_format(name)


def test_importing_compiles_nothing():
    code = "import quantcore, sys; assert 'numba' not in sys.modules, 'import quantcore is heavy'"
    subprocess.run([sys.executable, "-c", code], check=True)
