"""Long work beside the page: a bounded pool, a place in the queue, a panel to watch and cancel it.

A rerun of the script does not stop what the last one began, so long work never runs inside the
script. A job is an iterator that yields its progress every 150 ms or sooner; between two steps it
looks whether somebody cancelled it or nobody watches it any more. One job a session.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import streamlit as st

from pages.shared.frame import sentence
from pages.shared.units import plural
from quantcore.progress import Progress

WORKERS = max(1, (os.cpu_count() or 1) // 2)
MOST_WAITING = 30
UNWATCHED_S = 600.0  # as long as Streamlit keeps the session of a closed tab
REDRAW_S = 0.7
SURE_AFTER_S = 2.0  # how long a job has run before it is told how long it still will

_UNSEEN = "_unseen_jobs"  # by title: done, and followed by another before their panel was drawn

State = Literal["waiting", "running", "done", "cancelled", "failed"]


class Job:
    """A piece of long work and how far it came. `latest` is what its iterator yielded last."""

    def __init__(self, title: str, steps: Callable[[], Iterator[Progress]]):
        self.title = title
        self.state: State = "waiting"
        self.latest: Progress | None = None
        self.problem = ""
        self.seen = time.monotonic()
        self.begun: float | None = None
        self._steps = steps
        self._cancelled = threading.Event()

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    @property
    def result(self) -> Any:
        """What its iterator yielded last carries; None before its first step."""
        return self.latest.result if self.latest else None

    @property
    def left_s(self) -> float | None:
        """Estimate the seconds that are left from those that were spent; None at the beginning."""
        spent = 0.0 if self.begun is None else time.monotonic() - self.begun
        if spent < SURE_AFTER_S or self.latest is None or self.latest.share <= 0:
            return None
        return spent * (1 / self.latest.share - 1)

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
        self.state, self.begun = "running", time.monotonic()
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


def start(title: str, steps: Callable[[], Iterator[Progress]]) -> Job:
    """Begin this session's job; one that still runs is cancelled.

    One that is done, but whose panel was not drawn since, waits for it.

    Raises
    ------
    ValueError
        If too many jobs wait already; then nothing has changed.
    """
    job = Job(title, steps)
    _pool().submit(job)
    if former := current():
        former.cancel()
        if former.state == "done":
            st.session_state.setdefault(_UNSEEN, {})[former.title] = former
    st.session_state["_job"] = job
    return job


def current() -> Job | None:
    """Return the job of this session, finished or not; asking keeps it alive."""
    job = st.session_state.get("_job")
    if job is not None:
        job.seen = time.monotonic()
    return job


def busy() -> bool:
    """Whether this session's job waits or runs, whatever it is."""
    job = current()
    return job is not None and job.active


def panel(title: str, draw: Callable[[Progress], None] | None = None) -> Job | None:
    """Draw the job of this title while it waits or runs: stage, time left, progress, cancel.

    Parameters
    ----------
    title
        As it was given to `start`. A job of another title is another section's affair.
    draw
        Draws more of the latest step below the progress bar, such as a chart of results so far.

    Returns
    -------
    Job | None
        The job, once, in the first run after its end: what it found is the caller's to keep, and
        whether it was cancelled the caller's to say. Why it failed has been said here.
    """
    job = current()
    if job is None or job.title != title:
        return st.session_state.get(_UNSEEN, {}).pop(title, None)
    if job.active:
        _watch(title, draw)
        return None
    st.session_state.pop("_job", None)
    if job.state == "failed":
        st.error(job.problem)
    return job


@st.fragment(run_every=REDRAW_S)
def _watch(title: str, draw: Callable[[Progress], None] | None) -> None:
    job = current()
    if job is None or not job.active or job.title != title:
        st.rerun()
    with st.container(border=True, key="job_panel"):
        step = job.latest
        if step is None:
            st.markdown(_waiting(_pool().ahead_of(job)))
        else:
            st.markdown(f"**{step.stage}**{_left(job.left_s)}")
        st.progress(min(step.share, 1.0) if step else 0.0)
        if step and draw:
            draw(step)
        st.button("Cancel", key="cancel_job", on_click=job.cancel)


def _waiting(ahead: int) -> str:
    """Say how long the queue is.

    >>> _waiting(0), _waiting(2)
    ('Starting.', 'Waiting: 2 runs ahead in the queue.')
    """
    return f"Waiting: {plural(ahead, 'run')} ahead in the queue." if ahead else "Starting."


def _left(seconds: float | None) -> str:
    """Say how much time is left.

    >>> _left(1.2), _left(600), _left(None)
    (', about 1 second left', ', about 10 minutes left', '')
    """
    if seconds is None:
        return ""
    amount, unit = (seconds, "second") if seconds < 100 else (seconds / 60, "minute")
    return f", about {plural(max(1, round(amount)), unit)} left"
