"""A GGUF file written from a page: offered when it is done, kept until another one takes its place.

A button of a page whose job has ended already may be pressed at once; what a queue that is full
refuses leaves everything as it was.
"""

import threading

import pytest

from pages.shared import job_pool, writing
from quantcore import open_model, plan
from quantcore.io.gguf import read_gguf
from quantcore.progress import Progress
from tests.support.app import findings, finish_job, sentences, visit


def _write(app):
    app.button(key="write").click().run()
    return finish_job(app)


def _offered(app):
    return any("ollama" in code.value for code in app.code)


@pytest.fixture(scope="module")
def written():
    """Visit Drift and write its file there."""
    app = _write(visit("drift", type="Q4_0", types="Q4_0"))
    assert not app.exception and not app.error
    return app


def test_a_folder_goes_with_its_object():
    folder = writing.Folder()
    place = folder.path
    (place / "file").write_text("of this session")
    del folder
    assert not place.exists()


def test_the_file_has_the_types_of_its_plan_and_is_offered(written):
    kept = written.session_state["_written"]
    planned = plan(open_model(), "Q4_0")
    assert kept.path.name == writing.file_name(open_model(), planned) == "fable-7m-Q4_0.gguf"
    types = {name: tensor.type for name, tensor in read_gguf(kept.path).tensors.items()}
    assert types == {tensor.name: tensor.type for tensor in planned.tensors}
    assert _offered(written)


def test_a_full_queue_leaves_the_former_download(written, monkeypatch):
    kept, before = written.session_state["_written"], findings(written)
    monkeypatch.setattr(job_pool, "MOST_WAITING", 0)
    written.button(key="write").click().run()
    assert sentences(written) == ["0 runs are waiting already; try again in a minute."]
    assert findings(written) == before, "the page goes on to its end"
    assert written.session_state["_written"] is kept and kept.path.exists()
    assert _offered(written.run())


def test_another_file_takes_its_place():
    app = _write(visit("drift", type="Q4_0", types="Q4_0"))
    former = app.session_state["_written"]
    app.selectbox(key="type").set_value("Q8_0").run()
    assert not _offered(app), "offers the file of another type"
    _write(app)
    kept = app.session_state["_written"]
    assert kept.path.name == "fable-7m-Q8_0.gguf" and kept.path.exists() and _offered(app)
    assert not former.folder.path.exists()


def test_a_cancelled_file_is_not_offered(monkeypatch):
    opened = threading.Event()

    def steps(*_):
        opened.wait()
        yield Progress(0.5, "half")

    monkeypatch.setattr(writing, "quantize_steps", steps)
    app = visit("drift", type="Q4_0", types="Q4_0")
    app.button(key="write").click().run()
    app.button(key="cancel_job").click().run()
    opened.set()
    finish_job(app)
    assert any(m.value.endswith("nothing is left of that file.]]") for m in app.markdown)
    assert not _offered(app)
