"""What is special to K-quants: searches in lanes, sub-scales, super-blocks taken apart."""

import os

import numpy as np
import pytest

from benchmarks import ggml
from quantcore import FORMATS
from quantcore.formats.shared.lanes import LANES
from tests.support.edge_cases import edge_rows
from tests.twins import naive_k

NAMES = list(naive_k.ENCODE)
EACH = pytest.mark.parametrize("name", NAMES)
SWEEP_BLOCKS = int(os.environ.get("SWEEP_BLOCKS", "500"))  # of each draw; more by hand


def blocks_of_all_kinds():
    """Blocks that lead the searches everywhere: (n, 256) float32."""
    rng = np.random.default_rng(11)
    heavy = rng.standard_t(3, (6, 256)) * 0.02
    contrast = rng.normal(size=(4, 16, 16)) * 10.0 ** rng.uniform(-6, 0, (4, 16, 1))
    nearly_constant = -1 + 1e-6 * rng.normal(size=(2, 256))
    edges = np.stack(list(edge_rows().values()))[:, :256]
    kinds = (heavy, contrast.reshape(4, 256), nearly_constant, abs(heavy[:2]), -abs(heavy[:2]))
    return np.concatenate([*kinds, edges]).astype(np.float32)


@EACH
def test_naive_twin(name):
    blocks = blocks_of_all_kinds()
    packed = FORMATS[name].quantize(blocks)
    with np.errstate(all="ignore"):
        for i, block in enumerate(blocks):
            assert packed[i].tobytes() == naive_k.ENCODE[name](list(block)), f"block {i}"


@EACH
def test_any_bytes_decode_as_the_naive_twin_decodes_them(name):
    fmt = FORMATS[name]
    packed = np.random.default_rng(12).integers(0, 256, (40, fmt.block_bytes), np.uint8)
    restored = fmt.dequantize(packed)
    with np.errstate(all="ignore"):
        for weights, block in zip(restored, packed, strict=True):
            np.testing.assert_array_equal(weights, naive_k.DECODE[name](block.tobytes()))


