"""Many independent pieces of work: over threads here, or over the workers of a Dask cluster.

The one place that knows Dask (requirements-cluster.txt). What `work` does must not depend on where
or in which order the pieces are done; then the results are the same on one thread and on a
cluster. Each piece has one thread to itself: the lab's own sharing out of rows is off inside.
"""

import queue
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from quantcore.pool import n_threads, threads

if TYPE_CHECKING:
    from distributed import Client, Future

Piece = TypeVar("Piece")
Result = TypeVar("Result")
CONNECT_S = 5
LOOK_S = 0.5  # between two looks at how many workers there are
FETCH_S = 30  # for a result that is ready


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Piece, Result]):
    """What became of one piece: a result, or what went wrong with it."""

    piece: Piece
    result: Result | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers a cluster has; said at the beginning, and again when that changes."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a sweep on a cluster waits, in seconds; longer than this it never does."""

    workers_s: float = 120.0  # for the first worker, or for one to return when all are lost
    piece_s: float = 1800.0  # for one piece; a worker's first may have to fetch the model

    def __post_init__(self) -> None:
        for seconds in (self.workers_s, self.piece_s):
            if not 0 < seconds <= threading.TIMEOUT_MAX:
                raise ValueError(f"Nobody can wait for {seconds:g} s: give some seconds.")


def run(
    work: Callable[[Piece], Result], pieces: Sequence[Piece]
) -> Generator[Outcome[Piece, Result], None, None]:
    """Do all pieces on threads here; yield each as it is done. Stop iterating to cancel the rest.

    Parameters
    ----------
    work
        Called with one piece. What it raises is reported as that piece's problem, and the others
        go on.
    """
    pool = ThreadPoolExecutor(n_threads(), "sweep")
    try:
        waiting = [pool.submit(_alone, work, piece) for piece in pieces]
        for done in as_completed(waiting):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def run_on_cluster(
    work: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    scheduler: str,
    patience: Patience | None = None,
) -> Generator[Outcome[Piece, Result] | Workers, None, None]:
    """Do all pieces on a Dask cluster; yield each as it is done. Stop iterating to cancel the rest.

    Pieces of a worker that is lost are done again by the others. A piece that takes several workers
    with it is given up, and so is one that has no result in time; the others go on.

    Parameters
    ----------
    work
        Called with one piece, on one thread of a worker. What it raises is reported as that piece's
        problem. It must be importable by the workers, its arguments small.
    scheduler
        Address of the scheduler, as ``tcp://10.0.0.5:8786``.
    patience
        How long to wait for workers, and for a piece.

    Raises
    ------
    ValueError
        If Dask is not installed, no scheduler answers, or it is lost; if no worker comes, or all
        stay away, for as long as the patience lasts. What was yielded before stays true.
    """
    try:
        import distributed
    except ImportError as problem:
        raise ValueError(_NOT_INSTALLED) from problem
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        raise ValueError(_no_answer(scheduler)) from problem
    with client:
        yield from _Cluster(client, patience or Patience()).outcomes(work, pieces)


def check_scheduler(scheduler: str) -> None:
    """Raise a `ValueError` if Dask is not installed, or nothing answers at an address.

    What answers may still be no scheduler: that shows when work begins.
    """
    if find_spec("distributed") is None:
        raise ValueError(_NOT_INSTALLED)
    host, _, port = scheduler.rpartition("/")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as problem:
        raise ValueError(_no_answer(scheduler)) from problem


_NOT_INSTALLED = "Dask is not installed: pip install -r requirements-cluster.txt."


def _no_answer(scheduler: str) -> str:
    return (
        f"No Dask scheduler answers at {scheduler[:100]!r}: start one by `dask scheduler` and give "
        "its tcp:// address."
    )


def _alone(work: Callable[[Piece], Result], piece: Piece) -> Outcome[Piece, Result]:
    try:
        with threads(1):
            return Outcome(piece, work(piece))
    except Exception as problem:  # whatever it is, the other pieces are not to blame
        return Outcome(piece, problem=f"{type(problem).__name__}: {problem}")


def _in_time(
    limit_s: float, work: Callable[[Piece], Result], piece: Piece
) -> Outcome[Piece, Result]:
    """Do a piece where a worker runs; past its limit, leave it behind and be free for others.

    A thread cannot be stopped from outside. It is a daemon, so that the worker can still end.
    """
    done: list[Outcome[Piece, Result]] = []
    thread = threading.Thread(target=lambda: done.append(_alone(work, piece)), daemon=True)
    thread.start()
    thread.join(limit_s)
    return done[0] if done else Outcome(piece, problem=f"no result within {limit_s:g} s; given up")


