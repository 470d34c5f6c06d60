"""What tests of pages share: a server that was visited before, and a folder of one's own models."""

import threading

import pytest
from streamlit.runtime.pages_manager import PagesManager

from pages.shared import bench, frame, job_pool
from quantcore.progress import Progress
from tests.support.patience import PATIENCE_S
from tests.support.toy_model import CONFIG, write_folder


@pytest.fixture(autouse=True, scope="session")
def visited_before():
    """Run pages through ``app.py``, as a server does after its first visit; AppTest forgets it.

    For all tests at once, since pages that a whole module shares are visited before any of them.
    """
    begin = PagesManager.__init__

    def begin_again(self, *arguments, **options):
        begin(self, *arguments, **options)
        PagesManager.uses_pages_directory = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PagesManager, "__init__", begin_again)
        yield


@pytest.fixture(autouse=True)
def faults_are_exceptions(monkeypatch):
    """Let what a page raises through: a test must not take a fault for a sentence of the page."""
    fault = frame.fault

    def raised(where, problem):
        if where.startswith("page"):
            raise problem
        return fault(where, problem)

    monkeypatch.setattr(frame, "fault", raised)


@pytest.fixture(autouse=True)
def visitors_stay(monkeypatch):
    """AppTest has no open window, and on a busy machine a run takes longer than one may be away."""
    monkeypatch.setattr(job_pool, "UNWATCHED_S", PATIENCE_S)


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """Lay out a whole model, one that K-quants do not fit, and a broken one."""
    wide = CONFIG | {"hidden_size": 256, "intermediate_size": 256}
    write_folder(tmp_path / "wide-toy", wide)
    write_folder(tmp_path / "small-toy")
    (write_folder(tmp_path / "broken-toy") / "model.safetensors").write_bytes(b"\x00" * 20)
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    return tmp_path


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Keep what is measured in a folder of this test."""
    place = tmp_path / "kept"
    monkeypatch.setenv("QUANTLAB_RESULTS", str(place))
    yield place


@pytest.fixture
def gate():
    """Make an iterator that counts up each time the gate opens; at the end it stands open."""
    opened = threading.Semaphore(0)

    def steps():
        for i in range(1000):
            opened.acquire()
            yield Progress(i / 1000, f"step {i}", i)

    yield opened, steps
    opened.release(1000)