@EACH
def test_a_lane_left_over_changes_nothing(name):
    """A batch fills all lanes or a few; what an earlier batch left in the others must not show."""
    fmt = FORMATS[name]
    blocks = blocks_of_all_kinds()
    whole = fmt.quantize(blocks)
    for n_blocks in range(1, LANES // 8 + 2):
        np.testing.assert_array_equal(fmt.quantize(blocks[-n_blocks:]), whole[-n_blocks:])


@EACH
def test_sub_scales_multiply_the_scale_of_scales(name):
    fmt = FORMATS[name]
    factors = fmt.scale_factors(fmt.quantize(blocks_of_all_kinds()[:12].reshape(4, 768)))
    per_block = 256 // factors.weights_per_scale
    assert factors.scales.shape == factors.scale_codes.shape == (4, 3 * per_block)
    assert factors.super_scales.shape == (4, 3)
    large = np.repeat(factors.super_scales, per_block, axis=1)
    np.testing.assert_array_equal(factors.scales, large * factors.scale_codes)
    if factors.minimums is not None:
        large = np.repeat(factors.super_minimums, per_block, axis=1)
        np.testing.assert_array_equal(factors.minimums, large * factors.minimum_codes)


def test_sub_scales_use_their_range():
    """The largest scale of a block takes the largest code, or the most negative one."""
    weights = np.random.default_rng(13).normal(size=(8, 256)).astype(np.float32)
    for name, extreme in {"Q2_K": 15, "Q4_K": 63, "Q5_K": 63, "Q3_K": -32, "Q6_K": -128}.items():
        factors = FORMATS[name].scale_factors(FORMATS[name].quantize(weights))
        codes = factors.scale_codes
        assert (codes[np.arange(8), abs(codes).argmax(axis=1)] == extreme).all(), name
        if factors.minimum_codes is not None:
            assert (factors.minimum_codes.max(axis=1) == extreme).all(), name


def test_a_block_of_q4_k_by_hand():
    """Scale 0.5, scale of minimums 0.25; sub-block 0: 3 and 2, sub-block 5: 45 and 50."""
    packed = np.zeros((1, 144), np.uint8)
    packed[0, :4] = np.float16([0.5, 0.25]).view(np.uint8)
    packed[0, 4], packed[0, 8] = 3, 2
    packed[0, 13] = 45 % 16 | 50 % 16 << 4  # low four bits of sub-block 5
    packed[0, 5], packed[0, 9] = 45 // 16 << 6, 50 // 16 << 6  # and the high two
    packed[0, 16] = 7  # weight 0: low nibble
    packed[0, 16 + 2 * 32 + 4] = 11 << 4  # weight 164, the fifth of sub-block 5: high nibble
    restored = FORMATS["Q4_K"].dequantize(packed)[0]
    assert restored[0] == 3 * 0.5 * 7 - 2 * 0.25
    assert restored[164] == 45 * 0.5 * 11 - 50 * 0.25
    opened = FORMATS["Q4_K"].open_block(packed, 0, 0)
    assert [(p.scale_code, p.minimum_code) for p in opened.parts if p.scale_code] == [
        (3, 2),
        (45, 50),
    ]
    assert opened.codes[0] == 7
    assert opened.codes[164] == 11
    assert opened.code_bytes[164] == (84,)
    assert [field.says for field in opened.fields[:2]] == ["0.5", "0.25"]


@EACH
def test_an_opened_block_has_the_grid_of_its_sub_block(name):
    fmt = FORMATS[name]
    packed = fmt.quantize(blocks_of_all_kinds()[:2])
    opened = fmt.open_block(packed, 1, 0)
    assert len(opened.parts) == (8 if name in ("Q4_K", "Q5_K") else 16)
    for part in opened.parts:
        assert len(part.grid) == 1 << fmt.code_bits
        step = np.diff(part.grid.astype(np.float64))
        np.testing.assert_allclose(step, part.scale, atol=1e-6 * abs(part.grid).max())


@EACH
def test_the_search_beats_the_plain_scale(name):
    """Though its scales are rounded, and those of the plain grid are not."""
    fmt = FORMATS[name]
    weights = np.random.default_rng(14).standard_t(4, (64, 256)).astype(np.float32)
    factors = fmt.scale_factors(fmt.quantize(weights))
    parts = weights.reshape(-1, factors.weights_per_scale)
    n_codes = 1 << fmt.code_bits
    if factors.minimums is None:  # the weight of largest magnitude on the most negative code
        peak = parts[np.arange(len(parts)), abs(parts).argmax(axis=1), None]
        step, offset = -peak / (n_codes / 2), 0
        codes = np.round(parts / step).clip(-n_codes / 2, n_codes / 2 - 1)
    else:  # from the smallest weight to the largest, zero included
        offset = parts.min(axis=1, keepdims=True).clip(max=0)
        step = (parts.max(axis=1, keepdims=True) - offset) / (n_codes - 1)
        codes = np.round((parts - offset) / step)
    plain = step * codes + offset
    searched = fmt.round_trip(weights).reshape(parts.shape)
    assert np.square(searched - parts).sum() < np.square(plain - parts).sum()


# ---- random weights beside ggml -----------------------------------------------------------------


def _normal(rng, n, least=0.0, most=0.0, n_parts=1):
    """Draw normal weights, each part of a block times a power of ten of `least` to `most`."""
    spread = 10.0 ** rng.uniform(least, most, (n, n_parts, 1))
    return rng.normal(size=(n, n_parts, 256 // n_parts)) * spread


DRAWS = {
    "scales of zero beside large ones": lambda rng, n: _normal(rng, n, -8, 0, n_parts=16),
    "around what counts as zero": lambda rng, n: _normal(rng, n, -18, -12, n_parts=16),
    "scales near the ends of float16": lambda rng, n: _normal(rng, n, -9, 6),
    "huge": lambda rng, n: _normal(rng, n, 3, 37),
    "subnormal": lambda rng, n: rng.integers(-50, 51, (n, 256)) * 1e-45,
    "nearly constant": lambda rng, n: _normal(rng, n, -8, 0) - 1,
    "a few last bits apart": lambda rng, n: 1 + rng.integers(-3, 4, (n, 256)) * 2.0**-23,
    "all negative": lambda rng, n: -abs(_normal(rng, n)),
    "all positive": lambda rng, n: abs(_normal(rng, n)),
    "one magnitude": lambda rng, n: np.sign(_normal(rng, n)),
    "half zeros": lambda rng, n: _normal(rng, n) * rng.integers(0, 2, (n, 1, 256)),
    "outliers": lambda rng, n: rng.standard_t(1, (n, 256)),
}


@pytest.mark.peers
@pytest.mark.skipif(ggml.library() is None, reason="needs pywhispercpp")
@pytest.mark.parametrize("draw", DRAWS)
@EACH
def test_equal_to_ggml(name, draw):
    rng = np.random.default_rng(15)
    weights = DRAWS[draw](rng, SWEEP_BLOCKS).reshape(-1, 256).astype(np.float32)
    packed = FORMATS[name].quantize(weights)
    different = (packed != ggml.quantize(name, weights)).any(axis=1)
    assert not different.any(), f"{different.sum()} of {len(weights)}: {np.flatnonzero(different)}"
    restored = FORMATS[name].dequantize(packed)
    np.testing.assert_array_equal(restored, ggml.dequantize(name, packed))
