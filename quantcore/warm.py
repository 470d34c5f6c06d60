"""Compiling ahead: every kernel once, on the smallest work, so that no first click waits for it."""

import multiprocessing
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np

from quantcore.formats import DEFAULTS, FORMATS, LATTICE, OUTSIDE_GGUF, get_format
from quantcore.pool import n_threads

N_WEIGHTS = 256  # the largest block
MOST_PROCESSES = 8  # each holds a compiler, of some 300 MB


def compile_all() -> Iterator[tuple[str, float]]:
    """Run each kernel, and yield what was made ready with the seconds it took, as it gets ready.

    Each core compiles in a process of its own, for the compiler holds Python's lock.
    """
    formats = dict.fromkeys([*FORMATS, *OUTSIDE_GGUF, *LATTICE, *DEFAULTS])
    spawn = multiprocessing.get_context("spawn")
    n = min(n_threads(), MOST_PROCESSES)
    with ProcessPoolExecutor(n, spawn, _end_at_once) as processes:
        try:
            yield from _each(processes, _format, formats)
            # Last: it runs some of the kernels above.
            yield from _each(processes, _model_part, _MODEL_PARTS)
        finally:
            processes.shutdown(cancel_futures=True)


def _end_at_once() -> None:
    """Ctrl-C reaches all processes of a terminal; only the first says that it was stopped."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _each(processes, work, names) -> Iterator[tuple[str, float]]:
    for done in as_completed([processes.submit(_timed, work, name) for name in names]):
        yield done.result()


def _timed(work, name: str) -> tuple[str, float]:
    start = time.perf_counter()
    work(name)
    return name, time.perf_counter() - start


def _format(name: str) -> None:
    from quantcore.evaluate.weight_error import tensor_error

    weights = np.linspace(-1, 1, 2 * N_WEIGHTS, dtype=np.float32).reshape(2, N_WEIGHTS)
    fmt = get_format(name)
    if fmt.uses_importance:
        fmt.round_trip(weights, importance=np.ones(N_WEIGHTS, np.float32))
    if not fmt.needs_importance:
        tensor_error(weights, fmt)


def _forward() -> None:
    from quantcore.evaluate.drift import measure_drift
    from quantcore.model.source import open_model

    measure_drift(open_model(), "Q8_0", "Once upon a time there was a fox.", context=4)


def _activations() -> None:
    from quantcore.formats.iq4.plain import round_plainly
    from quantcore.model.activations import rounded

    rows = np.ones((2, N_WEIGHTS), np.float32)
    for kind in ("F16", "BF16", "Q8_0", "Q8_K"):
        rounded(rows, kind)
    round_plainly(rows, np.empty_like(rows))


def _methods() -> None:
    from quantcore.methods.columns.filling import start_filling
    from quantcore.methods.columns.work import Work
    from quantcore.methods.trellis import encode

    weights = np.linspace(-1, 1, 2 * N_WEIGHTS, dtype=np.float32).reshape(2, N_WEIGHTS)
    encode(weights[:1], 2)
    alone = np.eye(N_WEIGHTS, dtype=np.float32)
    for name in ("INT4_ROW", "IQ2_S"):  # a code for each weight, and a codebook
        filling = start_filling(get_format(name), weights, None)
        filling.round(
            Work(
                places=np.arange(N_WEIGHTS),
                target=weights.copy(),
                aimed=weights.copy(),
                feedback=alone,
                root=alone,
                pushes=None,
            )
        )


_MODEL_PARTS = {"forward pass": _forward, "activations": _activations, "methods": _methods}


def _model_part(name: str) -> None:
    _MODEL_PARTS[name]()
