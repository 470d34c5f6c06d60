"""Long work: progress, cancel, the queue, and a failure that becomes one sentence."""

import threading

import pytest

from pages.shared import jobs
from pages.shared.jobs import Job, Pool
from tests.support.patience import PATIENCE_S, wait_until


def _gate():
    """Make an iterator that counts up each time the gate opens."""
    opened = threading.Semaphore(0)

    def steps():
        for i in range(1000):
            opened.acquire(timeout=PATIENCE_S)
            yield i

    return opened, steps


def test_a_job_reports_its_last_step_and_ends():
    job = Job("count", lambda: iter(range(5)))
    Pool(1).submit(job)
    wait_until(lambda: job.state == "done")
    assert job.latest == 4


def test_cancel_stops_at_the_next_step():
    opened, steps = _gate()
    job = Job("gated", steps)
    Pool(1).submit(job)
    opened.release()
    wait_until(lambda: job.latest == 0)
    job.cancel()
    opened.release()
    wait_until(lambda: job.state == "cancelled")
    assert job.latest == 1


def test_a_second_job_waits_and_knows_its_place():
    opened, steps = _gate()
    pool, first, second = Pool(1), Job("first", steps), Job("second", lambda: iter([1]))
    pool.submit(first)
    pool.submit(second)
    assert (pool.ahead_of(first), pool.ahead_of(second), second.state) == (0, 1, "waiting")
    first.cancel()
    opened.release()
    wait_until(lambda: second.state == "done")
    assert pool.ahead_of(second) == 0


def test_a_waiting_job_can_be_cancelled():
    opened, steps = _gate()
    pool, first, second = Pool(1), Job("first", steps), Job("second", lambda: iter([1]))
    pool.submit(first)
    pool.submit(second)
    second.cancel()
    assert second.state == "cancelled"
    first.cancel()
    opened.release()
    wait_until(lambda: not first.active)
    assert second.latest is None


def test_the_queue_has_an_end(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    opened, steps = _gate()
    pool, first = Pool(1), Job("first", steps)
    pool.submit(first)
    wait_until(lambda: first.state == "running")
    pool.submit(Job("second", lambda: iter([1])))
    with pytest.raises(ValueError, match="1 runs wait already"):
        pool.submit(Job("third", lambda: iter([1])))
    first.cancel()
    opened.release()


def test_what_the_engine_refuses_is_said_in_its_words():
    def steps():
        yield 1
        raise ValueError("the text has 3 tokens")

    job = Job("short", steps)
    job.run()
    assert (job.state, job.problem) == ("failed", "The text has 3 tokens.")


def test_nobody_watches_so_it_stops(monkeypatch):
    monkeypatch.setattr(jobs, "UNWATCHED_S", -1.0)
    job = Job("alone", lambda: iter(range(5)))
    job.run()
    assert (job.state, job.latest) == ("cancelled", None)
