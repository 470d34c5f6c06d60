"""Block formats: bytes equal to ggml's, twins, and laws that every format obeys."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantcore import FORMATS, pool
from quantcore.formats import UNAIDED
from tests.support.edge_cases import edge_rows
from tests.support.places import GOLDEN
from tests.support.with_matrix import quantized, round_trip
from tests.twins import naive, naive_uneven

RECORD = GOLDEN / "ggml.npz"
GGML = [name for name in FORMATS if name != "F32"]
JIT_IS_OFF = os.environ.get("NUMBA_DISABLE_JIT") == "1"
ROWS = slice(1) if JIT_IS_OFF else slice(None)  # a row takes seconds then
HALF = 2 if JIT_IS_OFF else 1  # of a row, one super-block: no block sees its neighbours

with np.load(RECORD) as _golden:
    ARRAYS = dict(_golden)
CASES = [name.removeprefix("x/") for name in ARRAYS if name.startswith("x/")]
FEW = ("gaussian", "zero_blocks", "integers", "edges")
ORDINARY = [case for case in CASES if case != "edges"]


def weights_like(shape, seed=0, spread=0.02):
    """Heavy tails, as weights have."""
    return (np.random.default_rng(seed).standard_t(4, shape) * spread).astype(np.float32)


def cases_for(cases):
    """Without the compiler a row takes up to a second: four cases reach the same lines."""
    return [case for case in cases if case in FEW or not JIT_IS_OFF]


def _start_of(rows):
    return rows[ROWS, : rows.shape[1] // HALF]


@pytest.mark.parametrize("name", GGML)
def test_golden_bytes(name, subtests):
    for case in cases_for(CASES):
        if f"{name}/{case}" not in ARRAYS:
            assert case == "edges" or name not in UNAIDED, case  # ggml aborts there
            continue
        with subtests.test(case=case):
            packed = FORMATS[name].quantize(_start_of(ARRAYS[f"x/{case}"]))
            wrong = (packed != _start_of(ARRAYS[f"{name}/{case}"])).any(axis=1)
            assert not wrong.any(), f"rows {np.flatnonzero(wrong)}"


@pytest.mark.parametrize("name", [n for n in FORMATS if FORMATS[n].uses_importance])
def test_golden_bytes_with_an_importance_matrix(name, subtests):
    for case in cases_for(ORDINARY):
        with subtests.test(case=case):
            packed = FORMATS[name].quantize(ARRAYS[f"x/{case}"][ROWS], ARRAYS["imatrix"])
            wrong = (packed != ARRAYS[f"{name}/{case}/imatrix"][ROWS]).any(axis=1)
            assert not wrong.any(), f"rows {np.flatnonzero(wrong)}"


@pytest.mark.parametrize("name", FORMATS)
def test_threads_change_nothing_with_an_importance_matrix_either(name):
    fmt = FORMATS[name]
    weights = weights_like((600, 512), seed=3)
    importance = np.random.default_rng(4).uniform(0.1, 2, 512).astype(np.float32)
    with pool.threads(1):
        alone = fmt.quantize(weights, importance)
    with pool.threads(3):
        np.testing.assert_array_equal(fmt.quantize(weights, importance), alone)


@pytest.mark.parametrize("name", [n for n in UNAIDED if FORMATS[n].uses_importance])
def test_columns_that_count_more_are_kept_better(name):
    weights = weights_like((64, 512), seed=5)
    importance = np.where(np.arange(512) % 4 == 0, 100, 0.01).astype(np.float32)
    fmt = FORMATS[name]
    with_one, without = (
        np.square(fmt.dequantize(fmt.quantize(weights, matrix)) - weights)[:, ::4].sum()
        for matrix in (importance, None)
    )
    assert with_one < without


@pytest.mark.parametrize(
    ("importance", "sentence"),
    [
        (np.ones(256), "has shape"),
        (np.full(512, np.nan), "negative or not finite"),
        (np.full(512, -1.0), "negative or not finite"),
    ],
)
def test_an_importance_that_makes_no_sense_is_refused(importance, sentence):
    with pytest.raises(ValueError, match=sentence):
        FORMATS["Q4_K"].quantize(weights_like((2, 512)), importance)


@pytest.mark.parametrize("name", GGML)
def test_decoding_equals_gguf(name):
    restored = hashlib.sha256()
    for case in ORDINARY:
        key = f"{name}/{case}" if name in UNAIDED else f"{name}/{case}/imatrix"
        restored.update(FORMATS[name].dequantize(ARRAYS[key]).tobytes())
    assert restored.hexdigest() == str(ARRAYS[f"restored/{name}"])


@pytest.mark.parametrize("name", naive.ENCODE)
def test_naive_twin(name):
    fmt = FORMATS[name]
    rows = [*weights_like((3, 512))[ROWS], *edge_rows().values()]
    blocks = np.stack(rows)[:, :64].reshape(-1, fmt.block_size)
    packed = fmt.quantize(blocks)
    for block, stored, restored in zip(blocks, packed, fmt.dequantize(packed), strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            assert stored.tobytes() == naive.ENCODE[name](block)
            np.testing.assert_array_equal(restored, naive.DECODE[name](stored.tobytes()))


@pytest.mark.parametrize("name", naive_uneven.ENCODE)
def test_naive_twin_of_uneven_formats(name):
    fmt = FORMATS[name]
    rows = weights_like((4, 256), seed=2)
    rows[1, :64] = 0
    rows[2] *= 3000
    rows[3] = np.abs(rows[3]) + 0.1
    blocks = rows[ROWS].reshape(-1, fmt.block_size)
    packed = fmt.quantize(blocks)
    for block, stored, restored in zip(blocks, packed, fmt.dequantize(packed), strict=True):
        assert stored.tobytes() == naive_uneven.ENCODE[name](list(block))
        np.testing.assert_array_equal(restored, naive_uneven.DECODE[name](stored.tobytes()))


@pytest.mark.skipif(JIT_IS_OFF, reason="already off")
def test_the_kernels_are_right_without_the_compiler_too():
    """Only then does Python see every line of them, and check every index."""
    others = ("test_integer.py", "test_scaled.py")
    files = [__file__, *(str(Path(__file__).with_name(name)) for name in others)]
    chosen = ["-k", "golden_bytes or decoding or naive_twin or rounding or every_code"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += ["-W", "ignore::RuntimeWarning", *files, *chosen]  # numpy's scalars warn of overflow
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("name", FORMATS)
def test_a_block_never_sees_its_neighbours(name):
    fmt = FORMATS[name]
    weights = weights_like((3, 4 * fmt.block_size))
    whole = quantized(FORMATS[name], weights)
    alone = quantized(FORMATS[name], weights[:, fmt.block_size : 2 * fmt.block_size])
    np.testing.assert_array_equal(whole[:, fmt.block_bytes : 2 * fmt.block_bytes], alone)


@pytest.mark.parametrize("name", FORMATS)
def test_twice_the_weights_twice_the_result(name):
    weights = weights_like((8, 512), seed=3, spread=1)
    once = round_trip(FORMATS[name], weights)
    np.testing.assert_array_equal(round_trip(FORMATS[name], 2 * weights), 2 * once)


@pytest.mark.parametrize("name", [n for n, fmt in FORMATS.items() if fmt.family == "plain"])
def test_a_mirror_image_stays_one(name):
    weights = weights_like((8, 512), seed=4)
    mirrored = FORMATS[name].round_trip(-weights)
    np.testing.assert_array_equal(mirrored, -FORMATS[name].round_trip(weights))


@pytest.mark.parametrize("name", FORMATS)
def test_zeros_stay_zeros(name):
    assert not round_trip(FORMATS[name], np.zeros((2, 512), np.float32)).any()


@pytest.mark.parametrize("name", ["Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"])
def test_the_error_stays_within_the_step(name):
    """Half a step; a whole one at the end that `_0` formats lack. Scales round to 11 bits."""
    fmt = FORMATS[name]
    weights = weights_like((8, 512), seed=5)
    packed = fmt.quantize(weights)
    scales = abs(fmt.scale_factors(packed).scales)[..., None]
    steps = (abs(fmt.dequantize(packed) - weights).reshape(8, -1, 32) / scales).max()
    assert steps <= (0.5 if name in ("Q8_0", "Q5_1", "Q4_1") else 1) + 2**fmt.code_bits / 2048


def test_more_bits_less_error():
    weights = weights_like((64, 512), seed=6)
    error = {name: _squared_error(name, weights) for name in FORMATS}
    best_first = ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K"]
    assert sorted(best_first, key=error.get) == best_first
    by_codebook = ["IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_S"]
    assert sorted(by_codebook, key=error.get) == by_codebook
    assert error["Q5_1"] < error["Q5_0"] < error["Q4_1"] < error["Q4_0"]


def _squared_error(name, weights):
    return float(((round_trip(FORMATS[name], weights) - weights) ** 2).sum())


@pytest.mark.parametrize("name", FORMATS)
def test_threads_change_nothing(name):
    fmt = FORMATS[name]
    weights = np.resize(weights_like((7, 512), seed=7), (1025, 512))
    with pool.threads(3):
        shared = quantized(FORMATS[name], weights)
        restored = fmt.dequantize(shared)
    with pool.threads(1):
        np.testing.assert_array_equal(quantized(FORMATS[name], weights), shared)
        np.testing.assert_array_equal(fmt.dequantize(shared), restored)


@pytest.mark.parametrize("name", FORMATS)
def test_sizes(name):
    fmt = FORMATS[name]
    packed = quantized(FORMATS[name], weights_like((2, 512)))
    assert packed.shape == (2, 512 // fmt.block_size * fmt.block_bytes)
    assert packed.nbytes == fmt.stored_bytes((2, 512)) == 2 * 512 * fmt.bits_per_weight / 8


@pytest.mark.parametrize("name", FORMATS)
def test_out_is_filled_and_returned(name):
    fmt = FORMATS[name]
    packed = quantized(FORMATS[name], weights_like((2, 512)))
    out = np.full((2, 512), np.nan, np.float32)
    assert fmt.dequantize(packed, out=out) is out
    np.testing.assert_array_equal(out, fmt.dequantize(packed))
    np.testing.assert_array_equal(round_trip(FORMATS[name], weights_like((2, 512))), out)
