"""The thread pool: kernels are serial, rows are shared out here."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

WEIGHTS_PER_THREAD = 1 << 17  # fewer are not worth handing to another thread

_limit: ContextVar[int | None] = ContextVar("quantcore_threads", default=None)
_here = threading.local()  # .busy: inside the pool's own threads; .gives_way: see `give_way`
BEHIND = 5  # how much nicer a thread is that gives way: a quarter of a core that is wanted is its


def n_threads() -> int:
    """Threads that work may use: the limit set by `threads`, or QUANTCORE_THREADS, or all cores."""
    if (limit := _limit.get()) is not None:
        return limit
    wanted = os.environ.get("QUANTCORE_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else n_cores()


def n_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def threads(limit: int) -> Iterator[None]:
    """Use at most `limit` threads inside the block, on this thread only.

    >>> with threads(1):
    ...     n_threads()
    1
    """
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)


def give_way() -> None:
    """Let this thread, and what it shares out from now on, have what others leave of the cores.

    For long work beside which somebody waits for an answer. It cannot be taken back.
    """
    _here.gives_way = True
    _step_back()


def _step_back() -> None:
    if sys.platform == "linux":  # where a thread has a niceness of its own, which others inherit
        with suppress(OSError):  # it runs as before
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)


def over_rows(work: Callable[[int, int], T], n_rows: int, min_rows: int = 1) -> list[T]:
    """Call ``work(start, stop)`` on chunks that cover ``range(n_rows)``.

    Parameters
    ----------
    work
        Must release the GIL to gain anything, and may only write to its own rows.
    n_rows
        How many rows there are.
    min_rows
        Fewest rows that are worth a thread; with fewer than twice as many, all run here.

    Returns
    -------
    list
        What `work` returned, in order of rows; one chunk when there is nothing to share out.
    """
    n_chunks = max(1, min(n_threads(), n_rows // max(1, min_rows)))
    if n_chunks == 1 or getattr(_here, "busy", False):
        return [work(0, n_rows)]
    edges = [n_rows * i // n_chunks for i in range(n_chunks + 1)]
    mine, *others = pairwise(edges)
    pool = _pool(getattr(_here, "gives_way", False))
    waiting = [pool.submit(work, *chunk) for chunk in others]
    return [work(*mine), *(future.result() for future in waiting)]


@cache
def _pool(gives_way: bool) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_cores(), "quantcore", initializer=_begin, initargs=(gives_way,))


def _begin(gives_way: bool) -> None:
    # Work in the pool that shared out work of its own could wait for ever for a free thread.
    _here.busy = True
    if gives_way:
        _step_back()
