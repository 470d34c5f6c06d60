"""Visit pages without a browser, and read what they show."""

import json
from functools import cache

from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from tests.support.patience import PATIENCE_S, wait_until
from tests.support.places import ROOT

# A server looks through all installed packages for components once; AppTest does so before each
# run, which takes longer than most pages.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


def visit(page: str, session: dict | None = None, **query) -> AppTest:
    """Open a page through ``app.py``, as its address with this query does."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE_S)
    for key, value in (session or {}).items():
        app.session_state[key] = value
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{page}.py")
    app.run()
    assert not app.exception
    return app


def finish_job(app: AppTest) -> AppTest:
    """Draw a page anew until its job is over; what it shows then is what its panel says of the end.

    A job that was over at once is not drawn again: its panel has said so already.
    """

    def over() -> bool:
        if "_job" in app.session_state:
            app.run()
        return "_job" not in app.session_state

    wait_until(over)
    return app


def drawn_charts(app: AppTest) -> list[dict]:
    """Return what plotly is given to draw, chart by chart."""
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


def words_in(chart: dict) -> list[str]:
    """Return what is written into a chart."""
    written = [
        word for each in chart["data"] if each.get("mode") == "text" for word in each["text"]
    ]
    return [*written, *(note["text"] for note in chart["layout"].get("annotations", ()))]


def names_in(chart: object, path: str = "") -> set[str]:
    """Return where each property of a chart is, as ``.data[0].marker.size``."""
    if isinstance(chart, dict):
        below = {f"{path}.{name}": each for name, each in chart.items()}
    elif isinstance(chart, list | tuple):
        below = {f"{path}[{i}]": each for i, each in enumerate(chart)}
    else:
        return set()
    return set(below).union(*(names_in(each, where) for where, each in below.items()))


def findings(app: AppTest) -> list[str]:
    """Return the headlines above the charts."""
    return [element.value for element in app.header]


def sentences(app: AppTest) -> list[str]:
    """Return what the page says went wrong."""
    return [error.value for error in app.error]


def said(app: AppTest) -> str:
    """Return headlines and text of a page in one string."""
    return " ".join(each.value for each in [*app.header, *app.markdown])
