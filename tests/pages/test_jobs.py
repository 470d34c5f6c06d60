"""Long work: progress, cancel, the queue, and a failure that becomes one sentence."""

from dataclasses import dataclass

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import job_pool, jobs
from pages.shared.job_pool import Job, Pool
from pages.shared.visitor import Visitor
from quantcore.progress import Progress
from tests.support.patience import wait_until


def _steps(n):
    return lambda: (Progress((i + 1) / n, f"step {i}", i) for i in range(n))


def _running(pool, steps, title="gated"):
    job = Job(title, steps)
    pool.submit(job)
    wait_until(lambda: job.state == "running")
    return job


def test_a_job_reports_its_last_step_and_ends():
    job = Job("count", _steps(5))
    Pool(1).submit(job)
    wait_until(lambda: job.state == "done")
    assert job.latest.result == 4


def test_cancel_stops_at_the_next_step(gate):
    opened, steps = gate
    job = _running(Pool(1), steps)
    opened.release()
    wait_until(lambda: job.latest is not None)
    job.cancel()
    opened.release()
    wait_until(lambda: job.state == "cancelled")
    assert job.latest.result == 1


def test_a_second_job_waits_and_knows_its_place(gate):
    opened, steps = gate
    pool, second = Pool(1), Job("second", _steps(1))
    first = _running(pool, steps)
    pool.submit(second)
    assert pool.ahead_of(first).n_jobs == 0
    assert (pool.ahead_of(second).n_jobs, second.state) == (1, "waiting")
    first.cancel()
    opened.release()
    wait_until(lambda: second.state == "done")
    assert pool.ahead_of(second).n_jobs == 0


def test_a_waiting_job_can_be_cancelled(gate):
    opened, steps = gate
    pool, second = Pool(1), Job("second", _steps(1))
    first = _running(pool, steps)
    pool.submit(second)
    second.cancel()
    assert second.state == "cancelled"
    first.cancel()
    opened.release()
    third = Job("third", _steps(1))
    pool.submit(third)
    wait_until(lambda: third.state == "done")  # and so the second one's turn is over
    assert second.latest is None


def test_what_is_ahead_is_told_before_a_run_begins(gate):
    _, steps = gate
    pool = Pool(1)
    assert jobs.beforehand(30.0, pool.ahead_of()) == "Takes about 30 seconds, by estimate."
    first = Job("first", steps, 120.0)
    pool.submit(first)
    wait_until(lambda: first.state == "running")
    pool.submit(Job("second", _steps(1), 600.0))
    ahead = pool.ahead_of()
    assert ahead.n_jobs == 2 and 700 < ahead.seconds <= 720
    assert "2 other runs are ahead, about 12 minutes" in jobs.beforehand(None, ahead)
    pool.submit(Job("third", _steps(1)))
    assert pool.ahead_of() == job_pool.Ahead(3, None), "nobody knows how long the third takes"
    first.cancel()


def test_two_workers_take_two_runs_at_once(gate):
    _, steps = gate
    pool = Pool(2)
    first = _running(pool, steps)
    assert pool.ahead_of().n_jobs == 0, "a worker is free"
    second = _running(pool, steps)
    assert pool.ahead_of().n_jobs == 2
    first.cancel()
    second.cancel()


def test_what_a_run_took_corrects_the_next_estimate(monkeypatch):
    monkeypatch.setattr(job_pool, "SURE_AFTER_S", 0.0)
    now = [0.0]
    monkeypatch.setattr(job_pool.time, "monotonic", lambda: now[0])

    def steps():
        now[0] += 30.0
        yield Progress(1.0, "done")

    pool = Pool(1)
    assert pool.expected("slow", 10.0) == 10.0
    for _ in range(2):  # the second was expected to take as long as the first
        expected = pool.expected("slow", 10.0)
        pool.do(Job("slow", steps, expected))
    assert pool.expected("slow", 10.0) == pytest.approx(30.0)
    assert pool.expected("other", 10.0) == 10.0


def test_the_queue_has_an_end(gate, monkeypatch):
    monkeypatch.setattr(job_pool, "MOST_WAITING", 1)
    _, steps = gate
    pool = Pool(1)
    first = _running(pool, steps)
    pool.submit(Job("second", _steps(1)))
    with pytest.raises(ValueError, match="1 runs are waiting already"):
        pool.submit(Job("third", _steps(1)))
    first.cancel()


def test_what_the_engine_refuses_is_said_in_its_words():
    def steps():
        yield Progress(0.5, "reading")
        raise ValueError("notes.json holds no results")

    job = Job("short", steps)
    job.run()
    assert (job.state, job.problem) == ("failed", "notes.json holds no results.")


def test_a_job_that_breaks_is_failed_and_not_waited_for():
    def steps():
        yield Progress(0.5, "reading")
        raise RuntimeError("a defect")

    job = Job("broken", steps)
    job.run()
    assert job.state == "failed" and "log" in job.problem and "defect" not in job.problem


