"""What is said of weights on a grid: found where it is, quantified, and never for ordinary ones."""

import numpy as np
import pytest

from quantcore.evaluate.grid_report import AT_MOST, SAMPLED_ROWS, grid_report, sample_grids
from quantcore.formats import get_format
from quantcore.methods.grid.grid_steps import rounded_to
from quantcore.model.source import open_model
from tests.support.on_grid import on_grid

GIVEN = on_grid((64, 512))
NORMAL = np.random.default_rng(1).normal(0, 0.02, (64, 512)).astype(np.float32)


def test_what_is_reported_is_what_was_put_there():
    weights = rounded_to(GIVEN, "BF16")
    report = grid_report(weights)
    assert (report.lowest, report.highest, report.n_points, report.bits) == (-6, 7, 14, 4)
    assert (report.block_length, report.whole_row, report.whole_tensor) == (32, False, False)
    assert (report.n_blocks, report.n_rows, report.of_rows) == (64 * 16, 64, 64)
    assert report.counts.sum() == weights.size and report.counts.argmax() == 6  # code 0
    assert report.stored == "BF16" and report.exact_share == 1 and report.evidence_bits > 1e4
    assert list(report.plain_errors) == ["Q4_0", "Q4_K"] and report.type == "Q4_0"
    for name, error in report.plain_errors.items():
        off = get_format(name).round_trip(weights) - weights
        by_hand = np.sqrt(np.square(off, dtype="f8").sum() / np.square(weights, dtype="f8").sum())
        assert error == pytest.approx(by_hand, rel=1e-6) and error > 0.02


def test_rows_that_share_a_step_and_tensors_that_do():
    assert grid_report(get_format("INT4_ROW").round_trip(NORMAL)).whole_row
    ternary = np.clip(np.rint(NORMAL / 0.0125), -1, 1).astype(np.float32) * np.float32(0.0125)
    report = grid_report(ternary)
    assert report.whole_tensor and (report.n_points, report.bits, report.n_blocks) == (3, 2, 1)


def test_of_a_large_matrix_some_rows_are_looked_at(monkeypatch):
    monkeypatch.setattr("quantcore.evaluate.grid_report.AT_MOST", 16 * 512)
    report = grid_report(GIVEN)
    assert (report.n_rows, report.of_rows, report.n_blocks) == (16, 64, 16 * 16)
    assert AT_MOST >= 1 << 19


@pytest.mark.parametrize(
    "weights",
    [
        NORMAL,
        rounded_to(NORMAL, "BF16"),
        rounded_to(NORMAL, "F16"),
        np.repeat(NORMAL[:, :1], 512, axis=1),
        np.repeat(np.arange(-8, 56, dtype=np.float32)[:, None], 512, axis=1),
        np.zeros((64, 512), np.float32),
        np.full((64, 512), np.nan, np.float32),
    ],
    ids=["normal", "bf16", "f16", "constant rows", "whole rows", "zeros", "nan"],
)
def test_nothing_is_said_of_ordinary_weights(weights):
    assert grid_report(weights) is None


def test_a_sample_of_a_file_and_none_of_the_shipped_model():
    model = open_model()
    read = {name: lambda rows, name=name: model.weights(name, rows) for name in model.quantizable}
    sample = sample_grids(read)
    assert not sample.found and len(set(sample.looked_at)) == 4
    mixed = {"a": lambda rows: NORMAL[rows], "b": lambda rows: GIVEN[rows]}
    sample = sample_grids(mixed)
    assert sample.looked_at == ("a", "b") and list(sample.found) == ["b"]
    assert sample.found["b"].n_rows == SAMPLED_ROWS
    assert sample_grids({}).looked_at == ()
