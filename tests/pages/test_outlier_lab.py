"""The outlier lab of the page Methods: what it says follows the numbers."""

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.methods import cache, outlier_lab
from pages.methods import words_outliers as words
from pages.shared import shipped
from quantcore.evaluate.outlier_errors import UnderOutliers, Way
from quantcore.model.outliers.settings import LLAMA_3_8B, OutlierSettings
from tests.support.app import drawn_charts, findings, said, sentences, visit

PLAIN, AWQ = Way("INT4_G128_ASYM"), Way("INT4_G128_ASYM", "awq")
TENSOR = "blk.3.ffn_down.weight"


@pytest.fixture(scope="module")
def app():
    return visit("methods", tensor=TENSOR)


def _of(app, key):
    return next(chart for chart in drawn_charts(app) if key in str(chart["layout"]["yaxis"]))


def test_it_opens_with_the_channels_of_a_large_model(app):
    assert not app.error and not sentences(app)
    assert app.slider(key="outlier_channels").value == 16
    assert app.select_slider(key="outlier_size").value == "weights × 64"
    assert "are equal to the last bit" in said(app)
    (finding,) = [each for each in findings(app) if each.startswith("Layer 3 ffn_down: ")]
    assert "outlier channels move the error of rounding to INT4_G128_ASYM" in finding
    assert "with **AWQ** it is" in finding
    chart = _of(app, "8-bit inputs, SmoothQuant")
    assert chart["layout"]["yaxis"]["ticktext"][:3] == ["INT8_TENSOR", "INT8_ROW", "Q4_K"]


def test_other_channels_are_drawn_at_once(app):
    app.selectbox(key="outlier_kind").set_value("none").run()
    assert "with outlier channels as without, rounding to INT4_G128_ASYM" in said(app)
    app.slider(key="outlier_channels").set_value(3)
    app.select_slider(key="outlier_size").set_value("inputs × 256").run()
    assert "The largest input of layer 3 ffn_down" in said(app)
    assert not app.exception and not app.error


def _dials():
    import streamlit as st

    from pages.methods import outlier_lab

    st.session_state["settings"] = outlier_lab.chosen(st.session_state["tensor"])


def test_the_dials_follow_the_preset_and_the_layer():
    app = AppTest.from_function(_dials)
    app.session_state["tensor"] = TENSOR
    assert app.run().session_state["settings"] == LLAMA_3_8B
    app.slider(key="outlier_channels").set_value(3).run()
    inner = app.session_state["settings"].inner
    assert inner == replace(LLAMA_3_8B.inner, n=3)
    app.selectbox(key="outlier_kind").set_value("none").run()
    assert app.session_state["settings"] == OutlierSettings()
    app.selectbox(key="outlier_kind").set_value("like Llama-3-8B").run()
    app.session_state["tensor"] = "blk.3.attn_q.weight"
    assert app.run().session_state["settings"] == LLAMA_3_8B
    assert app.select_slider(key="outlier_size").value == "inputs × 8"
    assert app.slider(key="outlier_channels").value == 2 and not app.exception


@pytest.mark.parametrize("kind", outlier_lab.KINDS)
def test_every_preset_is_a_place_of_the_dials(kind):
    for place in ("norms", "values", "inner"):
        channels = getattr(outlier_lab.KINDS[kind], place)
        assert channels.size in outlier_lab.SIZES.values() and channels.n <= outlier_lab.MOST
        assert round(20 * channels.spread, 6).is_integer()


def test_too_many_channels_are_refused_in_a_sentence(own_models):
    app = visit("methods", model="small-toy", tensor="blk.0.attn_output.weight")
    app.slider(key="outlier_channels").set_value(32).run()
    assert "32 values cannot stand out of" in said(app) and not app.error


def test_the_way_to_the_shipped_model(app):
    app.button(key="to_outliers").click().run()
    assert not app.exception
    assert app.selectbox(key="model").value == outlier_lab.SHIPPED


def test_a_model_that_has_outlier_channels_gets_no_more():
    app = visit("methods", model=outlier_lab.SHIPPED)
    assert words.already(outlier_lab.SHIPPED, "fable-7m") in said(app)
    assert not app.error


def test_the_published_curve_is_drawn_once_the_model_is_measured(monkeypatch):
    plain = shipped.measured("fable-7m")
    monkeypatch.setattr(shipped, "is_measured", lambda name: True)
    monkeypatch.setattr(shipped, "measured", lambda name: plain)
    app = visit("methods", model=outlier_lab.SHIPPED)
    (finding,) = [each for each in findings(app) if "Llama-3-8B’s" in each]
    ours, theirs = plain.drifts["Q4_K_M"].mean_kl_divergence, 0.031
    assert theirs / ours > 10 and "is typically within a factor of" in finding
    assert any("Llama-3-8B, published" in str(chart) for chart in drawn_charts(app))


def test_matrices_that_no_group_of_128_fits(own_models):
    app = visit("methods", model="small-toy", tensor="blk.0.ffn_up.weight")
    assert not app.error and not app.exception
    (finding,) = [each for each in findings(app) if "8-bit weights and inputs" in each]
    assert finding.startswith("Layer 0 ffn_up: ")
    assert not any("INT4_G128" in str(chart) for chart in drawn_charts(app))


def test_a_model_too_large_to_be_run_twice(monkeypatch):
    monkeypatch.setattr(cache, "RUN_AT_MOST", 1000)
    assert cache.logits_moved("fable-7m", OutlierSettings.everywhere(1, 2.0)) is None


def test_sentences_follow_the_numbers():
    before = {PLAIN: 0.08, AWQ: 0.07}
    assert words.errors(TENSOR, before, {PLAIN: 0.84, AWQ: 0.087}) == (
        "Layer 3 ffn_down: outlier channels move the error of rounding to INT4_G128_ASYM from "
        "8\u202f% to **84\u202f%**; with **AWQ** it is 8.7\u202f%."
    )
    assert "as without, rounding" in words.errors(TENSOR, before, before)
    worse = words.errors(TENSOR, before, {PLAIN: 0.2, AWQ: 0.3})
    assert worse.endswith("**20\u202f%**, and no method does better.")
    row, tensor = Way("INT8_ROW"), Way("INT8_TENSOR")
    assert "10 times smaller" in words.by_row({row: 0.01, tensor: 0.1})
    assert "leaves the error" in words.by_row({row: 0.1, tensor: 0.1})
    assert "2.0 times as large" in words.by_row({row: 0.2, tensor: 0.1})
    assert not words.by_row({row: 0.2}) and not words.eight_bits({PLAIN: 0.1}, before)
    assert "no logit moves by more than 0.50" in words.same_function((0.5, 64))
    assert "the model computes the same" in words.same_function(None)
    flat, loud = (_columns(largest) for largest in (2, 64))
    assert "**64 times** that of the median column; it was 2.0" in (
        words.columns(TENSOR, "weight", flat, loud)
    )
    assert "as without" in words.columns(TENSOR, "input", flat, loud)
    said = words.curve("ours", "theirs", {"A": 2.0, "B": 0.5, "C": 1.0}, dict.fromkeys("AB", 1.0))
    assert "Over 2 types" in said and "**2.00**" in said


def _columns(largest):
    flat = np.ones(8, np.float32)
    weights = flat.copy()
    weights[3] = largest
    return UnderOutliers(errors={}, largest_weight=weights, largest_input=flat)
