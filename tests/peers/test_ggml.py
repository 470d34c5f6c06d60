"""Random weights: bytes and decoded weights equal to those of ggml's library, NaN included."""

import numpy as np
import pytest

from benchmarks import ggml
from quantcore import FORMATS

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(ggml.library() is None, reason="needs pywhispercpp"),
]
SHAPE = (64, 1024)


def gaussian(rng):
    return rng.normal(size=SHAPE) * 0.02


def heavy_tails(rng):
    return rng.standard_t(2, size=SHAPE) * 0.02


def bfloat16(rng):
    """As most models are stored: eight bits of precision make ties and equal peaks likely."""
    weights = (rng.normal(size=SHAPE) * 0.02).astype(np.float32)
    return (weights.view(np.uint32) & 0xFFFF0000).view(np.float32)


def sparse(rng):
    return np.where(rng.random(SHAPE) < 0.9, 0, rng.normal(size=SHAPE))


def few_values(rng):
    return rng.integers(-4, 5, SHAPE) * 0.125


def any_magnitude(rng):
    return rng.normal(size=SHAPE) * 10.0 ** rng.uniform(-45, 36, (SHAPE[0], 1))


def any_bits(rng):
    weights = rng.integers(0, 2**32, SHAPE, dtype=np.uint32).view(np.float32)
    return np.where(np.isfinite(weights), weights, 0)


DRAWS = (gaussian, heavy_tails, bfloat16, sparse, few_values, any_magnitude, any_bits)


# ggml aborts on weights whose squares overflow in the formats with a codebook, and the library in
# the wheel is older than a change of IQ1_M.
BY_CODEBOOK = ("IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_S")
OTHERS = [name for name in FORMATS if name in ggml.TYPES and name not in (*BY_CODEBOOK, "IQ1_M")]


@pytest.mark.parametrize("draw", DRAWS[:5], ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("name", BY_CODEBOOK)
def test_equal_to_ggml_by_codebook(name, draw):
    fmt = FORMATS[name]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = np.asarray(draw(rng), np.float32)
        importance = rng.uniform(0.01, 2, SHAPE[1]).astype(np.float32)
        for matrix in (importance,) if fmt.needs_importance else (None, importance):
            packed, expected = fmt.quantize(weights, matrix), ggml.quantize(name, weights, matrix)
            different = (packed != expected).reshape(-1, fmt.block_bytes).any(1)
            assert not different.any(), f"{different.sum()} blocks, seed {seed}"
            np.testing.assert_array_equal(fmt.dequantize(packed), ggml.dequantize(name, packed))


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("name", OTHERS)
def test_equal_to_ggml(name, draw):
    fmt = FORMATS[name]
    for seed in range(3):
        weights = np.asarray(draw(np.random.default_rng(seed)), np.float32)
        packed = fmt.quantize(weights)
        different = (packed != ggml.quantize(name, weights)).reshape(-1, fmt.block_bytes).any(1)
        assert not different.any(), f"{different.sum()} of {different.size} blocks, seed {seed}"
        np.testing.assert_array_equal(fmt.dequantize(packed), ggml.dequantize(name, packed))


@pytest.mark.parametrize("name", [n for n in ggml.TYPES if FORMATS[n].uses_importance])
def test_an_importance_of_zeros_is_taken_as_ggml_takes_it(name):
    """Most formats then store zeros; it is the same ones, and the others' bytes are the same."""
    weights = gaussian(np.random.default_rng(5)).astype(np.float32)[:4]
    for zero in (slice(None), slice(256, 512)):
        importance = np.ones(SHAPE[1], np.float32)
        importance[zero] = 0
        assert np.array_equal(
            FORMATS[name].quantize(weights, importance), ggml.quantize(name, weights, importance)
        )
