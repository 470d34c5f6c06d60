"""Take pictures of every page: ``python -m tests.browser.screenshots [folder] [page ...]``.

Wide and narrow, light and dark, as whole pages; the README shows some of them.
"""

import sys
from pathlib import Path

from tests.browser.chromium import find
from tests.browser.server import ROOT, running
from tests.browser.visitor import Visitor, chromium

WIDTHS, SCHEMES = (1400, 420), ("light", "dark")
TALLEST = 9000  # pixels


def main(folder: str = "docs/screens", *pages: str) -> None:
    """Write ``<page>_<scheme>_<width>.png`` for each page, scheme and width."""
    target = ROOT / folder
    target.mkdir(parents=True, exist_ok=True)
    path = find()
    if path is None:
        sys.exit("No Chromium here: run python -m tests.browser.chromium to get one.")
    names = pages or sorted(page.stem for page in (ROOT / "pages").glob("[a-z]*.py"))
    with chromium(path) as browser, running() as address:
        for name in names:
            for scheme in SCHEMES:
                for width in WIDTHS:
                    visitor = Visitor(browser, address, width, scheme)
                    visitor.open("" if name == "home" else name)
                    _photograph(visitor, width, target / f"{name}_{scheme}_{width}.png")
                    visitor.close()


def _photograph(visitor: Visitor, width: int, target: Path) -> None:
    """Make the window as tall as the page, for a chart below the edge would not be drawn."""
    tall = visitor.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    visitor.page.set_viewport_size({"width": width, "height": min(tall + 20, TALLEST)})
    visitor.settled()
    visitor.page.wait_for_timeout(700)
    visitor.page.screenshot(path=target)
    print(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
