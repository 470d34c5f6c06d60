"""How long a visitor waits for a page's first chart.

``python -m benchmarks.first_chart [page ...]`` prints a Markdown table of seconds, the median of
some visits to a server that has drawn the page before: in a fresh window with an empty cache, which
fetches Streamlit and plotly, and again in the same window.
"""

import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser.chromium import find  # noqa: E402
from browser.server import running  # noqa: E402
from browser.visitor import Visitor, chromium  # noqa: E402

VISITS = 3
# Looked for in every frame: a locator looks every half second only.
DRAWN = "document.querySelector('.js-plotly-plot .main-svg')?.getBoundingClientRect().width > 0"


def seconds(visitor: Visitor, path: str) -> float:
    """Time one visit, from the request to the first drawn chart."""
    start = time.perf_counter()
    visitor.page.goto(f"{visitor.address}/{path}")
    visitor.page.wait_for_function(DRAWN)
    passed = time.perf_counter() - start
    visitor.settled()
    return passed


def visit(browser, address: str, path: str) -> tuple[float, float]:
    """Time the first visit of a fresh window, and the second."""
    visitor = Visitor(browser, address)
    times = seconds(visitor, path), seconds(visitor, path)
    visitor.close()
    return times


def main(*wanted: str) -> None:
    """Run the command, for all pages or some."""
    path = find()
    if path is None:
        sys.exit("No Chromium here: run python -m tests.browser.chromium to get one.")
    pages = wanted or sorted(page.stem for page in (ROOT / "pages").glob("[a-z]*.py"))
    print("| page | fresh window, s | again, s |\n|---|---:|---:|")
    with chromium(path) as browser, running() as address:
        for name in pages:
            there = "" if name == "home" else name
            visit(browser, address, there)  # the first visit of all warms the server
            first, again = zip(
                *[visit(browser, address, there) for _ in range(VISITS)], strict=True
            )
            print(f"| {name} | {median(first):.1f} | {median(again):.1f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
