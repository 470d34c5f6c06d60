"""The model with outlier channels on the bench: every page."""

import pytest

from pages.shared import bench
from tests.support.app import said, sentences, visit

NAME = "fable-7m-outliers"
PAGES = ["home", "weights", "mix", "sensitivity", "memory"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_draws_it_and_speaks_of_it(page):
    app = visit(page, model=NAME)
    assert not app.exception
    assert not sentences(app)
    assert app.selectbox(key="model").value == NAME
    assert "It computes what fable-7m computes" in said(app)
    assert "made of another model" not in said(app)


def test_the_picker_lists_it_after_the_plain_one():
    assert bench.every_shipped() == ["fable-7m", NAME]
    assert bench.shipped() == "fable-7m"


def test_home_switches_between_the_two():
    app = visit("home")
    app.segmented_control(key="shipped_model").set_value(NAME).run()
    assert not app.exception and not sentences(app)
    assert app.selectbox(key="model").value == NAME
    app.segmented_control(key="shipped_model").set_value("fable-7m").run()
    assert app.selectbox(key="model").value == "fable-7m"