@dataclass(frozen=True, slots=True)
class _Deadly(Generic[Piece]):
    """A piece whose workers died, of it or of one that was beside it."""

    piece: Piece
    problem: str


class _Cluster:
    """A sweep's view of a Dask cluster, in which every wait has an end."""

    def __init__(self, client: "Client", patience: Patience) -> None:
        self._client, self._patience = client, patience
        self._fetch_s = min(FETCH_S, self._patience.workers_s)
        self._n_workers: int | None = None

    def outcomes(
        self, work: Callable[[Piece], Result], pieces: Sequence[Piece]
    ) -> Iterator[Outcome[Piece, Result] | Workers]:
        def submit(piece: Piece, place: int = 0) -> "Future":
            limit_s = self._patience.piece_s
            return self._client.submit(_in_time, limit_s, work, piece, pure=False, priority=-place)

        # The order of the pieces is their priority, so that neighbours are done near each other.
        waiting = {submit(piece, place): piece for place, piece in enumerate(pieces)}
        suspects = []
        try:
            for event in self._gathered(waiting):
                if isinstance(event, _Deadly):
                    suspects.append(event.piece)
                else:
                    yield event
            # Workers died of one of these; the others were only waiting there. One at a time:
            for piece in suspects:
                waiting = {submit(piece): piece}
                for event in self._gathered(waiting):
                    if isinstance(event, _Deadly):
                        yield Outcome(piece, problem=event.problem)
                    else:
                        yield event
        finally:
            self._client.cancel(list(waiting))

    def _gathered(
        self, waiting: dict["Future", Piece]
    ) -> Iterator[Outcome[Piece, Any] | Workers | _Deadly[Piece]]:
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        for future in waiting:
            future.add_done_callback(ended.put)
        n_left, quiet_s, deserted_s = len(waiting), 0.0, 0.0
        while n_left:
            n_workers = self._count()
            if n_workers != self._n_workers:
                self._n_workers = n_workers
                yield Workers(n_workers)
            try:
                future = ended.get(timeout=LOOK_S)
                event = _event(future, waiting[future], self._fetch_s)
            except queue.Empty:
                waited_s = LOOK_S
            except TimeoutError:  # its worker was lost before we had it: it is done again
                waited_s = self._fetch_s
                future.add_done_callback(ended.put)
            else:
                yield event
                future.release()
                n_left, quiet_s, deserted_s = n_left - 1, 0.0, 0.0
                continue
            quiet_s += waited_s
            deserted_s = 0.0 if n_workers else deserted_s + waited_s
            self._refuse_to_wait(quiet_s, deserted_s)

    def _count(self) -> int:
        if self._client.status != "running":  # it has lost its scheduler, and with it all futures
            raise _scheduler_gone()
        ask = self._client.scheduler.identity
        try:
            return self._client.sync(ask, n_workers=0, callback_timeout=FETCH_S)["n_workers"]
        except (OSError, TimeoutError, CancelledError) as problem:
            raise _scheduler_gone() from problem

    def _refuse_to_wait(self, quiet_s: float, deserted_s: float) -> None:
        """Raise a `ValueError` once nothing has come for too long."""
        patience = self._patience
        if deserted_s >= patience.workers_s:
            raise ValueError(
                f"The Dask scheduler has had no worker for {deserted_s:.0f} s: start some by "
                "`dask worker` and run this again; what was found is kept."
            )
        if quiet_s >= patience.piece_s + patience.workers_s:
            raise ValueError(
                f"No worker has answered for {quiet_s:.0f} s: restart them and run this again; "
                "what was found is kept."
            )


def _event(future: "Future", piece: Piece, limit_s: float) -> Outcome[Piece, Any] | _Deadly[Piece]:
    """Fetch what became of a piece; `TimeoutError` where it was lost after it had been done."""
    import asyncio

    import distributed

    try:
        return future.result(timeout=limit_s)
    except distributed.KilledWorker as problem:
        return _Deadly(piece, f"KilledWorker: {problem}")
    except (CancelledError, asyncio.CancelledError) as problem:
        raise _scheduler_gone() from problem
    except TimeoutError:
        raise
    except Exception as problem:  # a worker could not even read the piece
        return Outcome(piece, problem=f"{type(problem).__name__}: {problem}")


def _scheduler_gone() -> ValueError:
    return ValueError(
        "the Dask scheduler is gone: start it and run this again; what was found is kept."
    )
