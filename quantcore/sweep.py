"""Many independent pieces of work: over threads here, or over the workers of a Dask cluster.

The one place that knows Dask (requirements-cluster.txt). What `work` does must not depend on where
or in which order the pieces are done; then the results are the same on one thread and on a
cluster. Each piece has one thread to itself: the lab's own sharing out of rows is off inside.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Generic, TypeVar

from quantcore.pool import n_threads, threads

Piece = TypeVar("Piece")
Result = TypeVar("Result")
CONNECT_S = 5


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Piece, Result]):
    """What became of one piece: a result, or what went wrong with it."""

    piece: Piece
    result: Result | None = None
    problem: str | None = None


def run(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], scheduler: str | None = None
) -> Iterator[Outcome[Piece, Result]]:
    """Do all pieces, and yield each as it is done. Stop iterating to cancel the rest.

    Parameters
    ----------
    work
        Called with one piece. What it raises is reported as that piece's problem, and the others
        go on. For Dask it must be importable by the workers, its arguments small.
    scheduler
        Address of a Dask scheduler, as ``tcp://10.0.0.5:8786``; None for threads here. Pieces of a
        worker that is lost are done again by the others; a piece that takes several workers with it
        is given up.

    Raises
    ------
    ValueError
        If Dask is not installed, or no scheduler answers.
    """
    return _here(work, pieces) if scheduler is None else _on_cluster(work, pieces, scheduler)


def _alone(work: Callable[[Piece], Result], piece: Piece) -> Outcome[Piece, Result]:
    try:
        with threads(1):
            return Outcome(piece, work(piece))
    except Exception as problem:  # whatever it is, the other pieces are not to blame
        return Outcome(piece, problem=f"{type(problem).__name__}: {problem}")


def _here(
    work: Callable[[Piece], Result], pieces: Sequence[Piece]
) -> Iterator[Outcome[Piece, Result]]:
    pool = ThreadPoolExecutor(n_threads(), "sweep")
    try:
        waiting = [pool.submit(_alone, work, piece) for piece in pieces]
        for done in as_completed(waiting):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _on_cluster(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], scheduler: str
) -> Iterator[Outcome[Piece, Result]]:
    try:
        import distributed
    except ImportError as problem:
        raise ValueError(
            "Dask is not installed: pip install -r requirements-cluster.txt."
        ) from problem
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        raise ValueError(
            f"No Dask scheduler answers at {scheduler[:100]!r}: start one by `dask scheduler` "
            "and give its tcp:// address."
        ) from problem
    with client:
        yield from _gathered(client, work, pieces)


def _gathered(
    client: object, work: Callable[[Piece], Result], pieces: Sequence[Piece]
) -> Iterator[Outcome[Piece, Result]]:
    import distributed

    def submit(piece: Piece, place: int = 0) -> object:
        return client.submit(_alone, work, piece, pure=False, priority=-place)

    # The order of the pieces is their priority, so that neighbours are done near each other.
    waiting = {submit(piece, place): piece for place, piece in enumerate(pieces)}
    suspects = []
    with client.as_current():
        finished = distributed.as_completed(list(waiting))
    try:
        for done in finished:
            try:
                yield _outcome(done, waiting[done])
            except distributed.KilledWorker:
                suspects.append(waiting[done])
            done.release()
        # Workers died of one of these, and the others were only waiting there: one at a time.
        for piece in suspects:
            try:
                yield _outcome(submit(piece), piece)
            except distributed.KilledWorker as problem:
                yield Outcome(piece, problem=f"KilledWorker: {problem}")
    finally:
        client.cancel(list(waiting))


def _outcome(done: object, piece: Piece) -> Outcome[Piece, Result]:
    import distributed

    try:
        return done.result()  # waits where the worker that held it was lost meanwhile
    except distributed.KilledWorker:
        raise
    except (CancelledError, asyncio.CancelledError) as problem:
        raise ValueError(
            "the Dask scheduler is gone: start it and run this again; what was found is kept."
        ) from problem
    except Exception as problem:  # a worker could not even read the piece
        return Outcome(piece, problem=f"{type(problem).__name__}: {problem}")
