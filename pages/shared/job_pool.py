"""Jobs, and the bounded pool that they wait for: so many run at a time, in the order they came."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pages.shared import frame
from pages.shared.frame import sentence
from pages.shared.visitor import SOMEBODY, Visitor, server_stops
from quantcore.pool import give_way
from quantcore.progress import Progress

MOST_WAITING = 30
MOST_OF_ONE_BROWSER = 2  # so that nobody fills the queue alone
MOST_OF_ONE_ADDRESS = 24  # a room may have one address for all: room is left for another
UNWATCHED_S = 30.0  # a laptop that sleeps for a moment comes back within it
SURE_AFTER_S = 2.0  # how long a job has run before it is told how long it still will
SURE_FROM_SHARE = 0.05  # of the work: before, opening files and first calls weigh too much
END_WITHIN_S = 10.0  # of the server: what was found so far is being kept

State = Literal["waiting", "running", "done", "cancelled", "failed"]


class Job:
    """A piece of long work and how far it came. `latest` is what its iterator yielded last.

    `begin` is called at once: what it refuses by a `ValueError` never queues. `estimated_s` is how
    long it is expected to run. It ends soon after its visitor has gone.
    """

    def __init__(
        self,
        title: str,
        begin: Callable[[], Iterator[Progress]],
        estimated_s: float | None = None,
        visitor: Visitor = SOMEBODY,
    ):
        self.title = title
        self.visitor = visitor
        self.estimated_s = estimated_s
        self.state: State = "waiting"
        self.latest: Progress | None = None
        self.problem = ""
        self.begun: float | None = None
        self._seen = time.monotonic()
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

        At the beginning what was expected of it counts, and then less and less; None as long as
        nothing can be known.
        """
        spent, share = self.spent_s, 0.0 if self.latest is None else self.latest.share
        trust = min(share / SURE_FROM_SHARE, 1.0) if spent >= SURE_AFTER_S else 0.0
        if self.estimated_s is None and trust < 1.0:
            return None
        measured = spent / share if trust else 0.0
        expected = self.estimated_s or 0.0
        return max(trust * measured + (1 - trust) * expected - spent, 0.0)

    def cancel(self) -> None:
        """Ask it to stop at its next step."""
        self._cancelled.set()
        if self.state == "waiting":
            self.state = "cancelled"

    def run(self) -> None:
        """Work until done, cancelled, or unwatched. Called by the pool."""
        if self.unwanted():
            self.state = "cancelled"
            return
        self.state, self.begun = "running", time.monotonic()
        try:
            self.state = self._ended()  # only now: a job that is cancelled may still have to save
        except (ValueError, OSError, MemoryError) as problem:
            self.problem, self.state = sentence(problem), "failed"
        except BaseException as fault:  # whatever it is, nobody must wait for a job that is dead
            if server_stops():  # and with it threads that a step still asks for
                self.state = "cancelled"
            else:
                self.problem, self.state = frame.fault(f"job {self.title}", fault), "failed"

    def _ended(self) -> State:
        """Work through the steps, and close what yields them."""
        try:
            for step in self._steps:
                self.latest = step
                if self.unwanted():
                    return "cancelled"
            return "done"
        finally:
            if isinstance(self._steps, Generator):
                self._steps.close()

    def unwanted(self) -> bool:
        """Whether it was cancelled, its visitor has been gone for a while, or the server stops."""
        now = time.monotonic()
        if self.visitor is SOMEBODY or self.visitor.is_here():
            self._seen = now
        return self._cancelled.is_set() or server_stops() or now - self._seen > UNWATCHED_S


@dataclass(frozen=True, slots=True)
class Ahead:
    """What runs before a job can."""

    n_jobs: int
    seconds: float | None  # until a worker is free, None where nobody can tell


class Pool:
    """So many jobs at a time; the others wait in the order they came."""

    def __init__(self, n_workers: int):
        self._n_workers = n_workers
        self._waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._paces: dict[str, float] = {}  # by title: how long the last took, over the estimate
        for place in range(n_workers):
            # A daemon: a server that is told to stop does not wait for the end of all jobs.
            threading.Thread(target=self._work, name=f"job-{place}", daemon=True).start()

    def submit(self, job: Job) -> None:
        """Start a job or let it wait; ValueError where too many wait already."""
        with self._lock:
            self._drop_forsaken()
            self._refuse_too_many(job.visitor)
            self._jobs.append(job)
        self._waiting.put(job)

    def _drop_forsaken(self) -> None:
        """Forget jobs that are over, and those whose visitor left while they waited."""
        for job in self._jobs:
            if job.state == "waiting" and job.unwanted():
                job.cancel()
        self._jobs = [job for job in self._jobs if job.active]

    def _refuse_too_many(self, visitor: Visitor) -> None:
        """Refuse a job where the queue is full, or where one visitor would fill it."""
        if sum(known.state == "waiting" for known in self._jobs) >= MOST_WAITING:
            raise ValueError(f"{MOST_WAITING} runs are waiting already; try again in a minute.")
        others = [known.visitor for known in self._jobs if known.visitor is not SOMEBODY]
        if sum(each.browser == visitor.browser for each in others) >= MOST_OF_ONE_BROWSER:
            raise ValueError(
                f"{MOST_OF_ONE_BROWSER} runs of your browser are on their way, in other windows of "
                "the lab: wait for one of them, or cancel it there."
            )
        if sum(each.address == visitor.address for each in others) >= MOST_OF_ONE_ADDRESS:
            raise ValueError(
                f"{MOST_OF_ONE_ADDRESS} runs from your network address are on their way; try again "
                "in a minute."
            )

    def _work(self) -> None:
        give_way()  # to those who only look: a page is drawn before a run goes on
        while True:
            self.do(self._waiting.get())

    def close(self) -> bool:
        """Cancel all jobs, and give those that run a moment to keep what they have found.

        Returns whether all have ended by then.
        """
        with self._lock:
            jobs = [job for job in self._jobs if job.active]
        for job in jobs:
            job.cancel()
        end = time.monotonic() + END_WITHIN_S
        while (active := any(job.active for job in jobs)) and time.monotonic() < end:
            time.sleep(0.02)
        return not active

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
            self._drop_forsaken()
            at = self._jobs.index(job) if job in self._jobs else len(self._jobs)
            before = [known for known in self._jobs[:at] if known.active]
        n_jobs = max(0, len(before) - self._n_workers + 1)
        left = [known.left_s for known in before]
        known_s = [seconds for seconds in left if seconds is not None]
        seconds = sum(known_s) / self._n_workers if len(known_s) == len(left) else None
        return Ahead(len(before) if n_jobs else 0, seconds)
