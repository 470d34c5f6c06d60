"""Long work beside the page: a bounded pool, progress, a place in the queue, cancel.

A rerun of the script does not stop what the last one began, so long work never runs inside the
script. A job is an iterator that yields progress every 150 ms or sooner; between two steps it looks
whether somebody cancelled it or nobody watches it any more. One job a session.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import streamlit as st

from pages.shared.frame import sentence

WORKERS = max(1, (os.cpu_count() or 1) // 2)
MOST_WAITING = 30
UNWATCHED_S = 600.0  # as long as Streamlit keeps the session of a closed tab

State = Literal["waiting", "running", "done", "cancelled", "failed"]


class Job:
    """A piece of long work and how far it came. `latest` is what its iterator yielded last."""

    def __init__(self, title: str, steps: Callable[[], Iterator]):
        self.title = title
        self.state: State = "waiting"
        self.latest = None
        self.problem = ""
        self.seen = time.monotonic()
        self._steps = steps
        self._cancelled = threading.Event()

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    def cancel(self) -> None:
        """Ask it to stop at its next step."""
        self._cancelled.set()
        if self.state == "waiting":
            self.state = "cancelled"

    def run(self) -> None:
        """Work until done, cancelled, or unwatched. Called by the pool."""
        if self._unwanted():
            self.state = "cancelled"
            return
        self.state = "running"
        try:
            self.state = self._ended()  # only now: a job that is cancelled may still have to save
        except (ValueError, OSError, MemoryError) as problem:
            self.problem, self.state = sentence(problem), "failed"
        except Exception:  # whatever it is, the page must not wait for a job that is dead
            logging.getLogger("quantlab").exception("job %s", self.title)
            self.problem, self.state = "It broke off; the server's log says where.", "failed"

    def _ended(self) -> State:
        """Work through the steps, and close what yields them."""
        steps = self._steps()
        try:
            for step in steps:
                self.latest = step
                if self._unwanted():
                    return "cancelled"
            return "done"
        finally:
            if isinstance(steps, Generator):
                steps.close()

    def _unwanted(self) -> bool:
        return self._cancelled.is_set() or time.monotonic() - self.seen > UNWATCHED_S


class Pool:
    """So many jobs at a time; the others wait in the order they came."""

    def __init__(self, n_workers: int = WORKERS):
        self._executor = ThreadPoolExecutor(n_workers, thread_name_prefix="job")
        self._jobs: list[Job] = []
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        """Start a job or let it wait; ValueError where too many wait already."""
        with self._lock:
            self._jobs = [known for known in self._jobs if known.active]
            if sum(known.state == "waiting" for known in self._jobs) >= MOST_WAITING:
                raise ValueError(f"{MOST_WAITING} runs wait already; try again in a minute.")
            self._jobs.append(job)
        self._executor.submit(job.run)

    def ahead_of(self, job: Job) -> int:
        """How many jobs run or wait before this one."""
        with self._lock:
            before = self._jobs[: self._jobs.index(job)] if job in self._jobs else []
        return sum(known.active for known in before)


@st.cache_resource
def _pool() -> Pool:
    return Pool()


def start(title: str, steps: Callable[[], Iterator]) -> Job:
    """Begin this session's job; one that still runs is cancelled."""
    if former := current():
        former.cancel()
    job = Job(title, steps)
    _pool().submit(job)
    st.session_state["_job"] = job
    return job


def current() -> Job | None:
    """Return the job of this session, finished or not; asking keeps it alive."""
    job = st.session_state.get("_job")
    if job is not None:
        job.seen = time.monotonic()
    return job


def forget() -> None:
    """Drop a finished job, so that the page no longer shows it."""
    st.session_state.pop("_job", None)


def ahead_of(job: Job) -> int:
    """How many jobs of anyone run or wait before this one."""
    return _pool().ahead_of(job)
