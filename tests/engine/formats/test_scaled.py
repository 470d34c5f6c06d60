"""Formats outside GGUF: every code point, bytes of bitsandbytes and ml_dtypes, twins and laws."""

import os

import numpy as np
import pytest

from quantcore import get_format, pool
from quantcore.formats import OUTSIDE_GGUF
from quantcore.formats.outside_gguf.dynamic_map import DYNAMIC_MAP
from quantcore.formats.outside_gguf.fp8 import round_to_e4m3
from quantcore.formats.outside_gguf.scaled import ScaledPacked, StoredScales
from tests.support.edge_cases import edge_rows
from tests.support.places import GOLDEN
from tests.twins import naive_scaled as naive

JIT_IS_OFF = os.environ.get("NUMBA_DISABLE_JIT") == "1"
ROWS = slice(1) if JIT_IS_OFF else slice(None)  # a row takes seconds then
WEIGHTS = (np.random.default_rng(9).standard_t(4, (4, 512)) * 0.02).astype(np.float32)
ALL = pytest.mark.parametrize("name", OUTSIDE_GGUF)
FP8 = pytest.mark.parametrize("name", [name for name in OUTSIDE_GGUF if name.startswith("FP8")])
with np.load(GOLDEN / "outside_gguf.npz") as _golden:
    GOLDEN = dict(_golden)
CASES = [key.removeprefix("offset/") for key in GOLDEN if key.startswith("offset/")]


# ---- every code point, and rounding, beside ml_dtypes -------------------------------------------


@pytest.mark.parametrize("kind", ["E4M3", "E5M2"])
def test_every_code_of_fp8(kind):
    fmt = get_format(f"FP8_{kind}_ROW")
    one = StoredScales(scales=np.ones((1, 1), np.float32))
    codes = np.arange(256, dtype=np.uint8)[None]
    restored = fmt.dequantize(ScaledPacked(codes=codes, stored=one))
    np.testing.assert_array_equal(restored[0], GOLDEN[f"values/{kind}"])
    np.testing.assert_array_equal(np.signbit(restored[0]), np.arange(256) >= 128)
    np.testing.assert_array_equal(fmt.values, GOLDEN[f"values/{kind}"])


