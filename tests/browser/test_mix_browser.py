"""A mix changed by clicks, its recipe taken home, its file written, in a real browser."""

import re

import pytest

from quantcore import open_model, plan
from quantcore.recipe.overrides import read_overrides
from tests.browser.test_clicks import _click, _click_mark

pytestmark = pytest.mark.browser


def test_a_tensor_is_changed_and_the_recipe_and_the_file_say_so(visit, tmp_path):
    visitor = visit("mix")
    page, before = visitor.page, visitor.findings[0]
    _click(visitor, "mix_map", 0.5 / 7, 1.5 / 9)
    page.wait_for_url(re.compile(r"tensor=blk\.0\.attn_q\.weight"))
    box = visitor.settled().page.get_by_role("combobox", name="Store it as")
    box.fill("Q8_0")
    box.press("Enter")
    page.wait_for_url(re.compile(r"set=blk\.0\.attn_q(=|%3D)Q8_0"))
    assert visitor.settled().findings[0] != before and "more than before" in visitor.findings[0]

    recipe = tmp_path / "types.txt"
    recipe.write_text(visitor.download(page.get_by_role("button", name="Save the recipe")))
    planned = plan(open_model(), "Q4_K_M", overrides=read_overrides(recipe))
    types = {tensor.name: tensor.type for tensor in planned.tensors}
    assert types["blk.0.attn_q.weight"] == "Q8_0" and types["blk.1.attn_q.weight"] == "Q4_K"

    page.get_by_role("button", name="Write the GGUF file").click()
    button = page.get_by_role("button", name=re.compile("Download fable"))
    button.wait_for()  # with the patience of every visit, for the file is being written
    visitor.settled()
    with page.expect_download() as saved:
        button.click()
    file = tmp_path / "mine.gguf"
    saved.value.save_as(file)
    written = {name: tensor.dtype for name, tensor in open_model(file).tensors.items()}
    assert written == types
    assert visitor.problems == []


def test_a_recipe_is_loaded_and_a_bad_one_is_one_sentence(visit, tmp_path):
    visitor = visit("mix")
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("blk.[01].attn_k=q8_0\n")
    bad.write_text("attn_k=q9_k\n")
    upload = visitor.page.locator("input[type=file]")
    upload.set_input_files(good)
    visitor.page.wait_for_url(re.compile(r"set=blk\.0\.attn_k(=|%3D)Q8_0&set=blk\.1\.attn_k"))
    assert "2 tensors changed by hand" in visitor.settled().findings[0]
    upload.set_input_files(bad)
    visitor.page.get_by_text("There is no tensor type 'q9_k'").wait_for()
    assert "2 tensors changed by hand" in visitor.settled().findings[0]


def test_the_slider_moves_along_the_front_and_the_json_brings_a_mix_back(visit, tmp_path):
    visitor = visit("mix?by=measured+divergence")
    page, before, drawn = visitor.page, visitor.findings, visitor.drawn("mix_map")
    thumb = page.get_by_role("slider")
    thumb.focus()
    for _ in range(2):
        url = page.url
        thumb.press("PageDown")
        page.wait_for_url(lambda new, old=url: new != old and "budget=" in new)
        after = visitor.settled().findings
    bits = float(re.search(r"budget=(\d\.\d\d)bpw", page.url)[1])
    taken = float(re.search(r"([\d.]+) bits per weight", after[0])[1])
    assert bits - 0.05 < taken <= bits
    assert after[0] != before[0] and "predicted" in after[1]
    assert visitor.drawn("mix_map") != drawn

    saved, drawn = tmp_path / "recipe.json", visitor.drawn("mix_map")
    saved.write_text(visitor.download(page.get_by_role("button", name="Save as JSON")))
    other = visit("mix")
    assert other.drawn("mix_map") != drawn
    other.page.locator("input[type=file]").set_input_files(saved)
    other.page.get_by_role("heading", name="The loaded recipe takes").wait_for()
    assert other.settled().drawn("mix_map") == drawn
    size = re.compile(r"takes (.*? bits per weight)")
    assert size.search(other.findings[0])[1] == size.search(after[0])[1]

    bad = tmp_path / "bad.json"
    bad.write_text(saved.read_text().replace('"blk.0.attn_q.weight"', '"blk.99.attn_q.weight"'))
    other.page.locator("input[type=file]").set_input_files(bad)
    other.page.get_by_text("which has no blk.99.attn_q.weight").wait_for()
    assert other.settled().drawn("mix_map") == drawn and len(other.problems) == 1


def test_a_mark_of_the_chart_is_taken_over(visit):
    visitor = visit("mix")
    traces = visitor.chart("mix_divergence").evaluate(
        "chart => chart.data.map(trace => (trace.customdata || []).map(each => each[0]))"
    )
    fisher = next(i for i, ways in enumerate(traces) if "fisher" in ways)
    _click_mark(visitor, "mix_divergence", fisher, 2)
    visitor.page.wait_for_url(re.compile(r"by=Fisher"))
    assert visitor.settled().findings[0].startswith("The recipe by Fisher takes")
    assert visitor.problems == []
