"""Recipes side by side on the page Drift: chosen, put together, measured, and what is said."""

import re
from dataclasses import replace

import pytest

from pages.drift import recipes_words as words
from pages.shared import bench, recipes
from pages.shared.charts.base import log_ticks
from pages.shared.charts.plane import Mark, plane
from pages.shared.palette import LIGHT
from quantcore.evaluate.measured_recipes import RECIPES
from quantcore.evaluate.recipes import get_recipe
from tests.support.app import drawn_charts, findings, finish_job, said, sentences, visit

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 6
THREE = ("INT4_G32_ASYM", "INT4_G32_ASYM by gptq", "INT2_G32_ASYM by hqq")


def _table(app):
    """Return the cells of the table of recipes, by recipe, in its order."""
    (table,) = (e.proto.body for e in app.get("html") if "Recipes ranked" in e.proto.body)
    rows = re.findall(r'<tr.*?><th scope="row">(.*?)</th>(.*?)</tr>', table)
    return {
        re.sub("<.*?>", "", head): re.findall("<td.*?>(.*?)</td>", cells) for head, cells in rows
    }


@pytest.fixture(scope="module")
def shipped():
    return recipes.shipped_rows("fable-7m")


def _rows(shipped, *names):
    known = {row.recipe.name: row for row in shipped}
    return sorted((known[name] for name in names), key=lambda row: row.mean_kl_divergence)


def test_the_page_opens_with_recipes_of_four_bits_side_by_side():
    app = visit("drift")
    assert any("comes closest of 9 recipes" in each for each in findings(app))
    table = _table(app)
    first, *others = table
    assert first == "original, BF16" and len(others) == 9
    assert "INT4_G128_ASYM by GPTQ" in others and "E8P4 by QuIP#" in others
    assert float(table["Q4_K_M"][0]) == pytest.approx(4.94, abs=0.01)
    assert table["INT4_G128_ASYM by AWQ"][-1] == "40 seconds"
    assert "Measure recipes" in [each.label for each in app.button]
    traces = [each for chart in drawn_charts(app) for each in chart["data"]]
    written = {each["text"][0] for each in traces if each["mode"] == "markers+text"}
    assert {"GPTQ", "AWQ", "Q4_K_M"} <= written


def test_the_outlier_model_is_compared_with_the_perplexity_of_what_it_computes():
    plain, other = (_table(visit("drift", model=m)) for m in ("fable-7m", "fable-7m-outliers"))
    assert plain["original, BF16"][2] == other["original, BF16"][2] != "not measured"
    assert plain["Q4_K_M"] != other["Q4_K_M"]


def test_the_address_says_which_recipes_and_may_name_any():
    app = visit("drift", recipes=["q4_k_m", "NF4 by GPTQ", "E8P2 by quip"])
    app.run()
    assert app.pills(key="recipes").value == ["Q4_K_M", "NF4 by GPTQ", "E8P2 by QuIP#"]
    assert list(_table(app))[1:] == ["Q4_K_M", "E8P2 by QuIP#"]
    assert "NF4 by GPTQ has not been measured on the evaluation text yet." in said(app)
    assert "no method called" in sentences(visit("drift", recipes="NF4 by magic"))[0]


def test_a_method_and_a_format_are_put_together():
    app = visit("drift", recipes="Q6_K")
    app.selectbox(key="recipe_method").set_value("quip").run()
    assert app.selectbox(key="recipe_format").options == ["E8P4", "E8P3", "E8P2"]
    app.selectbox(key="recipe_method").set_value("hqq").run()
    app.selectbox(key="recipe_format").set_value("INT2_G64_ASYM").run()
    app.button(key="add_recipe").click().run()
    assert app.pills(key="recipes").value == ["Q6_K", "INT2_G64_ASYM by HQQ"]
    assert list(_table(app))[1:] == ["Q6_K", "INT2_G64_ASYM by HQQ"]
    app.selectbox(key="recipe_method").set_value("imatrix").run()
    app.selectbox(key="recipe_format").set_value("Q2_K").run()
    app.button(key="add_recipe").click().run()
    assert app.pills(key="recipes").value[-1] == "Q2_K with imatrix"
    assert not app.exception and not sentences(app)


