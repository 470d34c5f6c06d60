"""Long work on a page: the button that begins it, and the panel that shows it."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import job_pool, jobs
from pages.shared.job_pool import Pool
from quantcore.progress import Progress
from tests.support.app import finish_job
from tests.support.patience import PATIENCE_S, wait_until


def _steps(n):
    return lambda: (Progress((i + 1) / n, f"step {i}", i) for i in range(n))


def _page():
    """Draw two sections with a job each; how a job ended is kept for the test."""
    import streamlit as st

    from pages.shared import jobs

    for title in ("one", "two"):
        if st.button(title, key=title):
            try:
                jobs.start(title, st.session_state[f"steps_{title}"])
            except ValueError as problem:
                st.error(str(problem))
            else:
                st.rerun()
        job = jobs.panel(title, lambda step: st.markdown(f"so far {step.result}"))
        if job is not None:
            st.session_state.setdefault("ended", []).append((title, job.state))


@pytest.fixture
def page(monkeypatch):
    pool = Pool(1)
    monkeypatch.setattr(jobs, "_pool", lambda: pool)
    app = AppTest.from_function(_page, default_timeout=PATIENCE_S)
    app.session_state["steps_one"] = app.session_state["steps_two"] = _steps(3)
    return app.run()


def _said(app):
    return [element.value for element in app.markdown]


def _page_with_a_button():
    import streamlit as st

    from pages.shared import jobs

    for title in ("one", "two"):
        asked = st.session_state[f"run_{title}"]
        if jobs.button(title, key=title, title=title, begin=asked["begin"],
                       unable=asked.get("unable", ""), seconds=50.0):  # fmt: skip
            st.rerun()
        jobs.panel(title)


def test_a_button_says_what_it_takes_why_it_cannot_and_what_keeps_it(gate, page):
    _, steps = gate

    def refuse():
        raise ValueError("The text has 2 tokens")

    app = AppTest.from_function(_page_with_a_button, default_timeout=PATIENCE_S)
    app.session_state["run_one"] = {"begin": refuse}
    app.session_state["run_two"] = {"begin": steps, "unable": "There is no text."}
    app.run()
    assert "Takes about 50 seconds, by estimate." in _said(app)[0]
    assert app.button(key="two").disabled and "There is no text." in _said(app)[1]
    app.button(key="one").click().run()
    assert [error.value for error in app.error] == ["The text has 2 tokens."]
    assert "_job" not in app.session_state, "what is refused has queued"
    app.session_state["run_two"] = {"begin": steps}
    app.run()
    app.button(key="two").click().run()
    assert app.button(key="one").disabled and app.button(key="two").disabled
    assert "One run at a time, and two is on its way" in _said(app)[0]
    assert "see below" in _said(app)[1] and app.button(key="cancel_job")
    app.session_state["_job"].cancel()


def test_the_panel_shows_stage_and_results_and_ends_once(gate, page):
    opened, steps = gate
    page.session_state["steps_one"] = steps
    page.button(key="one").click().run()
    assert _said(page) == ["Starting."]
    opened.release()
    wait_until(lambda: page.session_state["_job"].latest is not None)
    page.run()
    assert _said(page) == ["**step 0**", "so far 0"]
    page.button(key="cancel_job").click().run()
    opened.release()
    finish_job(page)
    page.run()
    assert page.session_state["ended"] == [("one", "cancelled")]
    assert not _said(page) and not page.exception


def _page_that_takes_results_in_first():
    import streamlit as st

    from pages.shared import jobs

    job = jobs.ended("one")
    st.markdown("nothing yet" if job is None else f"found: {job.state}")
    if st.button("one", key="one"):
        jobs.start("one", st.session_state["steps"])
        st.session_state["wait"]()  # so that it ends after it was asked for
    jobs.watch("one")


def test_what_ends_while_a_page_is_drawn_is_shown_by_it(page):
    app = AppTest.from_function(_page_that_takes_results_in_first, default_timeout=PATIENCE_S)
    app.session_state["steps"] = _steps(3)
    app.session_state["wait"] = lambda: wait_until(lambda: not jobs.current().active)
    app.run().button(key="one").click().run()
    assert _said(app) == ["found: done"]


def test_a_failed_job_says_why_in_its_panel(page):
    def steps():
        yield Progress(0.5, "half")
        raise ValueError("The disk is full")

    page.session_state["steps_two"] = steps
    page.button(key="two").click().run()
    finish_job(page)
    assert [error.value for error in page.error] == ["The disk is full."]
    assert page.session_state["ended"] == [("two", "failed")]


def test_what_was_done_unseen_is_not_lost_to_the_next_job(page, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(jobs, "panel", lambda *_: None)  # as on another page
        page.button(key="one").click().run()
        wait_until(lambda: not page.session_state["_job"].active)
        page.button(key="two").click().run()
    finish_job(page)
    assert sorted(page.session_state["ended"]) == [("one", "done"), ("two", "done")]


def test_a_full_queue_leaves_the_running_job_alone(gate, page, monkeypatch):
    _, page.session_state["steps_one"] = gate
    page.button(key="one").click().run()
    running = page.session_state["_job"]
    monkeypatch.setattr(job_pool, "MOST_WAITING", 0)
    page.button(key="two").click().run()
    assert page.error[0].value.startswith("0 runs are waiting already")
    assert page.session_state["_job"] is running and running.active
    running.cancel()
