"""The main ways through the lab, in a real browser."""

import csv
import io
import re
import struct
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageStat
from playwright.sync_api import expect

from tests.browser.server import ROOT, running
from tests.browser.visitor import Visitor
from tests.support.hostile import TEXT

pytestmark = pytest.mark.browser
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))
ADDRESSES = {page: "" if page == "home" else page for page in PAGES}
LIGHT, DARK = "rgb(252, 251, 248)", "rgb(22, 22, 26)"
QUICK = "drift?types=Q8_0&types=Q4_0&type=Q4_0"


@pytest.mark.parametrize("page", ["block", "drift"])
def test_a_deep_link_is_a_good_first_visit(browser, page):
    """To a server that nobody has visited; of all pages a rule of the house says it."""
    with running() as address:
        visitor = Visitor(browser, address)
        visitor.open(f"{page}?type=Q5_K")
        expect(visitor.page.get_by_role("link", name="Block microscope")).to_be_visible()
        expect(visitor.page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
        assert visitor.problems == []
        assert visitor.strangers == []
        assert visitor.page.get_by_text("Page not found").count() == 0
        visitor.close()


@pytest.fixture(scope="module")
def windows():
    """Those that are open: one at most."""
    windows = []
    yield windows
    for window in windows:
        window.close()
        assert window.strangers == []


@pytest.fixture
def walker(request, browser, lab, windows):
    """One window for all pages: a new one takes longer than a page. One that failed is closed."""
    if not windows:
        windows.append(Visitor(browser, lab).open("?type=Q5_K"))
    before = request.session.testsfailed
    yield windows[0]
    if request.session.testsfailed > before:
        windows.pop().close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_open_to_everybody_on_a_phone_a_screen_and_paper(walker, page):
    walker.page.set_viewport_size({"width": 1280, "height": 720})
    walker.page.emulate_media(color_scheme="light")
    walker.settled().walk_to(ADDRESSES[page])  # a change of width is told to the page it is on
    assert walker.problems == []
    assert walker.barriers == []
    height, shown = walker.page.evaluate(_SHOWN)
    assert shown >= min(SHOWN, 0.9 * height), "of the first chart, before anybody scrolls"
    assert walker.cut_off_on_paper == []

    walker.page.emulate_media(color_scheme="dark")
    walker.page.set_viewport_size({"width": 390, "height": 900})
    walker.settled()
    assert walker.problems == []
    assert _width(walker, "[data-testid=stMain]") <= 390
    assert _paper(walker) == DARK
    assert walker.page.evaluate(_CUT_CHOICES) == []
    assert walker.page.evaluate(_UNREADABLE) == []
    assert walker.barriers == []


SHOWN = 200  # pixels of the first chart
_SHOWN = """() => {
    const {top, bottom} = document.querySelector(".js-plotly-plot").getBoundingClientRect();
    return [bottom - top, Math.min(bottom, innerHeight) - top];
}"""
# Whatever can be chosen is on the screen, or its own box scrolls to it.
_CUT_CHOICES = """() => [...document.querySelectorAll("[role=radio], [data-testid=stPills] button")]
    .filter((choice) => {
        const {left, right} = choice.getBoundingClientRect();
        const group = choice.closest("[role=radiogroup]")?.parentElement.getBoundingClientRect();
        return right > left && (left < 0 || right > (group?.right ?? innerWidth) + 1
            || choice.scrollWidth > choice.clientWidth + 1);
    }).map((choice) => choice.innerText)"""

# A type's mark on one line, and its name on the next.
_MARKS_ALONE = """() => [...document.querySelectorAll(".lab-table .swatch")]
    .map((mark) => mark.parentElement).filter((head) => head.offsetHeight > 40)
    .map((head) => head.innerText)"""

# Words of a chart that cover each other, or reach over its edge.
_UNREADABLE = """() => [...document.querySelectorAll(".js-plotly-plot")].flatMap((chart) => {
    const edge = chart.getBoundingClientRect();
    const words = [...chart.querySelectorAll("text")].filter((text) => text.textContent.trim()
        && getComputedStyle(text).visibility !== "hidden" && text.getBoundingClientRect().width);
    const boxes = words.map((text) => text.getBoundingClientRect());
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
    const over = (box) => box.left < edge.left - 1 || box.right > edge.right + 1;
    const covers = (box, i) => boxes.some((other, j) => j < i && meet(box, other));
    return words.filter((_, i) => over(boxes[i]) || covers(boxes[i], i)).map((w) => w.textContent);
})"""


def _width(visitor, selector):
    return visitor.page.evaluate(f"document.querySelector('{selector}').scrollWidth")


def _paper(visitor):
    paper = visitor.page.locator(".js-plotly-plot .main-svg").first
    return paper.evaluate("paper => getComputedStyle(paper).backgroundColor")


def test_a_chart_follows_a_switch_of_theme(visit):
    visitor = visit("")
    assert _paper(visitor) == LIGHT
    visitor.page.emulate_media(color_scheme="dark")
    paper = visitor.page.locator(".st-key-home_size_frame .main-svg").first
    expect(paper).to_have_css("background-color", DARK)
    visitor.settled()
    assert _brightness(visitor.page.screenshot()) < 100
    visitor.page.emulate_media(media="print")
    assert _brightness(visitor.page.screenshot()) > 200, "a sheet is dark on white"


def _brightness(picture):
    return ImageStat.Stat(Image.open(io.BytesIO(picture)).convert("L")).mean[0]


def test_another_format_changes_chart_finding_and_address(visit):
    visitor = visit("drift?type=Q4_K")
    before = visitor.drawn("drift_size")
    box = visitor.page.get_by_role("combobox", name="Show details for")
    box.fill("Q2_K")
    box.press("Enter")
    expect(visitor.page.get_by_role("heading", name="Q2_K raises perplexity")).to_be_visible()
    visitor.settled()
    assert visitor.drawn("drift_size") != before
    assert "type=Q2_K" in visitor.page.url


def test_one_format_throughout_is_chosen_and_goes_along(visit):
    visitor = visit("drift?type=Q4_K")
    expect(visitor.page.get_by_role("heading", name="Q4_K_M raises perplexity")).to_be_visible()
    visitor.page.get_by_role("radio", name="pure").click()
    expect(visitor.page.get_by_role("heading", name="Q4_K pure raises perplexity")).to_be_visible()
    visitor.settled()
    assert "way=pure" in visitor.page.url
    text = visitor.download(visitor.page.get_by_role("button", name="Save CSV").first)
    named = {row["type"] for row in csv.DictReader(io.StringIO(text))}
    assert {"Q8_0 pure", "Q4_K pure", "INT4_G128"} <= named and "Q4_K_M" not in named
    visitor.page.get_by_role("link", name="Memory").click()
    visitor.page.get_by_role("heading", name="Memory", level=1).wait_for()
    assert "Q4_K pure" in visitor.settled().findings[0]


def test_a_name_with_pure_in_the_address_is_one_format(visit):
    visitor = visit("drift?type=Q4_K+pure")
    expect(visitor.page.get_by_role("heading", name="Q4_K pure raises perplexity")).to_be_visible()
    visitor.page.get_by_role("link", name="Block microscope").click()
    visitor.page.get_by_role("radio", name="From the model").click()
    expect(visitor.page.get_by_role("heading", name="Q4_K stores these")).to_be_visible()
    assert visitor.settled().problems == []


def test_a_choice_goes_along_to_the_next_page(visit):
    visitor = visit("drift?type=INT4_G64&large=true")
    letters = "() => ['h1', '.xtick text'].map(each => parseFloat(getComputedStyle("
    letters += "document.querySelector(each)).fontSize))"
    assert visitor.page.evaluate(letters) == pytest.approx([1.3 * 2.3 * 16, 1.3 * 12])
    visitor.page.get_by_role("link", name="Block microscope").click()
    visitor.page.get_by_role("heading", name="Block microscope", level=1).wait_for()
    visitor.page.get_by_text("From the model").click()
    expect(visitor.page.get_by_role("heading", name="INT4_G64 stores these")).to_be_visible()
    visitor.settled()
    assert "type=INT4_G64" in visitor.page.url and "example=From+the+model" in visitor.page.url
    assert "large=true" in visitor.page.url


def test_a_click_on_a_matrix_opens_its_weights(visit):
    visitor = visit("")
    visitor.chart("home_anatomy").locator(".barlayer .point path").nth(10).click(force=True)
    visitor.page.get_by_role("heading", name="Weights", level=1).wait_for()
    expect(visitor.page).to_have_url(f"{visitor.address}/weights?tensor=blk.1.attn_v.weight")


def test_a_click_on_a_mark_looks_closely_at_it(visit):
    visitor = visit("drift?type=Q4_K")
    marks = visitor.chart("drift_size").locator(".scatterlayer .trace path.point")
    names = visitor.chart("drift_size").evaluate("c => c.data.map(t => (t.customdata ?? [])[0])")
    marks.nth([name for name in names if name is not None].index("Q8_0")).click(force=True)
    expect(visitor.page.get_by_role("heading", name="Q8_0 leaves perplexity")).to_be_visible()


_WATCH_HEIGHT = """panel => {
    window.heights = [];
    new ResizeObserver(() => heights.push(panel.offsetHeight)).observe(panel);
}"""


def test_a_drift_run_can_be_cancelled_and_ends(visit):
    visitor = visit("drift")
    page = visitor.page
    page.get_by_role("button", name="Measure", exact=True).click()
    course = page.locator(".st-key-job_panel .js-plotly-plot").element_handle()
    page.locator(".st-key-job_panel").evaluate(_WATCH_HEIGHT)
    page.wait_for_function("chart => !chart.isConnected", arg=course)  # a longer curve came
    assert len(set(page.evaluate("heights"))) == 1, "the page jumps when the chart is drawn anew"
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled; nothing of that run was kept")).to_be_visible()

    visitor = visit(f"{QUICK}&text=passage")
    page = visitor.page
    assert page.locator("table.lab-table").count() == 0
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.get_by_role("rowheader", name="Q8_0")).to_be_visible()
    assert visitor.settled().problems == []


