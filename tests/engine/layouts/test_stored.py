"""Quantized matrices as other tools store them are decoded to what these tools restore."""

import tracemalloc

import numpy as np
import pytest

from quantcore import ModelError, get_format
from quantcore.io.safetensors import read_header
from quantcore.layouts import stored_matrix
from quantcore.layouts.reading import READ, with_decoded
from tests.support.stored import (
    ALL_CASES,
    arrays_of,
    config_of,
    file_name,
    restored_of,
    to_bfloat16,
    write_arrays,
)

MODULE = "model.layers.0.mlp.up_proj"
NAMES = {
    "fp8/tensor": "FP8_E4M3_TENSOR",
    "fp8/block": "FP8_E4M3_B16X32",
    "compressed-tensors/fp8-channel": "FP8_E4M3_ROW",
    "compressed-tensors/int4-group-asym": "INT4_G16_ASYM",
    "compressed-tensors/int4-channel-sym": "INT4_ROW",
    "compressed-tensors/plain-int8-tensor": "INT8_TENSOR",
    "compressed-tensors/mxfp4": "MXFP4_OCP",
    "compressed-tensors/nvfp4": "NVFP4_TENSOR",
    "mxfp4/experts": "MXFP4_OCP",
    "gptq/4-first": "INT4_G16",
    "gptq/3-second-act-order": "INT3_G16_ASYM_ACT_ORDER",
    "bitsandbytes/nf4": "NF4",
    "bitsandbytes/nf4-nested": "NF4_DQ",
    "bitsandbytes/nf4-across-rows": "NF4_DQ_B64",
    "bitsandbytes/int8": "INT8_ROW",
}

OTHER_ORDER = ("bitsandbytes/int8", "compressed-tensors/nvfp4")  # of products: the last bit differs


def opened(folder, case, change=None, config=None):
    """Write a case as a file, changed if asked, and open its matrix."""
    arrays = dict(arrays_of(case))
    if change is not None:
        change(arrays)
    path = folder / f"{case.replace('/', '-')}.safetensors"
    write_arrays(path, {file_name(MODULE, part): array for part, array in arrays.items()})
    how = config_of(case) if config is None else config
    return with_decoded(read_header(path), {"quantization_config": how})[f"{MODULE}.weight"]


@pytest.mark.parametrize("case", ALL_CASES)
def test_bits_are_those_that_the_tool_restores(tmp_path, case, monkeypatch):
    """Float32 by float32; where a tool computes in bfloat16, after rounding to it."""
    expected, narrow = restored_of(case)
    matrix = opened(tmp_path, case)
    assert matrix.shape == expected.shape
    found = matrix.read()
    np.testing.assert_array_equal(to_bfloat16(found) if narrow else found, expected)
    assert not narrow or not np.array_equal(found, expected) or "mxfp4" in case
    monkeypatch.setattr(stored_matrix, "WEIGHTS_AT_ONCE", 3 * expected.shape[1])
    for rows in (slice(None), slice(1, 12), slice(13, 14), slice(0, 0)):
        np.testing.assert_array_equal(matrix.read(rows), found[rows])


