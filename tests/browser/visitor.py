"""A person at a browser, with an eye on what leaves the machine."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect, sync_playwright

from tests.support.patience import PATIENCE_S
from tests.support.places import ROOT

PATIENCE_MS = 1000 * PATIENCE_S
BUSY = "[data-testid=stStatusWidget], [data-testid=stSkeleton], [data-stale=true]"
REST_FRAMES = 40  # counted, not timed: on slow machines one more run is asked for only later
_RESTED = """([busy, enough]) => {
    window.restedFrames = document.querySelector(busy) ? 0 : window.restedFrames + 1;
    return window.restedFrames > enough;
}"""
_WALK = """url => {
    history.pushState({}, "", url);
    window.dispatchEvent(new PopStateEvent("popstate", {state: {}}));
}"""
_DRAWN = """chart => {
    const {clickmode, ...layout} = chart.layout;
    return JSON.stringify([chart.data, layout]);
}"""

# A chart is as wide as its window, and paper is 273 mm wide at least: 1032 pixels in a browser.
# All in one go, for Streamlit draws a chart anew where there is time to see that its place changed.
_CUT_OFF = """() => {
    window.dispatchEvent(new Event("beforeprint"));
    const main = document.querySelector("[data-testid=stMainBlockContainer]");
    main.style.width = "1032px";
    const edge = main.getBoundingClientRect().right;
    const cut = [...document.querySelectorAll(".js-plotly-plot")].filter((chart) => {
        const paper = chart.querySelector(".main-svg");
        const scale = paper.getBoundingClientRect().width / (paper.viewBox.baseVal?.width || 1);
        return paper.getBoundingClientRect().right > edge + 1 || scale > 1.001;
    });
    main.style.width = "";
    window.dispatchEvent(new Event("afterprint"));
    return cut.map((chart) => chart.closest("[class*=_frame]").className);
}"""
AXE = ROOT / "tests/browser/axe/axe.min.js"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
_VIOLATIONS = """() => axe.run({resultTypes: ["violations"]}).then(({violations}) => violations
    .filter(({impact}) => impact !== "minor")
    .flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.html.slice(0, 200)}`)))"""

expect.set_options(timeout=PATIENCE_MS)  # Playwright's own is 5 s


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Start a browser; as root it runs without its sandbox, as Chromium demands."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    flags = ["--disable-dev-shm-usage", "--disable-gpu"]  # drawing without one is a quarter faster
    flags += ["--no-sandbox"] if root else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@cache
def axe() -> str:
    """Read axe-core, as its package has it."""
    source = AXE.read_bytes()
    assert hashlib.sha256(source).hexdigest() == AXE_SHA256
    return source.decode()


class Visitor:
    """One visit to the lab: a window of its own."""

    def __init__(self, browser: Browser, address: str, width: int = 1400, scheme: str = "light"):
        self.address = address
        self._context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.strangers: list[str] = []  # requests to anything but the lab
        self.page.on("request", lambda request: self._note(request.url))
        self.errors: list[str] = []  # what the browser's console says
        self.page.on("console", lambda line: line.type == "error" and self.errors.append(line.text))
        self.page.on("websocket", lambda socket: self._note(socket.url.replace("ws://", "http://")))

    def open(self, path: str) -> "Visitor":
        """Go to a page of the lab and wait until it is drawn."""
        self.page.goto(f"{self.address}/{path}")
        self.page.locator("h1").first.wait_for()
        return self.settled()

    def walk_to(self, path: str) -> "Visitor":
        """Go to another page as Back and Forward do: the window stays, with what it has read."""
        self.page.evaluate(_WALK, f"{self.address}/{path}")
        here = self.page.locator(f"[data-testid=stTopNavLink][href='{self.address}/{path}']")
        expect(here).to_have_attribute("aria-current", "page")
        return self.settled()

    def settled(self) -> "Visitor":
        """Wait until the script has come to rest, and stayed there for a while."""
        self.page.evaluate("window.restedFrames = 0")
        try:
            self.page.wait_for_function(_RESTED, arg=[BUSY, REST_FRAMES])
        except TimeoutError as error:
            error.add_note(f"{self.page.url} never rests; the console says {self.errors[-5:]}")
            raise
        return self

    @property
    def problems(self) -> list[str]:
        """Exceptions and errors that the page shows."""
        return self.page.locator(
            "[data-testid=stException], [data-testid=stAlert]"
        ).all_inner_texts()

    @property
    def barriers(self) -> list[str]:
        """What axe-core finds on the page that keeps somebody out: all that is not minor."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(axe())
        return self.page.evaluate(_VIOLATIONS)

    @property
    def cut_off_on_paper(self) -> list[str]:
        """Charts that reach over the edge of a sheet, or fill it though they are small."""
        self.page.emulate_media(media="print")
        cut = self.page.evaluate(_CUT_OFF)
        self.page.emulate_media(media="screen")
        return cut

    @property
    def findings(self) -> list[str]:
        """The headlines above the charts."""
        return self.page.locator("h2").all_inner_texts()

    def chart(self, key: str) -> Locator:
        """Find a chart by its key."""
        return self.page.locator(f".st-key-{key}_frame .js-plotly-plot")

    def drawn(self, key: str) -> str:
        """Everything that plotly was given to draw in a chart.

        What a click on it does is left out: Streamlit sets that some time after the first drawing.
        """
        return self.chart(key).evaluate(_DRAWN)

    def download(self, button: Locator) -> str:
        """Press a button that saves a file, and read the file."""
        button.wait_for()
        self.settled()  # a button that is drawn anew while it is pressed saves nothing
        with self.page.expect_download() as saved:
            button.click()
        with open(saved.value.path(), encoding="utf-8", newline="") as file:
            return file.read()

    def close(self) -> None:
        """Leave."""
        self._context.close()

    def _note(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.strangers.append(url)
