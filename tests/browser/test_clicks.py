"""Clicks and dials on Weights, Block, Scales, Error by layer and Memory, in a real browser."""

import csv
import io
import re

import pytest
from playwright.sync_api import expect

from tests.support.patience import wait_until

pytestmark = pytest.mark.browser


def _click(visitor, key, across, down):
    """Click into a chart, at shares of its plotting area."""
    _click_where(visitor, key, lambda chart: (across, down), "_hoverdata?.length")


def _click_mark(visitor, key, trace, mark):
    """Click on a mark of a chart."""

    def where(chart):
        return chart.evaluate(
            """(chart, [trace, mark]) => {
                const {xaxis, yaxis} = chart._fullLayout, point = chart.calcdata[trace][mark];
                return [xaxis.c2p(point.x) / xaxis._length, yaxis.c2p(point.y) / yaxis._length];
            }""",
            [trace, mark],
        )

    is_it = f"({{curveNumber, pointNumber}}) => curveNumber === {trace} && pointNumber === {mark}"
    _click_where(visitor, key, where, f"_hoverdata?.some({is_it})")


def _click_where(visitor, key, where, hovered):
    """Click once plotly knows what the mouse is above: that is what it will tell of.

    A page may still move while it is scrolled, so the mouse follows the chart until it is there.
    """
    chart = visitor.chart(key)
    area = chart.locator(".nsewdrag").first
    area.scroll_into_view_if_needed()
    visitor.settled()

    def is_above():
        across, down = where(chart)
        box = area.bounding_box()
        x, y = box["x"] + across * box["width"], box["y"] + down * box["height"]
        chart.evaluate("chart => { delete chart._hoverdata; }")
        visitor.page.mouse.move(x - 1, y)
        visitor.page.mouse.move(x, y)
        known = chart.evaluate(_HOVERED.replace("HOVERED", f"chart.{hovered}"))
        return known and area.bounding_box() == box and (x, y)

    x, y = wait_until(is_above)
    visitor.page.mouse.click(x, y)


_HOVERED = """chart => new Promise((told, frames = 0) => requestAnimationFrame(function look() {
    if (HOVERED) told(true);
    else if (++frames > 30) told(false);
    else requestAnimationFrame(look);
}))"""


def test_a_cell_of_the_map_opens_its_tensor(visit):
    visitor = visit("weights")
    _click(visitor, "weights_map", 6.5 / 7, 0.95)
    visitor.page.wait_for_url(re.compile(r"tensor=blk\.7\.ffn_down\.weight"))
    assert "layer 7 ffn_down" in visitor.settled().findings[0]


def test_a_choice_on_one_page_presses_no_button_on_the_next(visit):
    visitor = visit("weights")
    visitor.page.get_by_role("radio", name="spread").click()
    visitor.settled()
    visitor.page.get_by_role("link", name="Drift").first.click()
    visitor.page.get_by_role("heading", name="Q4_K_M raises perplexity").wait_for()
    assert visitor.settled().problems == []


def test_a_cell_and_a_row_lead_to_the_microscope(visit):
    visitor = visit("layer_error?types=Q8_0")
    _click(visitor, "layer_map", 0.5 / 7, 1.5 / 9)
    visitor.page.wait_for_url(re.compile(r"tensor=blk\.0\.attn_q\.weight"))
    visitor.settled()
    _click_mark(visitor, "layer_rows", 0, 7)
    visitor.page.get_by_role("button", name="Row 7 under the microscope").click()
    visitor.page.get_by_role("heading", name="Block microscope", level=1).wait_for()
    visitor.page.wait_for_url(re.compile(r"/block\?.*row=7"))
    assert visitor.settled().problems == []
    finding = visitor.findings[0]
    visitor.page.go_back()  # once, to the tensor that was left
    visitor.page.get_by_role("heading", name="Error by layer", level=1).wait_for()
    visitor.page.wait_for_url(re.compile(r"/layer_error\?.*tensor=blk\.0\.attn_q\.weight"))
    assert "layer 0 attn_q" in " ".join(visitor.settled().findings)
    visitor.page.go_forward()
    visitor.page.get_by_role("heading", name="Block microscope", level=1).wait_for()
    assert visitor.settled().findings[0] == finding


def test_a_scale_on_the_map_chooses_its_row(visit):
    visitor = visit("scales")
    _click(visitor, "scales_map", 0.5, 0.5)
    visitor.page.wait_for_url(re.compile(r"row=\d+"))
    assert visitor.settled().problems == []


def test_a_weight_chooses_its_sub_block(visit):
    visitor = visit("block?type=Q4_K")
    before = visitor.drawn("block_line")
    _click_mark(visitor, "block_super", 0, 170)
    visitor.page.wait_for_url(re.compile("part=5"))
    assert visitor.settled().drawn("block_line") != before


