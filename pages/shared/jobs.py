"""Long work beside the page: a bounded pool, a place in the queue, a panel to watch and cancel it.

A rerun of the script does not stop what the last one began, so long work never runs inside the
script. A job is an iterator that yields its progress every 150 ms or sooner; between two steps it
looks whether somebody cancelled it or nobody watches it any more. One job a session.

What cannot be done is refused before it queues: `start` makes the iterator at once, and whoever
makes it checks what it was given.
"""

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from pages.shared import frame, look
from pages.shared.frame import sentence
from pages.shared.outside import as_text
from pages.shared.units import are, duration, plural
from quantcore.progress import Progress

WORKERS = max(1, (os.cpu_count() or 1) // 2)
MOST_WAITING = 30
UNWATCHED_S = 600.0  # as long as Streamlit keeps the session of a closed tab
REDRAW_S = 0.7
SURE_AFTER_S = 2.0  # how long a job has run before it is told how long it still will

_UNSEEN = "_unseen_jobs"  # by title: done, and followed by another before their panel was drawn

State = Literal["waiting", "running", "done", "cancelled", "failed"]


class Job:
    """A piece of long work and how far it came. `latest` is what its iterator yielded last.

    `begin` is called at once: what it refuses by a `ValueError` never queues. `estimated_s` is how
    long it is expected to run.
    """

    def __init__(
        self,
        title: str,
        begin: Callable[[], Iterator[Progress]],
        estimated_s: float | None = None,
    ):
        self.title = title
        self.estimated_s = estimated_s
        self.state: State = "waiting"
        self.latest: Progress | None = None
        self.problem = ""
        self.seen = time.monotonic()
        self.begun: float | None = None
        self._steps = begin()
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
    def spent_s(self) -> float:
        """Seconds since it began to run."""
        return 0.0 if self.begun is None else time.monotonic() - self.begun

    @property
    def left_s(self) -> float | None:
        """Estimate the seconds that are left from those that were spent.

        At the beginning what was expected of it counts; None where nothing was.
        """
        spent = self.spent_s
        if spent >= SURE_AFTER_S and self.latest is not None and self.latest.share > 0:
            return spent * (1 / self.latest.share - 1)
        return None if self.estimated_s is None else max(self.estimated_s - spent, 0.0)

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
        except BaseException as fault:  # whatever it is, nobody must wait for a job that is dead
            self.problem, self.state = frame.fault(f"job {self.title}", fault), "failed"

    def _ended(self) -> State:
        """Work through the steps, and close what yields them."""
        try:
            for step in self._steps:
                self.latest = step
                if self._unwanted():
                    return "cancelled"
            return "done"
        finally:
            if isinstance(self._steps, Generator):
                self._steps.close()

    def _unwanted(self) -> bool:
        return self._cancelled.is_set() or time.monotonic() - self.seen > UNWATCHED_S


@dataclass(frozen=True, slots=True)
class Ahead:
    """What runs before a job can."""

    n_jobs: int
    seconds: float | None  # until a worker is free, None where nobody can tell


class Pool:
    """So many jobs at a time; the others wait in the order they came."""

    def __init__(self, n_workers: int = WORKERS):
        self._n_workers = n_workers
        self._executor = ThreadPoolExecutor(n_workers, thread_name_prefix="job")
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._paces: dict[str, float] = {}  # by title: how long the last took, over the estimate

    def submit(self, job: Job) -> None:
        """Start a job or let it wait; ValueError where too many wait already."""
        with self._lock:
            self._jobs = [known for known in self._jobs if known.active]
            if sum(known.state == "waiting" for known in self._jobs) >= MOST_WAITING:
                raise ValueError(f"{MOST_WAITING} runs are waiting already; try again in a minute.")
            self._jobs.append(job)
        self._executor.submit(self.do, job)

    def do(self, job: Job) -> None:
        """Run a job on this thread, and learn from it how long such jobs take here."""
        job.run()
        if job.state == "done" and job.estimated_s and job.spent_s > SURE_AFTER_S:
            pace = self._paces.get(job.title, 1.0)
            self._paces[job.title] = pace * job.spent_s / job.estimated_s

    def expected(self, title: str, seconds: float | None) -> float | None:
        """Correct an estimate by what the last run of this title took on this machine."""
        return None if seconds is None else seconds * self._paces.get(title, 1.0)

    def ahead_of(self, job: Job | None = None) -> Ahead:
        """Tell what runs or waits before this job, or before one that would come now."""
        with self._lock:
            at = self._jobs.index(job) if job in self._jobs else len(self._jobs)
            before = [known for known in self._jobs[:at] if known.active]
        n_jobs = max(0, len(before) - self._n_workers + 1)
        left = [known.left_s for known in before]
        known_s = [seconds for seconds in left if seconds is not None]
        seconds = sum(known_s) / self._n_workers if len(known_s) == len(left) else None
        return Ahead(len(before) if n_jobs else 0, seconds)


@st.cache_resource
def _pool() -> Pool:
    return Pool()


def start(title: str, begin: Callable[[], Iterator[Progress]], seconds: float | None = None) -> Job:
    """Begin this session's job; one that still runs is cancelled.

    One that is done, but whose panel was not drawn since, waits for it. `seconds` is what it is
    expected to take on a machine as fast as the one that estimates were made on.

    Raises
    ------
    ValueError
        If `begin` refuses what it was given, or too many jobs wait already; then nothing has
        changed.
    """
    job = Job(title, begin, _pool().expected(title, seconds))
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


def button(
    label: str,
    *,
    key: str,
    title: str,
    begin: Callable[[], Iterator[Progress]],
    seconds: float | None = None,
    unable: str = "",
    help: str | None = None,
) -> bool:
    """Draw the button that begins a run, and say beside it what the run will take, or why it can't.

    Parameters
    ----------
    title
        What a sentence calls the run; `panel` is called with the same.
    begin
        Makes the iterator of the run. What it refuses is said here, and does not queue.
    seconds
        Estimate of what the run takes.
    unable
        Why it cannot begin, in a sentence; empty where it can.

    Returns
    -------
    bool
        Whether it has begun: the caller remembers what it needs to, and draws the page again.
    """
    why = as_text(unable or _occupied(title))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pressed = st.button(label, key=key, disabled=bool(why), help=why or help)
        expected = _pool().expected(title, seconds)
        if says := why or beforehand(expected, _pool().ahead_of()):
            look.note(says)
    if not pressed:
        return False
    try:
        start(title, begin, seconds)
    except (ValueError, OSError) as problem:
        look.problem(sentence(problem))
        return False
    return True


def _occupied(title: str) -> str:
    """Say that this session's job keeps another from beginning; nothing where there is none."""
    job = current()
    if job is None or not job.active:
        return ""
    if job.title == title:
        return "It is on its way: see below."
    return f"One run at a time, and {job.title} is on its way: wait for it, or cancel it there."


def beforehand(seconds: float | None, ahead: Ahead) -> str:
    """Say what a run will take before it begins, and what is ahead of it.

    >>> beforehand(40, Ahead(0, 0.0))
    'Takes about 40 seconds, by estimate.'
    >>> beforehand(None, Ahead(2, 300.0))
    '2 other runs are ahead, about 5 minutes by estimate.'
    """
    takes = "" if seconds is None else f"Takes about {duration(seconds)}, by estimate."
    return f"{takes} {_queue(ahead)}".strip()


def _queue(ahead: Ahead) -> str:
    """Say how many runs are ahead, and how long they will take."""
    if not ahead.n_jobs:
        return ""
    runs = f"{plural(ahead.n_jobs, 'other run')} {are(ahead.n_jobs)} ahead"
    wait = "" if ahead.seconds is None else f", about {duration(ahead.seconds)} by estimate"
    return f"{runs}{wait}."


def panel(title: str, draw: Callable[[Progress], None] | None = None) -> Job | None:
    """Draw the job of this title while it waits or runs: stage, time left, progress, cancel.

    It belongs beside the button that began the job. Where results are drawn above that, `ended`
    takes them in first, and `watch` stands in this one's place.

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
    watch(title, draw)
    job = ended(title)
    if job is not None and job.state == "failed":
        look.problem(job.problem)
    return job


def watch(title: str, draw: Callable[[Progress], None] | None = None) -> None:
    """Draw the job of this title while it waits or runs, as `panel` does."""
    job = current()
    if job is not None and job.title == title and job.active:
        _watch(title, draw)


def ended(title: str) -> Job | None:
    """Take the job of this title, once, in the first run after its end."""
    job = current()
    if job is None or job.title != title:
        return st.session_state.get(_UNSEEN, {}).pop(title, None)
    if job.active:
        return None
    st.session_state.pop("_job", None)
    return job


@st.fragment(run_every=REDRAW_S)
def _watch(title: str, draw: Callable[[Progress], None] | None) -> None:
    job = current()
    if job is None or not job.active or job.title != title:
        st.rerun()
    with st.container(border=True, key="job_panel"):
        step = job.latest
        if step is None:
            look.say(_waiting(_pool().ahead_of(job)))
        else:
            look.say(f"**{step.stage}**{_left(job.left_s)}")
        st.progress(min(step.share, 1.0) if step else 0.0)
        if step and draw:
            draw(step)
        st.button("Cancel", key="cancel_job", on_click=job.cancel)


def _waiting(ahead: Ahead) -> str:
    """Say how long the queue is.

    >>> _waiting(Ahead(0, 0.0)), _waiting(Ahead(1, None))
    ('Starting.', 'Waiting: 1 other run is ahead.')
    """
    return f"Waiting: {_queue(ahead)}" if ahead.n_jobs else "Starting."


def _left(seconds: float | None) -> str:
    """Say how much time is left.

    >>> _left(1.2), _left(600), _left(None)
    (', about 1 second left', ', about 10 minutes left', '')
    """
    return "" if seconds is None else f", about {duration(seconds)} left"