def test_a_table_is_saved_as_csv_that_parses(visit):
    visitor = visit("drift?type=Q2_K")
    text = visitor.download(visitor.page.get_by_role("button", name="Save CSV").first)
    rows = list(csv.DictReader(io.StringIO(text)))
    kl = {row["type"]: float(row["mean_kl_nats"]) for row in rows}
    assert 0 < kl["Q8_0"] < kl["Q4_K_M"] < kl["Q2_K"]
    shown = visitor.page.locator("table.lab-table").first.locator("tbody th").all_inner_texts()
    assert shown == [row["type"] for row in rows]


def test_a_chart_is_saved_as_a_picture_that_stands_by_itself(visit):
    visitor = visit("drift?type=Q4_K_M")
    text = visitor.download(
        visitor.page.get_by_role("button", name="drift-size-fable-7m-Q4_K_M” as SVG")
    )
    assert ElementTree.fromstring(text).tag.endswith("svg")
    said = " ".join(re.sub(r"<style.*?</style>", "", text).split())
    finding = visitor.findings[0].split(";")[0]
    assert finding in re.sub(r"</text><text[^>]*>", " ", said), "its title"
    assert "Quantlab, Drift: fable-7m, Q4_K_M" in said and "Q4_K_M</" in said
    assert '@font-face {font-family: "Source Sans"' in text and "base64," in text

    with visitor.page.expect_download() as saved:
        visitor.page.get_by_role("button", name="as PNG").first.click()
    assert saved.value.suggested_filename == "quantlab-drift-size-fable-7m-Q4_K_M.png"
    png = Path(saved.value.path()).read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    visitor.page.set_content(f"<body style='margin: 0'>{text}")
    *size, outside = visitor.page.evaluate(_OUTSIDE)
    assert size == pytest.approx([width / 2, height / 2], abs=1) and not outside


# Size of a picture, and the words that reach over its edge.
_OUTSIDE = """async () => {
    await document.fonts.ready;
    const svg = document.querySelector("svg"), edge = svg.getBoundingClientRect();
    const outside = [...svg.querySelectorAll("text")].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < edge.left || box.right > edge.right
            || box.top < edge.top || box.bottom > edge.bottom;
    });
    return [edge.width, edge.height, outside.map((text) => text.textContent)];
}"""


def test_text_from_outside_draws_nothing_and_asks_for_nothing(visit):
    """What each page hands to the browser tests/pages/test_outside.py looks at."""
    visitor = visit(f"mix?{urlencode({'set': TEXT})}")
    alert = visitor.page.get_by_test_id("stAlert")
    expect(alert).to_contain_text("![zq](zq.png) <img src=zq> $zq$", timeout=10_000)
    assert ":red[zq] <a href=zq>" in alert.inner_text()
    assert alert.locator("img, a, .katex, [class*=Colored]").count() == 0
    assert "🎉" not in alert.inner_text()
    assert visitor.strangers == []