@pytest.mark.parametrize("case", ALL_CASES)
def test_a_format_of_the_lab_opens_what_is_stored(tmp_path, case):
    matrix = opened(tmp_path, case)
    assert matrix.dtype == NAMES.get(case, matrix.dtype)
    packed = matrix.packed()
    if packed is None:
        return
    fmt, restored = get_format(matrix.dtype), matrix.read()
    found = fmt.dequantize(packed)
    if case in OTHER_ORDER:
        np.testing.assert_array_max_ulp(found, restored, 2)
        return
    np.testing.assert_array_equal(found, restored)
    blocks = range(matrix.shape[1] // fmt.block_length(matrix.shape[1]))
    row = [fmt.open_block(packed, 5, block).restored for block in blocks]
    np.testing.assert_array_equal(np.concatenate(row), restored[5])


def test_which_cases_have_no_such_format(tmp_path):
    without = {case for case in ALL_CASES if opened(tmp_path, case).packed() is None}
    assert without == {case for case in ALL_CASES if "act-order" in case} | {
        *("fp8/block", "fp8/powers", "compressed-tensors/fp8-block"),
        *("bitsandbytes/nf4-across-rows", "bitsandbytes/nf4-of-128"),
    }


def test_the_lowest_code_of_others_is_opened(tmp_path):
    """compressed-tensors uses -8 where the lab's INT4 ends at -7."""
    packed = opened(tmp_path, "compressed-tensors/int4-group-sym").packed()
    rows, cols = np.nonzero(packed.codes == -8)
    assert rows.size
    block, place = divmod(int(cols[0]), 16)
    found = get_format("INT4_G16").open_block(packed, int(rows[0]), block)
    assert found.first_code == -8 and found.codes[place] == 0 and len(found.parts[0].grid) == 16
    assert [field.where for field in found.fields] == [slice(0, 4), slice(4, 12)]


def without(part):
    return lambda arrays: arrays.pop(part)


def cut(part):
    def change(arrays):
        dtype, array = arrays[part]
        arrays[part] = dtype, array[:-1]

    return change


def with_first(part, value):
    def change(arrays):
        dtype, array = arrays[part]
        array = array.copy()
        array.reshape(-1)[0] = value
        arrays[part] = dtype, array

    return change


BROKEN = [
    ("fp8/tensor", without("weight_scale_inv"), "lacks weight_scale"),
    ("fp8/block", cut("weight_scale_inv"), r"scales of shape \[1, 2\]"),
    ("compressed-tensors/fp8-channel", cut("weight_scale"), r"scales of shape \[31, 1\]"),
    ("compressed-tensors/int4-group-sym", without("weight_scale"), "lacks weight_scale"),
    ("compressed-tensors/int4-group-sym", without("weight_shape"), "lacks weight_shape"),
    ("compressed-tensors/int4-group-sym", with_first("weight_shape", -5), "weight_shape"),
    ("compressed-tensors/int4-group-sym", cut("weight_scale"), "31 rows of scales"),
    ("compressed-tensors/int4-group-asym", cut("weight_zero_point"), "weight_zero_point"),
    ("compressed-tensors/nvfp4", with_first("weight_global_scale", 0), "global_scale of 0"),
    ("compressed-tensors/nvfp4", cut("weight_scale"), r"weight_scale of shape \[31, 4\]"),
    ("compressed-tensors/mxfp4", without("weight_scale"), "lacks weight_scale"),
    ("mxfp4/experts", without("scales"), "lacks scales"),
    ("mxfp4/experts", cut("blocks"), "scales of shape"),
    ("gptq/4-first", without("qzeros"), "lacks qzeros"),
    ("gptq/4-first", without("scales"), "lacks scales"),
    ("gptq/4-first", cut("scales"), "qzeros of shape"),
    ("gptq/4-second-act-order", with_first("g_idx", 4), "column 0 into group 4 of 4"),
    ("gptq/4-second-act-order", with_first("g_idx", -1), "column 0 into group -1 of 4"),
    ("bitsandbytes/nf4", without("weight.absmax"), "lacks weight.absmax"),
    ("bitsandbytes/nf4", with_first("weight.quant_map", 2), "quant_map of its own"),
    ("bitsandbytes/nf4", with_first("weight.quant_state.bitsandbytes__nf4", 0), "quant_state"),
    ("bitsandbytes/int8", cut("SCB"), "SCB of shape"),
    ("bitsandbytes/int8", with_first("weight_format", 1), "weight_format"),
]


@pytest.mark.parametrize(("case", "change", "pattern"), BROKEN)
def test_what_is_missing_or_does_not_fit_gets_one_sentence(tmp_path, case, change, pattern):
    with pytest.raises(ModelError, match=pattern) as caught:
        opened(tmp_path, case, change)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("case", "change", "pattern"),
    [
        ("gptq/4-first", {"checkpoint_format": "marlin"}, "marlin"),
        ("gptq/4-first", {"quant_method": "quip"}, "quant_method is 'quip'; the lab reads gptq"),
        ("gptq/4-first", {"quant_method": None}, "quant_method is None"),
        ("fp8/block", {"weight_block_size": [16]}, "weight_block_size"),
        ("fp8/block", {"weight_block_size": [0, 16]}, "weight_block_size"),
        ("fp8/block", {"weight_block_size": [16, 16]}, "blocks of 16 x 16"),
    ],
)
def test_a_config_that_says_something_else(tmp_path, case, change, pattern):
    with pytest.raises(ModelError, match=pattern):
        opened(tmp_path, case, config=config_of(case) | change)


def test_every_layout_is_tried_and_no_other():
    tried = {config_of(case)["quant_method"] for case in ALL_CASES}
    assert set(READ) - tried <= {"awq", "fbgemm_fp8"}  # AutoAWQ's packing: test_export


def test_memory_stays_flat(tmp_path):
    """A matrix of 4 million weights is decoded row by row in a fraction of what it is as floats."""
    rng = np.random.default_rng(0)
    n_rows, n_cols = 2048, 2048
    arrays = {
        "qweight": ("I32", rng.integers(-(2**31), 2**31, (n_cols // 8, n_rows)).astype(np.int32)),
        "qzeros": ("I32", np.full((n_cols // 128, n_rows // 8), 0x77777777, np.int32)),
        "scales": ("F16", np.full((n_cols // 128, n_rows), 0.01, np.float16)),
    }
    path = write_arrays(
        tmp_path / "large.safetensors", {f"{MODULE}.{part}": a for part, a in arrays.items()}
    )
    how = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
    matrix = with_decoded(read_header(path), how)[f"{MODULE}.weight"]
    assert (matrix.dtype, matrix.shape, matrix.layout) == ("INT4_G128", (n_rows, n_cols), "GPTQ")
    matrix.read(slice(0, 8))  # compiled
    tracemalloc.start()
    for first in range(0, n_rows, 256):
        matrix.read(slice(first, first + 256))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < n_rows * n_cols * 4 / 2
