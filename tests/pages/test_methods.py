"""The page Methods: what it says follows the numbers, for every kind of format."""

import os

import numpy as np
import pytest
import streamlit as st

from pages.methods import cache, words
from pages.shared.kept import make_room
from quantcore.evaluate.method_table import MethodRow
from quantcore.methods.awq import ScaleSearch
from tests.support.app import drawn_charts, findings, finish_job, sentences, visit

TENSOR = "blk.3.ffn_down.weight"


def _row(by, output, weights, asked="Q4_K"):
    return MethodRow(
        tensor=TENSOR, asked=asked, by=by, type=asked, bits_per_weight=4.5, weight_error=weights,
        output_error=output, note="",
    )  # fmt: skip


def test_the_page_opens_with_methods_side_by_side():
    app = visit("methods")
    said = findings(app)
    assert "**QuIP#** makes" in said[0] and "times smaller** than rounding" in said[0]
    assert any("GPTQ moves the weights 1." in each.value for each in app.markdown)
    charts = drawn_charts(app)
    titles = charts[0]["layout"]["yaxis"]["ticktext"]
    assert titles[0] in ("GPTQ", "QuIP#") and "Round to nearest" in titles
    assert len(charts) == 16 and not app.error


@pytest.mark.parametrize("type", ["Q4_K", "IQ2_XXS", "NF4", "MXFP4", "INT8_ROW", "E8P2", "F16"])
def test_every_kind_of_format_is_shown_or_refused_in_a_sentence(type):
    app = visit("methods", type=type, tensor="blk.1.attn_v.weight")
    assert not app.exception and not app.error
    assert findings(app)


def test_a_matrix_that_is_looked_up_has_no_inputs():
    app = visit("methods", tensor="token_embd.weight")
    assert findings(app) == [words.no_inputs("token_embd.weight")]
    assert not drawn_charts(app)


def test_what_is_not_known_is_compared_on_demand():
    app = visit("methods", type="INT4_G32_ASYM", tensor="blk.0.attn_k.weight")
    assert "have not been compared" in findings(app)[0]
    app.button(key="compare_methods").click().run()
    finish_job(app)
    assert "than rounding" in findings(app)[0]
    assert cache.rows("fable-7m", "blk.0.attn_k.weight")[0].asked == "INT4_G32_ASYM"


def test_the_slider_goes_through_the_columns():
    app = visit("methods", columns_done="768", row="7")
    assert any("Row 7, all 768 columns rounded" in said for said in findings(app))
    app = visit("methods", columns_done="0")
    assert any("nothing is rounded yet" in said for said in findings(app))
    app = visit("methods", columns_done="700", tensor="blk.0.attn_q.weight")  # which has 256
    assert any("of 256 columns" in said for said in findings(app)) and not app.error


def test_another_model_is_measured_on_its_own_text(own_models):
    app = visit("methods", model="wide-toy", type="INT4_G32_ASYM", tensor="blk.0.ffn_up.weight")
    assert "have not been compared" in findings(app)[0] and not app.error
    assert not any("calibration.txt" in said for said in sentences(app))


def test_inputs_are_kept_on_disk_for_every_matrix_that_they_enter(own_models, kept):
    first = cache.inputs("wide-toy", "blk.1.attn_k.weight")
    (file,) = kept.glob("*.inputs.npz")
    written = file.stat().st_mtime_ns
    st.cache_resource.clear()  # another server
    for name in ("blk.1.attn_k.weight", "blk.1.attn_q.weight"):
        again = cache.inputs("wide-toy", name)
        np.testing.assert_array_equal(again.second_moment, first.second_moment)
    assert [(file, written)] == [(f, f.stat().st_mtime_ns) for f in kept.glob("*.inputs.npz")]
    cache.inputs("wide-toy", "blk.1.ffn_down.weight")
    assert len(list(kept.glob("*.inputs.npz"))) == 2


def test_files_that_are_kept_make_room_for_newer_ones(kept):
    kept.mkdir()
    for i in range(4):
        file = kept / f"{i}.inputs.npz"
        file.write_bytes(bytes(100))
        os.utime(file, (i, i))
    make_room(".inputs.npz", 250)
    assert sorted(file.name for file in kept.iterdir()) == ["2.inputs.npz", "3.inputs.npz"]


def test_sentences_follow_the_numbers():
    rtn, better = _row("rtn", 0.2, 0.2), _row("gptq", 0.1, 0.3)
    assert "**2.0 times smaller** than rounding, and makes the weights’ 1.5 times" in (
        words.compared(TENSOR, [rtn, better])
    )
    assert "2.0 times smaller as well" in words.compared(TENSOR, [rtn, _row("awq", 0.1, 0.1)])
    assert "leaves the weights’ as it was" in words.compared(TENSOR, [rtn, _row("hqq", 0.1, 0.2)])
    assert "no method does better" in words.compared(TENSOR, [rtn, _row("awq", 0.3, 0.2)])
    assert words.compared(TENSOR, [rtn]).endswith("by **20\u202f%**.")
    assert words.other_rows([], 256) == "They take the same point in all 256 rows."
    assert words.other_rows([4], 256).endswith("in 1 of 256 rows, that is row 4.")
    assert words.other_rows([4, 5, 6, 9], 256).endswith("such as rows 4, 5, 6.")
    flat = ScaleSearch(ratios=(0.0, 0.5), losses=(1.0, 2.0), mean_abs=np.ones(2, "f4"))
    assert "nothing to gain" in words.ratios(flat, "Q4_K", ranges=False)