@pytest.mark.parametrize("name", ["MXFP4_OCP", "NVFP4_TENSOR"])
def test_every_code_of_fp4(name):
    fmt = get_format(name)
    codes = np.arange(256, dtype=np.uint8)[None]  # a pair of codes each, so all pairs
    one = {"MXFP4_OCP": np.uint8(127), "NVFP4_TENSOR": np.uint8(0x38)}[name]
    stored = StoredScales(scales=np.full((1, 512 // fmt.group_size), one),
                          super_scales=np.ones(1, np.float32))  # fmt: skip
    restored = fmt.dequantize(ScaledPacked(codes=codes, stored=stored))[0]
    np.testing.assert_array_equal(restored[::2], GOLDEN["values/E2M1"][codes[0] & 15])
    np.testing.assert_array_equal(restored[1::2], GOLDEN["values/E2M1"][codes[0] >> 4])


@pytest.mark.parametrize(("name", "kind"), [("MXFP4_OCP", "E8M0"), ("NVFP4_TENSOR", "E4M3")])
def test_every_code_of_a_scale(name, kind):
    codes = np.arange(
        255 if kind == "E8M0" else 0x7F, dtype=np.uint8
    )  # the rest are NaN, or below 0
    stored = StoredScales(scales=codes[None], super_scales=np.ones(1, np.float32))
    values = get_format(name).read(stored)[0]
    np.testing.assert_array_equal(values, GOLDEN[f"values/{kind}"][: codes.size])


@pytest.mark.parametrize("kind", ["E4M3", "E5M2"])
def test_rounding_to_fp8(kind):
    """Every value, every tie and its neighbours, subnormals; the scale is 1."""
    weights, codes = GOLDEN[f"x/{kind}"], GOLDEN[f"codes/{kind}"]
    packed = get_format(f"FP8_{kind}_TENSOR").quantize(weights[None])
    assert packed.stored.scales == 1
    np.testing.assert_array_equal(packed.codes[0], codes)


def test_rounding_to_fp4():
    weights, codes = GOLDEN["x/E2M1"], GOLDEN["codes/E2M1"]
    weights = np.concatenate([weights, np.zeros(-weights.size % 31, np.float32)]).reshape(-1, 31)
    weights = np.pad(weights, ((0, 0), (0, 1)), constant_values=6)  # so that each scale is 1
    packed = get_format("MXFP4_OCP").quantize(weights)
    assert (packed.stored.scales == 127).all()
    stored = np.stack([packed.codes & 15, packed.codes >> 4], axis=-1).reshape(weights.shape)
    np.testing.assert_array_equal(stored[:, :31].ravel()[: codes.size], codes)


def test_what_is_too_large_becomes_the_largest():
    assert round_to_e4m3(np.float32([449, 464.1, 1e30, -1e30])).tolist() == [0x7E] * 3 + [0xFE]
    weights = np.zeros((1, 32), np.float32)
    weights[0, :3] = [7.9, -7.0, 6.5]
    assert get_format("MXFP4_OCP").round_trip(weights)[0, :3].tolist() == [6, -6, 6]


# ---- bitsandbytes' bytes ------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_nf4_is_that_of_bitsandbytes(case):
    fmt = get_format("NF4")
    packed = fmt.quantize(GOLDEN[f"x/{case}"])
    np.testing.assert_array_equal(packed.codes, GOLDEN[f"codes/{case}"])
    np.testing.assert_array_equal(packed.stored.scales, GOLDEN[f"absmax/{case}"])
    np.testing.assert_array_equal(fmt.dequantize(packed), GOLDEN[f"restored/{case}"])


@pytest.mark.parametrize("case", CASES)
def test_double_quantization_is_that_of_bitsandbytes(case):
    """Where the sum of all absmax is exact in float32; else its last bit depends on the machine."""
    fmt = get_format("NF4_DQ")
    packed = fmt.quantize(GOLDEN[f"x/{case}"])
    few_ulp = 0 if case in ("bfloat16", "zeros") else 1e-6
    np.testing.assert_array_equal(packed.codes, GOLDEN[f"codes/{case}"])
    np.testing.assert_array_equal(packed.stored.scales, GOLDEN[f"absmax_codes/{case}"])
    arrays = packed.stored.super_scales, packed.stored.offset, fmt.dequantize(packed)
    for array, name in zip(arrays, ("super_scales", "offset", "restored_twice"), strict=True):
        np.testing.assert_allclose(array, GOLDEN[f"{name}/{case}"], rtol=few_ulp, atol=0)


def test_the_dynamic_map():
    np.testing.assert_array_equal(DYNAMIC_MAP, GOLDEN["dynamic_map"])
    np.testing.assert_array_equal(DYNAMIC_MAP, naive.dynamic_map())


# ---- twins --------------------------------------------------------------------------------------


def spans(array, fmt):
    """Weights or codes that share a scale, one row each."""
    length = {"tensor": array.size, "row": array.shape[1], "group": fmt.group_size}[fmt.span]
    return array.reshape(-1, length)


def halves(packed, fmt):
    """Codes of four bits, one each."""
    pair = [packed.codes & 15, packed.codes >> 4]
    return np.stack(pair[::-1] if fmt.high_first else pair, axis=-1).reshape(len(packed.codes), -1)


@FP8
def test_naive_twin_of_fp8(name):
    fmt, weights = get_format(name), WEIGHTS[ROWS, :128]
    packed, table = fmt.quantize(weights), naive.E4M3 if "E4M3" in name else naive.E5M2
    for i, group in enumerate(spans(weights, fmt)):
        codes, scale, restored = naive.fp8(list(group), table)
        assert packed.stored.scales.ravel()[i] == scale
        assert spans(packed.codes, fmt)[i].tolist() == codes
        np.testing.assert_array_equal(spans(fmt.dequantize(packed), fmt)[i], restored)


@pytest.mark.parametrize("row", edge_rows())
def test_naive_twin_of_mxfp4(row):
    fmt, weights = get_format("MXFP4_OCP"), edge_rows()[row][None, :64]
    packed = fmt.quantize(weights)
    for i, group in enumerate(spans(weights, fmt)):
        codes, exponent, restored = naive.mxfp4(list(group))
        assert packed.stored.scales.ravel()[i] == exponent
        assert spans(halves(packed, fmt), fmt)[i].tolist() == codes
        np.testing.assert_array_equal(spans(fmt.dequantize(packed), fmt)[i], restored)


def test_naive_twin_of_nvfp4():
    fmt, weights = get_format("NVFP4_TENSOR"), WEIGHTS[ROWS].copy()
    weights[0, :16] = 0
    weights[0, 16:32] *= 1e-4  # the scale is subnormal
    weights[0, 32:48] *= 1e-9  # the scale rounds to 0
    packed = fmt.quantize(weights)
    groups, tensor_scale = naive.nvfp4(list(spans(weights, fmt)))
    assert packed.stored.super_scales == tensor_scale
    restored = spans(fmt.dequantize(packed), fmt)
    for i, (codes, back, scale) in enumerate(groups):
        assert packed.stored.scales.ravel()[i] == scale
        assert spans(halves(packed, fmt), fmt)[i].tolist() == codes
        np.testing.assert_array_equal(restored[i], back)
    assert packed.stored.scales[0, :3].tolist() == [0x38, packed.stored.scales[0, 1], 0]
    assert 0 < packed.stored.scales[0, 1] < 8


@pytest.mark.parametrize("row", edge_rows())
def test_naive_twin_of_nf4(row):
    fmt, weights = get_format("NF4"), edge_rows()[row][None, :128]
    packed = fmt.quantize(weights)
    for i, group in enumerate(spans(weights, fmt)):
        assert spans(halves(packed, fmt), fmt)[i].tolist() == naive.nf4_codes(list(group))
        back = np.float32(naive.NF4)[spans(halves(packed, fmt), fmt)[i]] * naive.peak(group)
        np.testing.assert_array_equal(spans(fmt.dequantize(packed), fmt)[i], back)


def test_naive_twin_of_double_quantization():
    fmt = get_format("NF4_DQ")
    weights = np.resize(WEIGHTS, (40, 512)) * np.linspace(1, 2, 40, dtype=np.float32)[:, None]
    packed = fmt.quantize(weights)
    codes, super_scales, offset, scales = naive.double_quantized(
        [naive.peak(group) for group in spans(weights, fmt)]
    )
    assert packed.stored.scales.ravel().tolist() == codes
    assert packed.stored.super_scales.tolist() == super_scales  # 256 and 64 scales
    assert packed.stored.offset == offset
    np.testing.assert_array_equal(fmt.scale_factors(packed).scales.ravel(), scales)


# ---- laws ---------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("row", edge_rows())
def test_whatever_is_finite_stays_finite(name, row):
    """And near its size: between 5 and 6 steps, MXFP4 goes up to 6."""
    fmt, weights = get_format(name), edge_rows()[row][None]
    restored = fmt.round_trip(weights)
    assert np.isfinite(restored).all()
    assert abs(restored).max() <= abs(weights).max().astype(np.float64) * 1.2


@ALL
def test_twice_the_weights_twice_the_result(name):
    fmt = get_format(name)
    np.testing.assert_array_equal(fmt.round_trip(2 * WEIGHTS), 2 * fmt.round_trip(WEIGHTS))


@pytest.mark.parametrize("name", [name for name in OUTSIDE_GGUF if not name.startswith("NF4")])
def test_a_mirror_image_stays_one(name):
    fmt = get_format(name)
    np.testing.assert_array_equal(fmt.round_trip(-WEIGHTS), -fmt.round_trip(WEIGHTS))


@ALL
def test_zeros_stay_zeros(name):
    weights = WEIGHTS.copy()
    weights[:, :64] = 0
    assert not get_format(name).round_trip(weights)[:, :64].any() or name == "NF4_DQ"
    assert not get_format(name).round_trip(np.zeros((2, 512), np.float32)).any()


@ALL
def test_what_is_restored_stays(name):
    """A second round trip changes nothing; only NF4_DQ's scales move."""
    fmt = get_format(name)
    once = fmt.round_trip(WEIGHTS)
    if name == "NF4_DQ":
        assert (fmt.round_trip(once) != once).any()
    else:
        np.testing.assert_allclose(fmt.round_trip(once), once, rtol=3e-7, atol=0)


@ALL
def test_threads_change_nothing(name):
    fmt, weights = get_format(name), np.resize(WEIGHTS, (1025, 512))
    with pool.threads(3):
        shared = fmt.quantize(weights)
        restored = fmt.dequantize(shared)
    with pool.threads(1):
        np.testing.assert_array_equal(fmt.quantize(weights).codes, shared.codes)
        np.testing.assert_array_equal(fmt.dequantize(shared), restored)


@ALL
def test_sizes(name):
    packed = get_format(name).quantize(np.resize(WEIGHTS, (40, 512)))
    stored = packed.stored
    arrays = (packed.codes, stored.scales, stored.super_scales, stored.offset)
    n_bytes = sum(array.nbytes for array in arrays if array is not None)
    assert n_bytes == get_format(name).stored_bytes((40, 512))


@pytest.mark.parametrize(
    ("name", "n_bytes"),
    [
        ("FP8_E4M3_TENSOR", 512 * 8 + 4),
        ("FP8_E5M2_ROW", 512 * 8 + 4 * 8),
        ("NF4", 512 * 4 + 64 * 4),
        ("NF4_DQ", 512 * 4 + 64 + 4 + 4),
        ("NVFP4_TENSOR", 512 * 4 + 256 + 4),
        ("MXFP4_OCP", 512 * 4 + 128),
    ],
)
def test_stored_bytes(name, n_bytes):
    assert get_format(name).stored_bytes((8, 512)) == n_bytes


def test_one_row_does_not_move_another_row_but_by_the_tensors_scale():
    spoilt = WEIGHTS.copy()
    spoilt[1, 40] = 100
    for name, fmt in OUTSIDE_GGUF.items():
        others = (fmt.round_trip(spoilt) != fmt.round_trip(WEIGHTS))[[0, 2, 3]]
        assert others.any() == fmt.whole_tensor, name


def test_the_tensors_scale_helps_small_weights():
    """The reason for NVIDIA's second scale: ggml's block scales lose digits below 2^-6."""
    small = WEIGHTS / 10
    error = {
        name: np.square(get_format(name).round_trip(small) - small).sum()
        for name in ("NVFP4", "NVFP4_TENSOR")
    }
    assert error["NVFP4_TENSOR"] < 0.8 * error["NVFP4"]


def test_the_errors_of_a_normal_distribution():
    """Relative squared error times 1000, as measured with the tools that these formats are from."""
    weights = np.random.default_rng(0).normal(0, 0.02, (256, 4096)).astype(np.float32)
    for name, wanted in {
        **{"FP8_E4M3_TENSOR": 0.70, "FP8_E5M2_TENSOR": 2.78, "NF4": 8.46},
        **{"NVFP4_TENSOR": 9.06, "MXFP4_OCP": 13.05},
    }.items():
        noise = np.square(get_format(name).round_trip(weights) - weights).sum(dtype=np.float64)
        error = 1000 * noise / np.square(weights).sum(dtype=np.float64)
        assert error == pytest.approx(wanted, rel=0.01), name
