"""Weights that are on a grid already: Weights and File say so, and say nothing of ordinary ones."""

import re

import numpy as np
import pytest

from pages.shared import bench, own_grid
from pages.shared.palette import LIGHT
from pages.weights import charts
from quantcore import open_model, plan, quantize
from quantcore.evaluate.grid_report import GridSample, grid_report
from quantcore.formats import get_format
from tests.support.app import drawn_charts, findings, said, visit
from tests.support.on_grid import on_grid, write_on_grid
from tests.support.toy_model import CONFIG, write_folder

WIDE = CONFIG | {"hidden_size": 256, "intermediate_size": 256}


@pytest.fixture
def models(tmp_path, monkeypatch):
    write_on_grid(tmp_path / "trained", WIDE)
    write_folder(tmp_path / "ordinary", WIDE, "BF16")
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    return tmp_path


def test_weights_says_what_a_tensor_is_on(models):
    app = visit("weights", model="trained", tensor="blk.1.ffn_up.weight")
    (finding,) = (each for each in findings(app) if "grid already" in each)
    assert (
        "**Layer 1 ffn_up** is on a grid already: at most 14 values in each block of 32" in finding
    )
    assert "**4 bits**" in finding
    rounded = re.search(
        r"move the weights by ([\d.]+)\u202f% in Q4_0 and ([\d.]+)\u202f% in Q4_K", said(app)
    )
    assert all(2 < float(each) < 20 for each in rounded.groups())
    assert "All 2,048 blocks are within rounding of BF16" in said(app)
    (chart,) = (c for c in drawn_charts(app) if "steps of its block" in str(c["layout"]))
    assert len(drawn_charts(app)) == 5 and chart["data"][0]["type"] == "bar"


@pytest.mark.parametrize("model", ["ordinary", "fable-7m", "fable-7m-outliers", "trained"])
def test_nothing_is_said_of_ordinary_weights(models, model):
    tensor = "token_embd.weight" if model == "trained" else "blk.1.ffn_up.weight"
    assert "grid already" not in said(visit("weights", model=model, tensor=tensor))
    if model != "trained":
        assert "grid already" not in said(visit("file", model=model))


def test_file_says_so_of_a_folder_and_of_floats_in_a_file(models):
    quantize(model := open_model(models / "trained"), plan(model, "BF16"), models / "t-BF16.gguf")
    quantize(model, plan(model, "Q4_0"), models / "t-Q4_0.gguf")
    for name in ("trained", "t-BF16.gguf"):
        says = said(visit("file", model=name))
        assert f"The weights of **{name}** are on a grid already" in says
        assert "3 of 4 matrices looked at" in says and "in each block of 32" in says
    assert "grid already" not in said(visit("file", model="t-Q4_0.gguf"))  # its type says it
    assert "grid already" not in said(visit("weights", model="t-Q4_0.gguf"))


def test_sentences_follow_the_numbers():
    normal = np.random.default_rng(0).normal(0, 0.02, (8, 512)).astype(np.float32)
    by_row = grid_report(get_format("INT4_ROW").round_trip(normal))
    assert "15 values in each row" in own_grid.found("blk.0.attn_q.weight", by_row)
    assert "happens to find the same grid" in own_grid.plain_rounding(by_row)
    report = grid_report(on_grid((8, 512)))
    alone = GridSample(looked_at=("a", "b"), found={"a": report})
    assert "1 of 2 matrices" in own_grid.of_file("x", alone)
    assert own_grid.of_file("x", GridSample(looked_at=("a",), found={})) == ""


def test_codes_are_all_in_the_chart():
    report = grid_report(on_grid((8, 512)))
    bars = charts.codes(
        report.counts, report.lowest, LIGHT.bits[4], LIGHT, narrow=False
    ).checked.data[0]
    assert bars.y.sum() == 8 * 512 and (bars.x[0], bars.x[-1]) == (-6, 7)
