"""E8P's points and the trellis' walk on the page Methods: what is drawn is what was computed."""

import numpy as np
import pytest

from pages.methods import words_two_bits as words
from pages.methods.charts import points as point_charts
from pages.methods.charts import walk as walk_charts
from pages.shared.palette import DARK, LIGHT
from quantcore.evaluate import two_bits
from quantcore.evaluate.two_bits import ALONE, LATTICE, TRELLIS
from tests.support.app import drawn_charts, findings, said, visit

NORMAL = np.random.default_rng(7).normal(0, 0.03, (64, 256)).astype(np.float32)
TENSOR = "blk.1.attn_v.weight"


@pytest.fixture(scope="module")
def turned():
    return two_bits.turned_weights(NORMAL)


def test_the_page_shows_both_and_says_what_they_leave():
    app = visit("methods", tensor=TENSOR, walk_run="5", walk_step="40")
    ours = [each for each in findings(app) if "E8P" in each or "trellis" in each]
    assert ours[0].startswith("At two bits per weight, **E8P** is off by **30\u202f%**")
    assert "in **512 bits** and is off by" in ours[1] and len(ours) == 3
    assert ours[2].startswith("**The trellis** leaves 7")
    steps = [c for c in drawn_charts(app) if "new ones coloured" in str(c["layout"])]
    assert steps[0]["layout"]["yaxis"]["tickvals"] == list(range(40, 56))
    assert "over run 5 alone" in said(app)


def test_what_another_tensor_left_beyond_the_end_is_brought_back():
    app = visit("methods", {"walk_run": 900, "walk_step": 999}, tensor=TENSOR)
    assert not app.error and not app.exception
    assert app.number_input(key="walk_run").value == 63
    assert app.slider(key="walk_step").value == 240


def test_a_small_matrix_of_another_model_has_fewer_runs(own_models):
    app = visit("methods", model="small-toy", tensor="blk.0.attn_v.weight")  # 32 rows of 64
    assert not app.error and any("trellis" in each for each in findings(app))
    assert app.number_input(key="walk_run").max == 32 * 64 // 256 - 1


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("narrow", [False, True])
def test_every_pair_goes_to_its_point(turned, look, narrow):
    places = two_bits.places(0, 1)
    figure = point_charts.points(turned, (0, 1), places, look, narrow=narrow).checked
    rounded = turned.nearest()
    for traces, code in ((figure.data[:4], LATTICE), (figure.data[4:], ALONE)):
        free, lines, taken, rings = traces
        assert taken.customdata.sum() == len(rings.x) == 96
        ends = np.array(lines.x, float).reshape(-1, 3)
        np.testing.assert_allclose(ends[:, 0], turned.vectors[:, 0])
        np.testing.assert_allclose(ends[:, 1], rounded[code][:, 0])
        there = np.abs(np.stack([free.x, free.y], axis=1)[:, None] - np.stack(
            [taken.x, taken.y], axis=1)).max(axis=2).min(axis=0)  # fmt: skip
        assert there.max() < 1e-4


def test_a_walk_is_drawn_bit_by_bit(turned):
    found = two_bits.walk(turned.tiles[2])
    figure = walk_charts.walk(found, 30, 16, LIGHT, narrow=False).checked
    (bits,) = (trace for trace in figure.data if trace.type == "heatmap")
    kinds = np.array(bits.z)
    shifted = (kinds % 2)[1:, :-2]
    np.testing.assert_array_equal(shifted, (kinds % 2)[:-1, 2:])  # all but the new ones moved on
    assert (kinds[:, :-2] < 2).all() and (kinds[:, -2:] >= 2).all()
    weights, restored = figure.data[-1], figure.data[-2]
    np.testing.assert_allclose(weights.x, turned.tiles[2][30:46])
    np.testing.assert_allclose(restored.x, found.restored[30:46])


def test_errors_of_three_codes(turned):
    here = two_bits.walk(turned.tiles[0]).errors
    figure = walk_charts.errors(here, turned.errors, LIGHT).checked
    order = [TRELLIS, LATTICE, ALONE]
    assert list(figure.data[1].x) == [turned.errors[code] for code in order]
    assert list(figure.data[0].x) == [here[code] for code in order]
    flat = dict.fromkeys(order, 0.3)
    assert "leaves 100\u202f%" in words.leaves(flat)
