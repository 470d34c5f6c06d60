"""The model with outlier channels on the bench: every page, with figures of its own."""

import pytest

from pages.shared import bench, drifts, shipped
from quantcore.evaluate.text import evaluation_text
from tests.support.app import drawn_charts, said, sentences, visit
from tests.support.places import ROOT

NAME = "fable-7m-outliers"
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_draws_it_and_speaks_of_it(page):
    app = visit(page, model=NAME)
    assert not app.exception
    assert not sentences(app)
    assert drawn_charts(app)
    assert app.selectbox(key="model").value == NAME
    assert "It computes what fable-7m computes" in said(app)
    assert "made of another model" not in said(app)


def test_the_picker_lists_it_after_the_plain_one():
    assert bench.every_shipped() == ["fable-7m", NAME]
    assert bench.shipped() == "fable-7m"


def test_home_switches_between_the_two():
    app = visit("home")
    assert "Each mark is fable-7m stored" in said(app)
    app.segmented_control(key="shipped_model").set_value(NAME).run()
    assert not app.exception and not sentences(app)
    assert app.selectbox(key="model").value == NAME
    assert f"Each mark is {NAME} stored" in said(app)
    assert f"Unrounded, {NAME} computes exactly what fable-7m computes" in said(app)
    assert "Llama-3-8B loses 0.031" in said(app)
    app.segmented_control(key="shipped_model").set_value("fable-7m").run()
    assert "Each mark is fable-7m stored" in said(app)
    assert "Unrounded" not in said(app)


def test_its_figures_are_its_own():
    text = evaluation_text()
    mine, plain = (
        drifts.results(bench.model(name), text, 512).drifts["Q4_K_M"] for name in (NAME, "fable-7m")
    )
    assert mine.base_perplexity == pytest.approx(plain.base_perplexity, rel=1e-6)
    assert mine.mean_kl_divergence > 20 * plain.mean_kl_divergence
    name, type = "blk.0.ffn_down.weight", "Q4_K"
    errors = [shipped.known_errors(each)[name, type, False] for each in (NAME, "fable-7m")]
    assert errors[0] != errors[1]


MADE = "fable-7m+norms=1x16~0.2"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_draws_one_that_the_outlier_lab_made(page):
    app = visit(page, model=MADE)
    assert not app.exception
    assert not sentences(app)
    assert app.selectbox(key="model").value == MADE
    assert "It computes what fable-7m computes" in said(app)


def test_the_outlier_lab_puts_its_setting_on_the_bench():
    app = visit("methods", tensor="blk.2.ffn_up.weight", outlier_kind="loud inputs")
    button = app.button(key="take_outliers")
    assert button.label == "Put fable-7m+norms=2x64~0 on the bench"
    button.click().run()
    assert not app.exception and not sentences(app)
    assert app.selectbox(key="model").value == "fable-7m+norms=2x64~0"
    app.selectbox(key="model").set_value("fable-7m").run()
    assert not app.exception
    assert "fable-7m+norms=2x64~0" in app.selectbox(key="model").options[-1]


@pytest.mark.parametrize(
    "asked",
    ["fable-7m+norms=1", "fable-7m+seed=3", "../x+norms=1x2~0", "fable-7m-outliers+norms=1x2~0"],
)
def test_a_link_to_what_cannot_be_made_says_so(asked):
    app = visit("home", model=asked)
    assert not app.exception
    text = said(app)
    assert "which is not here" in text or "This model cannot be opened" in text