def test_a_job_that_panics_is_failed_too(caplog):
    class Panic(BaseException):
        pass

    def steps():
        yield Progress(0.1, "one")
        raise Panic("\x1b]0;owned")

    job = Job("panic", steps)
    job.run()
    assert (job.state, job.active) == ("failed", False)
    assert "the server's log says where" in job.problem
    assert "owned" in caplog.text and "\x1b" not in caplog.text


def test_whatever_a_page_raises_is_one_sentence(monkeypatch, caplog):
    monkeypatch.undo()  # other tests let it through

    def page():
        from pages.shared import frame

        class Broken:
            title = "Broken"

            def run(self):
                raise TypeError("unhashable type: 'list'")

        frame.run(Broken())

    app = AppTest.from_function(page).run()
    assert not app.exception
    assert [error.value for error in app.error] == [
        "It stopped because of an error; the server's log says where."
    ]
    assert "unhashable" in caplog.text


def test_nobody_watches_so_it_stops(monkeypatch):
    monkeypatch.setattr(job_pool, "UNWATCHED_S", -1.0)
    job = Job("alone", _steps(5))
    job.run()
    assert (job.state, job.latest) == ("cancelled", None)


@dataclass(frozen=True)
class _Window(Visitor):
    """A window that the test opens and closes."""

    open: list[bool]

    def is_here(self):
        return all(self.open)


def _window(browser, address="10.0.0.1", is_open=None):
    return _Window(session="s", browser=browser, address=address, open=is_open or [True])


def test_a_closed_window_ends_its_run_and_leaves_the_queue(gate, monkeypatch):
    monkeypatch.setattr(job_pool, "UNWATCHED_S", 0.0)
    opened, steps = gate
    pool, first_open, second_open = Pool(1), [True], [True]
    first = Job("first", steps, visitor=_window("one", is_open=first_open))
    second = Job("second", _steps(1), visitor=_window("two", is_open=second_open))
    pool.submit(first)
    pool.submit(second)
    wait_until(lambda: first.state == "running")
    second_open[0] = False
    assert pool.ahead_of().n_jobs == 1, "who has gone is not ahead of anybody"
    assert second.state == "cancelled"
    first_open[0] = False
    opened.release()
    wait_until(lambda: first.state == "cancelled")


def test_nobody_fills_the_queue_alone(gate, monkeypatch):
    monkeypatch.setattr(job_pool, "MOST_OF_ONE_ADDRESS", 3)
    _, steps = gate
    pool = Pool(1)
    jobs_of_one = [Job("mine", steps, visitor=_window("mine")) for _ in range(3)]
    pool.submit(jobs_of_one[0])
    pool.submit(jobs_of_one[1])
    with pytest.raises(ValueError, match="2 runs of your browser are on their way"):
        pool.submit(jobs_of_one[2])
    pool.submit(Job("hers", steps, visitor=_window("hers")))
    with pytest.raises(ValueError, match="3 runs from your network address"):
        pool.submit(Job("his", steps, visitor=_window("his")))
    elsewhere = Job("elsewhere", steps, visitor=_window("other", "10.0.0.2"))
    pool.submit(elsewhere)
    jobs_of_one[1].cancel()
    pool.submit(jobs_of_one[2])


def test_a_server_that_stops_cancels_its_runs_and_lets_them_keep_what_they_found(gate):
    opened, steps = gate
    kept = []

    def keeping():
        try:
            yield from steps()
        finally:
            kept.append("all")

    pool = Pool(1)
    job, waiting = _running(pool, keeping), Job("waiting", _steps(1))
    pool.submit(waiting)
    opened.release(2)
    assert pool.close()
    assert (job.state, waiting.state, kept) == ("cancelled", "cancelled", ["all"])


def test_a_server_that_stops_does_not_wait_for_a_step_without_end(gate, monkeypatch):
    monkeypatch.setattr(job_pool, "END_WITHIN_S", 0.0)
    pool = Pool(1)
    job = _running(pool, gate[1])
    assert not pool.close() and job.active


def test_the_time_left_follows_from_the_time_spent(monkeypatch):
    job = Job("long", _steps(4))
    now = [100.0]
    monkeypatch.setattr(job_pool.time, "monotonic", lambda: now[0])
    assert job.left_s is None and Job("long", _steps(4), 90.0).left_s == 90.0
    job.begun, job.latest = 100.0, Progress(0.25, "step 0")
    assert job.left_s is None, "told before anything can be known"
    now[0] = 110.0
    assert job.left_s == pytest.approx(30.0)


def test_the_first_steps_of_a_run_do_not_tell_its_length(monkeypatch):
    """Opening files and first calls weigh: 3 s for the first 0.25 % do not mean 20 minutes."""
    job = Job("long", _steps(4), 50.0)
    now = [100.0]
    monkeypatch.setattr(job_pool.time, "monotonic", lambda: now[0])
    job.begun, job.latest = 97.0, Progress(0.0025, "opening")
    assert 47.0 < job.left_s < 110.0
    unexpected = Job("long", _steps(4))
    unexpected.begun, unexpected.latest = job.begun, job.latest
    assert unexpected.left_s is None
    job.latest, now[0] = Progress(0.5, "half"), 130.0
    assert job.left_s == pytest.approx(33.0), "half is done: what was expected counts no more"