def test_a_dial_moves_the_grid_at_once_and_goes_back(visit):
    visitor = visit("block?row=0")
    before = visitor.drawn("block_line")
    visitor.page.locator("[data-testid=stSlider] input").first.focus()
    visitor.page.keyboard.press("ArrowLeft")
    expect(visitor.page.get_by_role("heading", name="With your settings (3 bits)")).to_be_visible()
    assert visitor.settled().drawn("block_line") != before
    assert "dial_bits=3" in visitor.page.url
    bytes_ = visitor.page.get_by_role("option")
    bytes_.and_(visitor.page.locator("[tabindex='0']")).focus()  # the one stop among 18
    visitor.page.keyboard.press("Home")
    for i in range(bytes_.count()):
        expect(bytes_.nth(i)).to_be_focused()
        visitor.page.keyboard.press("ArrowRight")
    visitor.page.get_by_role("button", name="Back to Q4_0").click()
    expect(visitor.page.get_by_role("heading", name="Q4_0 stores these")).to_be_visible()
    assert visitor.settled().drawn("block_line") == before


def test_memory_follows_a_choice_and_is_saved_as_csv(visit):
    visitor = visit("memory?context=131072")
    button = visitor.page.locator(".st-key-memory_terms_csv button")
    visitor.page.get_by_text(re.compile(r"All \d+ terms")).click()
    rows = list(csv.DictReader(io.StringIO(visitor.download(button))))
    assert [int(row["bytes"]) for row in rows if row["kind"] == "cache"] == [16 * 2**30]
    visitor.page.get_by_role("radio", name="llama.cpp").click()
    expect(visitor.page.get_by_role("heading", name="fits in part")).to_be_visible()
    assert "runtime=llama.cpp" in visitor.page.url
    button = visitor.page.locator(".st-key-memory_table_csv button")
    rows = list(csv.DictReader(io.StringIO(visitor.download(button))))
    assert {row["type"] for row in rows} >= {"F16", "Q4_K_M"}
    assert rows[0]["131072_fits"] == "in part"


def test_a_files_tensors_are_saved_as_csv_and_a_group_is_enlarged(visit):
    visitor = visit("file?file=as+Q4_K_M")
    visitor.page.get_by_text(re.compile(r"Table of \d+ tensors$")).click()
    button = visitor.page.locator(".st-key-file_tensors_csv button")
    rows = list(csv.DictReader(io.StringIO(visitor.download(button))))
    types = {row["tensor"]: row["type"] for row in rows}
    assert len(rows) == 74 and types["token_embd.weight"] == "Q6_K"
    assert all(row["rule"] for row in rows)

    area = "chart => chart.querySelectorAll('.treemaplayer .slice').length"
    before = visitor.chart("file_tree").evaluate(area)
    visitor.chart("file_tree").get_by_text("ffn_down").first.click(force=True)
    visitor.page.wait_for_function(
        f"([chart, before]) => ({area})(chart) < before",
        arg=[visitor.chart("file_tree").element_handle(), before],
    )


def test_another_file_type_changes_the_page_and_its_address(visit):
    visitor = visit("file")
    box = visitor.page.get_by_role("combobox", name="File", exact=True)
    box.fill("as Q2_K")
    box.press("Enter")
    expect(visitor.page.get_by_role("heading", name="Q2_K would hold")).to_be_visible()
    visitor.settled()
    assert "file=as+Q2_K" in visitor.page.url.replace("%20", "+")
    visitor.page.get_by_role("button", name="Write it and open it").click()
    expect(visitor.page.get_by_role("heading", name="Q2_K holds")).to_be_visible()
    assert visitor.settled().problems == []


def test_a_cell_of_the_sensitivity_map_opens_its_tensor(visit):
    visitor = visit("sensitivity?type=Q3_K")
    _click(visitor, "sensitivity_map", 6.5 / 7, 8.5 / 9)
    visitor.page.wait_for_url(re.compile(r"tensor=blk\.7\.ffn_down\.weight"))
    assert "<b>layer 7 ffn_down</b>" in visitor.settled().drawn("sensitivity_worst")
    visitor.page.get_by_role("button", name="Its scales").click()
    visitor.page.get_by_role("heading", name="Scales", level=1).wait_for()
    visitor.page.wait_for_url(re.compile(r"/scales\?.*tensor=blk\.7\.ffn_down\.weight"))
    assert "type=Q3_K" in visitor.settled().page.url
    assert visitor.problems == []


def test_marks_of_sensitivity_choose_their_tensor(visit):
    visitor = visit("sensitivity")
    _click_mark(visitor, "sensitivity_worst", 0, 2)
    visitor.page.wait_for_url(re.compile(r"tensor=blk\."))
    name = visitor.settled().chart("sensitivity_worst").evaluate("c => c.data[0].customdata[2]")
    assert f"tensor={name}" in visitor.page.url
    visitor.chart("sensitivity_guides").scroll_into_view_if_needed()  # below the edge it is blank
    visitor.settled()
    name = visitor.chart("sensitivity_guides").evaluate("c => c.data[0].customdata[30]")
    _click_mark(visitor, "sensitivity_guides", 0, 30)
    visitor.page.wait_for_url(re.compile(f"tensor={re.escape(name)}"))
    assert visitor.settled().problems == []


def test_a_format_is_chosen_on_the_map_of_layers(visit):
    visitor = visit("sensitivity?changed=layers")
    _click(visitor, "sensitivity_groups", 0.5 / 8, 0.5 / 8)
    expect(visitor.page.get_by_role("heading", name="In Q2_K, layer")).to_be_visible()
    visitor.page.wait_for_url(re.compile("type=Q2_K"))
