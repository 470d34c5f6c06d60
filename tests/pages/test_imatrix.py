"""What an importance matrix changes: errors with and without, and the page that shows them."""

from dataclasses import replace

import numpy as np
import pytest
import streamlit as st

from pages.imatrix import cache, charts, words
from pages.imatrix import run as imatrix_run
from pages.shared import bench, tables
from pages.shared.palette import DARK, LIGHT
from quantcore import FORMATS, measure_imatrix, open_model, read_imatrix, write_imatrix
from quantcore.evaluate.importance_use import Pair, loudest, with_and_without
from quantcore.model.shipped import shipped_folder
from tests.support.app import drawn_charts, findings, finish_job, sentences, visit

TENSOR = "blk.1.ffn_down.weight"


@pytest.fixture(scope="module")
def shipped():
    return read_imatrix(shipped_folder() / "imatrix.gguf")


def test_the_shipped_matrix_is_of_the_shipped_model(shipped):
    """Measured again on the first chunks: a matrix of other weights would be far off."""
    model = open_model()
    assert (shipped.datasets, shipped.chunk_count) == (("calibration.txt",), 49)
    again = measure_imatrix(model)
    for name in shipped.sums:
        np.testing.assert_allclose(again.sums[name], shipped.sums[name], rtol=1e-4, err_msg=name)


def test_nothing_to_lose():
    flat = with_and_without(FORMATS["Q4_K"], np.zeros((2, 256), np.float32), np.ones(256, "f4"))
    assert "loses nothing" in words.changed(TENSOR, "Q4_K", flat)
    assert "never see an input" in words.loudest(TENSOR, loudest(np.float32([0, 0, 0, 1])))


def test_sentences_follow_the_numbers():
    better, worse = Pair((0.07, 0.08), (0.06, 0.03)), Pair((0.07, 0.07), (0.06, 0.066))
    assert "lowers the weighted error of layer 1 ffn_down by **50" in words.changed(
        TENSOR, "Q4_K", better
    )
    assert "raises" in words.changed(TENSOR, "Q4_K", worse)
    loud = np.ones(200, np.float32)
    loud[5] = 100
    assert words.loudest(TENSOR, loudest(loud)).startswith(
        "Column 5 of **layer 1 ffn_down** matters **100"
    )


@pytest.fixture
def nothing_kept():
    """Neither take what another test's pages kept, nor leave what this one's did."""
    for kept in (st.cache_data, st.cache_resource):
        kept.clear()
    yield
    for kept in (st.cache_data, st.cache_resource):
        kept.clear()


def test_a_matrix_of_zeros_is_warned_of(shipped, nothing_kept, monkeypatch):
    sums = dict(shipped.sums) | {TENSOR: np.zeros_like(shipped.sums[TENSOR])}
    monkeypatch.setattr(bench, "imatrix", lambda _: replace(shipped, sums=sums))
    app = visit("imatrix", tensor=TENSOR, weighted="Q4_K")
    assert not app.exception
    says = " ".join(sentences(app))
    assert "nothing but zeros for layer 1 ffn_down" in says
    says = " ".join(findings(app))
    assert "No column of **layer 1 ffn_down** ever saw an input" in says
    assert "Q4_K stores layer 1 ffn_down as **zeros**" in says


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_many_columns_are_merged(look):
    importance = np.arange(5000, dtype=np.float32)
    figure = charts.columns(importance, look)
    assert len(figure.checked.data[0].x) <= charts.AT_MOST
    assert list(figure.checked.data[1].x) == [4999, 4998, 4997]
    assert np.nanmax(figure.checked.data[0].y) == 4999


def test_the_page_shows_the_chosen_tensor_and_format(monkeypatch):
    heads = {}
    monkeypatch.setattr(tables, "download", lambda rows, keys, name: heads.update({name: keys}))
    app = visit("imatrix", tensor="blk.7.ffn_down.weight", weighted="IQ4_NL", row="3", block="2")
    assert not app.exception
    assert not sentences(app)
    findings = [each.value for each in app.header]
    assert "**layer 7 ffn_down**" in findings[0]
    assert findings[2].startswith("In IQ4_NL, the importance matrix lowers")
    assert len(drawn_charts(app)) == 3
    assert heads["imatrix_shares"] == ["tensor", "share_of_importance_in_the_loudest_hundredth"]
    assert heads["imatrix_errors"] == [
        "error", "relative_error_without_imatrix", "relative_error_with_imatrix",
    ]  # fmt: skip


def test_a_model_without_a_matrix_can_be_measured(own_models):
    app = visit("imatrix", model="small-toy")
    assert "There is no importance matrix for **small-toy** yet." in app.header[0].value
    assert app.button(key="measure_imatrix")
    model = open_model(own_models / "small-toy")
    measured = {}
    *_, last = imatrix_run.steps(model, measured)
    assert measured == {model.key: last.result}
    write_imatrix(model.path / "imatrix.gguf", last.result)
    app = visit("imatrix", model="small-toy", weighted="Q4_0")
    assert not app.exception
    assert len(drawn_charts(app)) == 3


def test_it_is_measured_from_the_page(own_models):
    app = visit("imatrix", model="small-toy", weighted="Q4_0")
    app.button(key="measure_imatrix").click().run()
    finish_job(app)
    assert not app.exception and not app.error
    assert len(drawn_charts(app)) == 3


def test_figures_are_never_those_of_another_matrix(own_models):
    """Measured here, measured again, laid beside the model, replaced there, taken away again."""
    name, tensor, place = "small-toy", "blk.0.ffn_up.weight", own_models / "small-toy"
    weights = open_model(place).weights(tensor)
    texts = ("the tree that told two tales " * 40, "nobody minded a river uphill " * 40)
    first, second = (measure_imatrix(open_model(place), text, 64) for text in texts)

    def right(imatrix):
        return with_and_without(FORMATS["Q4_0"], weights, imatrix.importance(tensor))

    def shown():
        return cache.with_and_without(name, tensor, "Q4_0")

    assert right(first) != right(second)
    bench.measured_imatrices()[bench.model(name).key] = first
    assert shown() == right(first)
    *_, again = imatrix_run.steps(bench.model(name), bench.measured_imatrices())
    assert right(again.result) != right(first)
    assert bench.imatrix(name) is first and shown() == right(first)
    for imatrix in (second, first, second):
        (place / "imatrix.gguf").unlink(missing_ok=True)
        write_imatrix(place / "imatrix.gguf", imatrix)
        assert shown() == right(imatrix)
    (place / "imatrix.gguf").unlink()
    assert shown() == right(first)


def test_the_matrix_of_another_model_is_one_sentence(own_models, shipped):
    write_imatrix(own_models / "small-toy" / "imatrix.gguf", shipped)
    app = visit("imatrix", model="small-toy")
    assert not app.exception
    assert len(sentences(app)) == 1