@pytest.mark.usefixtures("kept")
def test_what_is_measured_here_is_compared_token_by_token_and_kept(own_models):
    app = visit("drift", model="small-toy", text="own", recipes=list(THREE))
    app.text_area(key="own").set_value(TEXT).run()
    assert words.NOTHING_YET in findings(app)
    app.button(key="measure_recipes").click().run()
    finish_job(app)
    assert not sentences(app)
    (finding,) = (each for each in findings(app) if "comes closest" in each)
    assert "On the same tokens" in finding
    table = _table(app)
    assert {*table} > {recipes.called(get_recipe(name)) for name in THREE}
    for name in list(table)[1:]:
        assert "second" in table[name][-1] and "not" not in table[name][5]
    model = bench.model("small-toy")
    assert set(recipes.known(model, TEXT)) == set(THREE)
    assert not recipes.known(model, TEXT + "The end."), "another text"
    again = visit("drift", model="small-toy", text="own", recipes=list(THREE))
    again.text_area(key="own").set_value(TEXT).run()
    assert _table(again) == table


def test_what_cannot_be_measured_is_said_before(own_models):
    app = visit("drift", model="small-toy", recipes="INT4_G32_ASYM")
    assert words.SAME_TEXT in said(app) and app.button(key="measure_recipes").disabled
    app = visit("drift", model="small-toy", text="own", recipes="Q4_K pure by gptq")
    app.text_area(key="own").set_value(TEXT).run()
    assert "multiple of 256 weights" in said(app) and app.button(key="measure_recipes").disabled


def test_who_wins_and_whether_it_may_be_a_tie_follows_the_numbers(shipped):
    plain, gptq = "Q3_K pure", "Q3_K pure by gptq"
    found = words.finding(_rows(shipped, plain, gptq))
    assert found.startswith("**Q3_K pure by GPTQ** comes closest: **")
    assert found.endswith("which excludes a tie.") and "On the same tokens" in found
    one, other = (replace(row, kl_sums=None) for row in _rows(shipped, plain, gptq))
    tie = replace(one, more_low=-0.1, more_high=0.1)
    assert words.verdict(tie, other).endswith("holds zero: a tie.")
    far = replace(other, more_low=None)
    apart = replace(one, more_low=None)
    assert "are apart" in words.verdict(apart, far)
    assert "may be a tie" in words.verdict(replace(apart, kl_high=far.kl_low), far)
    near = replace(far, mean_kl_divergence=far.mean_kl_divergence / 1.04)
    assert "hardly less than" in words.finding([near, far])
    assert words.finding([replace(one, mean_kl_divergence=0.0)]).endswith("nothing at all.")


def test_what_is_worth_choosing_is_what_nothing_smaller_beats(shipped):
    every = _rows(shipped, *(each.name for each in RECIPES))
    found = words.frontier(every)
    assert found.startswith("Worth choosing between")
    a, b = _rows(shipped, "Q6_K", "E8P2 by quip")
    assert words.frontier([a, b]).endswith("fewer bits always cost more divergence.")
    worse = replace(b, mean_kl_divergence=1.0, bits_per_weight=9.0)
    assert words.frontier([a, worse]) == "No other is smaller than Q6_K."
    assert "For the other one, one of these" in words.frontier([a, b, worse])
    assert words.frontier([a]) == ""


def test_a_name_stands_on_no_line_and_a_mix_on_none():
    def mark(type, bits, error, joined=True):
        place = {"type": type, "bits_per_weight": bits, "error": error, "joined": joined}
        return Mark(by="rtn", tip="", name=type, **place)

    marks = [mark("NF4", 4.0, 0.1), mark("Q8_0", 8.0, 0.1), mark("Q4_K_M", 5.0, 0.05, False)]
    figure = plane(marks, LIGHT, title="", ticks=log_ticks(0.03, 0.2))
    lines = [each for each in figure.traces if each["mode"] == "lines"]
    assert [each["x"] for each in lines] == [[4.0, 8.0]]
    named = [each for each in figure.traces if each["mode"] == "markers+text"]
    places = {each["text"][0]: each["textposition"] for each in named}
    assert places["NF4"] != "middle right", "the line begins there"
