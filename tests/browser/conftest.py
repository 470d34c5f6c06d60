"""One browser and one server for all tests; skipped only where there is no Chromium."""

import pytest

from tests.browser.chromium import find
from tests.browser.server import running
from tests.browser.visitor import Visitor, chromium


@pytest.fixture(scope="session")
def browser():
    path = find()
    if path is None:
        pytest.skip("no Chromium here: run `python -m tests.browser.chromium` to get one")
    with chromium(path) as running:
        yield running


@pytest.fixture(scope="session")
def lab():
    with running() as address:
        yield address


@pytest.fixture
def visit(browser, lab):
    """Open windows on the shared server; each is watched for requests that leave the machine."""
    visitors = []

    def open_window(path, **window):
        visitors.append(Visitor(browser, lab, **window))
        return visitors[-1].open(path)

    yield open_window
    for visitor in visitors:
        visitor.close()
    assert [url for visitor in visitors for url in visitor.strangers] == []
