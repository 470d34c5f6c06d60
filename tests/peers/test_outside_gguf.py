"""Formats outside GGUF beside ml_dtypes, torch and bitsandbytes: make peers."""

import numpy as np
import pytest

from quantcore import get_format
from quantcore.formats.outside_gguf.dynamic_map import DYNAMIC_MAP
from quantcore.formats.outside_gguf.fp8 import E4M3, E5M2
from quantcore.formats.outside_gguf.scaled import StoredScales

pytestmark = pytest.mark.peers
ml_dtypes = pytest.importorskip("ml_dtypes")
FP8 = {
    "E4M3": (E4M3, "float8_e4m3fn", 448),
    "E5M2": (E5M2, "float8_e5m2", 57344),
}
N = 1 << 20


def any_bits(largest, seed):
    """Floats of any bits, those that are too large cut off; the first makes the scale 1."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 2**32, N, dtype=np.uint32).view(np.float32)
    weights = np.where(np.isfinite(weights), weights, 0).clip(-largest, largest)
    weights[: N // 2] = rng.normal(size=N // 2) * 10.0 ** rng.uniform(-8, 4, N // 2)
    weights = weights.clip(-largest, largest)
    weights[0] = largest
    return weights


@pytest.mark.parametrize("kind", FP8)
def test_every_code_of_fp8(kind):
    values, dtype, _ = FP8[kind]
    wanted = np.arange(256, dtype=np.uint8).view(getattr(ml_dtypes, dtype)).astype(np.float32)
    np.testing.assert_array_equal(values, wanted)


@pytest.mark.parametrize("peer", ["ml_dtypes", "torch"])
@pytest.mark.parametrize("kind", FP8)
def test_rounding_to_fp8(kind, peer):
    _, dtype, largest = FP8[kind]
    weights = any_bits(largest, 1)
    packed = get_format(f"FP8_{kind}_TENSOR").quantize(weights[None])
    assert packed.stored.scales == 1
    if peer == "torch":
        torch = pytest.importorskip("torch")
        wanted = torch.from_numpy(weights).to(getattr(torch, dtype)).view(torch.uint8).numpy()
    else:
        wanted = weights.astype(getattr(ml_dtypes, dtype)).view(np.uint8)
    np.testing.assert_array_equal(packed.codes[0], wanted)


def test_mxfp4():
    """The scale by E8M0, the codes by E2M1, of weights of many sizes."""
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(N // 32, 32)) * 10.0 ** rng.uniform(-30, 30, (N // 32, 1))
    weights = weights.astype(np.float32)
    fmt = get_format("MXFP4_OCP")
    packed = fmt.quantize(weights)
    scales = packed.stored.scales.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    peaks = np.abs(weights).max(axis=1, keepdims=True)
    assert ((peaks / scales >= 4) & (peaks / scales < 8)).all()
    wanted = (weights / scales).clip(-6, 6).astype(ml_dtypes.float4_e2m1fn)
    restored = fmt.dequantize(packed)
    np.testing.assert_array_equal(restored, wanted.astype(np.float32) * scales)
    codes = wanted.view(np.uint8)
    np.testing.assert_array_equal(packed.codes, codes[:, ::2] | codes[:, 1::2] << 4)


def test_nvfp4():
    rng = np.random.default_rng(3)
    weights = (rng.standard_t(3, (512, 1024)) * 0.02).astype(np.float32)
    fmt = get_format("NVFP4_TENSOR")
    packed = fmt.quantize(weights)
    tensor_scale = np.abs(weights).max() / np.float32(6 * 448)
    blocks = weights.reshape(-1, 16)
    wanted = np.abs(blocks).max(axis=1) / (np.float32(6) * tensor_scale)
    scales = wanted.clip(None, 448).astype(ml_dtypes.float8_e4m3fn)
    np.testing.assert_array_equal(packed.stored.scales.ravel(), scales.view(np.uint8))
    assert packed.stored.super_scales == tensor_scale
    steps = (scales.astype(np.float32) * tensor_scale)[:, None]
    codes = (blocks / steps).clip(-6, 6).astype(ml_dtypes.float4_e2m1fn)
    restored = fmt.dequantize(packed).reshape(-1, 16)
    np.testing.assert_array_equal(restored, codes.astype(np.float32) * steps)


def test_every_code_of_e8m0():
    codes = np.arange(255, dtype=np.uint8)
    wanted = codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    read = get_format("MXFP4_OCP").read(StoredScales(scales=codes))
    np.testing.assert_array_equal(read, wanted)


def test_nf4():
    """All bytes where absmax adds up exactly; else the mean's last bits may differ."""
    pytest.importorskip("bitsandbytes")
    from tests.peers import bitsandbytes_cpu

    np.testing.assert_array_equal(DYNAMIC_MAP, bitsandbytes_cpu.dynamic_map())
    plain, twice = get_format("NF4"), get_format("NF4_DQ")
    for seed, exact in enumerate([True, False] * 3):
        weights = np.random.default_rng(seed).standard_t(4, (256, 1024)).astype(np.float32) * 0.02
        if exact:
            weights = (weights.view(np.uint32) & 0xFFFF0000).view(np.float32)
        theirs, packed, nested = (
            bitsandbytes_cpu.quantize(weights),
            plain.quantize(weights),
            twice.quantize(weights),
        )
        for codes in (packed.codes, nested.codes):
            np.testing.assert_array_equal(codes, theirs.codes)
        np.testing.assert_array_equal(packed.stored.scales, theirs.absmax)
        np.testing.assert_array_equal(plain.dequantize(packed), theirs.restored)
        rtol = 0 if exact else 1e-6
        np.testing.assert_allclose(nested.stored.offset, theirs.offset, rtol=rtol)
        np.testing.assert_allclose(nested.stored.super_scales, theirs.super_scales, rtol=rtol)
        moved = nested.stored.scales != theirs.absmax_codes
        assert moved.sum() <= (0 if exact else 2)
