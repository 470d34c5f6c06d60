"""Weight error: checked by hand, by numpy, and by the laws that tie tensor, rows and blocks."""

import numpy as np
import pytest

from quantcore import get_format, model_errors, open_model, tensor_error
from quantcore.evaluate import weight_error
from quantcore.evaluate.weight_error import WeightError, block_errors, row_errors
from tests.support.toy_model import write_folder

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_1", "INT4_TENSOR", "INT4_ROW", "INT3_G64_ASYM"]
TYPES += ["FP8_E4M3_TENSOR", "FP8_E5M2_ROW", "NF4_DQ", "NVFP4_TENSOR"]


@pytest.fixture
def weights():
    rng = np.random.default_rng(2)
    weights = rng.standard_t(4, (40, 256)).astype(np.float32)
    weights[3] = 0
    return weights


@pytest.mark.parametrize("type", TYPES)
def test_equals_numpy(weights, type):
    restored = get_format(type).round_trip(weights).astype(np.float64)
    measured = tensor_error(weights, type)
    error = restored - weights
    relative = np.sqrt((error**2).sum() / (weights.astype(np.float64) ** 2).sum())
    assert measured.relative_rmse == pytest.approx(relative, rel=1e-9)
    assert measured.max_abs_error == np.abs(error).max()
    assert measured.zeroed_share == np.mean((restored == 0) & (weights != 0))
    cosine = (restored * weights).sum() / np.linalg.norm(restored) / np.linalg.norm(weights)
    assert measured.cosine == pytest.approx(cosine)
    if relative:
        assert measured.sqnr_db == pytest.approx(-20 * np.log10(relative))


def test_by_hand():
    """INT2 with scale 1 holds -1, 0, 1: 0.25 and 0.75 are both off by a quarter."""
    error = tensor_error(np.float32([[1, 0.75, -1, 0.25]]), "INT2_TENSOR")
    assert error.relative_rmse == pytest.approx(np.sqrt(2 * 0.0625 / 2.625))
    assert error.zeroed_share == 0.25
    assert error.clipped_share == 0


def test_a_weight_without_a_mirror_is_clipped():
    """Q4_0 gives the largest weight code -8, and +8 does not exist: the other side ends at 7."""
    weights = np.zeros((1, 32), np.float32)
    weights[0, :2] = -8, 8
    assert tensor_error(weights, "Q4_0").clipped_share == 1 / 32
    assert tensor_error(weights, "Q4_0").max_abs_error == 1
    assert tensor_error(weights, "INT4_ROW").clipped_share == 0


def test_between_two_values_of_an_uneven_grid_nothing_is_clipped():
    """MXFP4 with scale 1 holds 4 and 6, and ends there: 5 lies between them, 7.9 beyond."""
    weights = np.zeros((1, 32), np.float32)
    weights[0, :3] = 5, 4, 7.9
    for type in ("MXFP4", "MXFP4_OCP"):
        error = tensor_error(weights, type)
        assert error.clipped_share == 1 / 32
        assert error.max_abs_error == pytest.approx(1.9)


def test_lossless_is_infinitely_good(weights):
    error = tensor_error(weights, "F32")
    assert (error.relative_rmse, error.sqnr_db, error.clipped_share) == (0, np.inf, 0)
    assert error.cosine == pytest.approx(1)


def test_all_zeros_lose_nothing():
    error = tensor_error(np.zeros((2, 32), np.float32), "Q4_0")
    assert (error.relative_rmse, error.cosine, error.zeroed_share) == (0, 1, 0)


@pytest.mark.parametrize("type", TYPES)
def test_rows_and_blocks_add_up_to_the_tensor(weights, type):
    whole = tensor_error(weights, type)
    power = (weights.astype(np.float64) ** 2).sum()
    for parts in (row_errors(weights, type), block_errors(weights, type)):
        n_parts = parts.relative_rmse.size
        energy = (weights.astype(np.float64) ** 2).reshape(n_parts, -1).sum(axis=1)
        noise = (parts.relative_rmse.ravel() ** 2 * energy).sum()
        assert np.sqrt(noise / power) == pytest.approx(whole.relative_rmse, rel=1e-9)
        assert parts.max_abs_error.max() == whole.max_abs_error
        assert parts.clipped_share.mean() == pytest.approx(whole.clipped_share)
        assert parts.zeroed_share.mean() == pytest.approx(whole.zeroed_share)


def test_blocks_are_those_of_the_format(weights):
    for type, n_blocks in {"Q4_0": 8, "INT4_G64": 4, "INT4_ROW": 1, "F16": 8}.items():
        assert block_errors(weights, type).cosine.shape == (40, n_blocks)
    assert row_errors(weights, "Q4_0").cosine.shape == (40,)


@pytest.mark.parametrize("type", TYPES)
def test_streaming_changes_nothing(weights, type, monkeypatch):
    whole = tensor_error(weights, type)
    monkeypatch.setattr(weight_error, "CHUNK_WEIGHTS", 256 * 7)
    parts = tensor_error(weights, type)
    for field in WeightError.__slots__:
        assert getattr(parts, field) == pytest.approx(getattr(whole, field), rel=1e-12)


def test_a_model_tensor_by_tensor(tmp_path):
    model = open_model(write_folder(tmp_path / "toy"))
    rows = list(model_errors(model, "Q8_0"))
    assert [row.name for row in rows] == model.quantizable
    assert {row.format for row in rows} == {"Q8_0"}
    assert {row.bits_per_weight for row in rows} == {8.5}
    wanted = tensor_error(model.weights("blk.1.attn_k.weight"), "Q8_0")
    (error,) = (row for row in rows if row.name == "blk.1.attn_k.weight")
    assert (error.layer, error.role, error.shape) == (1, "attn_k", (32, 64))
    assert error.sqnr_db == wanted.sqnr_db
    mix = dict.fromkeys(model.quantizable, "F16") | {"token_embd.weight": "INT8_ROW"}
    assert [row.format for row in model_errors(model, mix)][:2] == ["INT8_ROW", "F16"]
    # Rows of 64 weights hold no super-blocks, so the mix falls back.
    mixed = {row.name: row for row in model_errors(model, "Q4_K_M")}
    assert {row.format for row in mixed.values()} == {"Q5_0", "Q8_0"}
    assert mixed["token_embd.weight"].format == "Q8_0"
    assert mixed["token_embd.weight"].sqnr_db == rows[0].sqnr_db


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="32"):
        tensor_error(np.ones((2, 33), np.float32), "Q4_0")
