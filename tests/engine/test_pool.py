"""The thread pool: rows are shared out once each, in order."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from quantcore import pool
from quantcore.model.blas import one_thread


@pytest.mark.parametrize("n_rows", [0, 1, 7, 100])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_row_once_and_results_in_order(n_rows, n_threads):
    seen = np.zeros(n_rows, int)

    def work(start, stop):
        seen[start:stop] += 1
        return start, stop

    with pool.threads(n_threads):
        chunks = pool.over_rows(work, n_rows)
    assert (seen == 1).all()
    assert len(chunks) == max(1, min(n_threads, n_rows))
    assert chunks == sorted(chunks)


def test_little_work_stays_here():
    with pool.threads(4):
        assert len(pool.over_rows(lambda start, stop: stop - start, 199, min_rows=100)) == 1
        assert pool.over_rows(lambda start, stop: stop - start, 200, min_rows=100) == [100, 100]


def test_work_that_shares_out_work_of_its_own_ends():
    def outer(start, stop):
        return sum(pool.over_rows(lambda a, b: b - a, stop - start))

    with pool.threads(16):
        assert sum(pool.over_rows(outer, 1000)) == 1000


def test_a_mistake_in_a_thread_is_raised_here():
    def work(start, stop):
        if stop == 10:
            raise RuntimeError("the last rows")

    with pool.threads(2), pytest.raises(RuntimeError, match="the last rows"):
        pool.over_rows(work, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness")
def test_a_thread_gives_way_and_so_does_what_it_shares_out():
    """And nobody else: what cannot be taken back must not reach the threads of a page."""

    def niceness(*_):
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def long_work():
        pool.give_way()
        with pool.threads(2):
            return pool.over_rows(niceness, 100)

    def at_once():
        with pool.threads(2):
            return pool.over_rows(niceness, 100)

    usual = niceness()
    for work, expected in ((long_work, max(usual, pool.BEHIND)), (at_once, usual)):
        with ThreadPoolExecutor(1) as other:
            assert other.submit(work).result() == [expected] * 2


def test_the_environment_limits_threads(monkeypatch):
    monkeypatch.setenv("QUANTCORE_THREADS", "3")
    assert pool.n_threads() == 3
    with pool.threads(1):
        assert pool.n_threads() == 1
    monkeypatch.setenv("QUANTCORE_THREADS", "many")
    assert pool.n_threads() == pool.n_cores()


def test_blas_is_held_to_one_thread_from_any_thread():
    """Whichever thread was the first to ask, and while it still lives."""

    def blas_threads():
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    def inside():
        with one_thread():
            return blas_threads()

    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpool_limits(2, user_api="blas"):
        assert inside() == {1}
        with ThreadPoolExecutor(1) as other:
            assert other.submit(inside).result() == {1}
            assert other.submit(blas_threads).result() == {2}
        assert blas_threads() == {2}
