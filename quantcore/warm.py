"""Compiling ahead: every kernel once, on the smallest work, so that no first click waits for it."""

import time
from collections.abc import Iterator

import numpy as np

from quantcore.formats import DEFAULTS, FORMATS, OUTSIDE_GGUF, get_format

N_WEIGHTS = 256  # the largest block


def compile_all() -> Iterator[tuple[str, float]]:
    """Run each kernel, and yield what was made ready with the seconds it took."""
    weights = np.linspace(-1, 1, 2 * N_WEIGHTS, dtype=np.float32).reshape(2, N_WEIGHTS)
    for name in dict.fromkeys([*FORMATS, *OUTSIDE_GGUF, *DEFAULTS]):
        yield _timed(name, lambda name=name: _format(name, weights))
    yield _timed("forward pass", _forward)
    yield _timed("activations", _activations)


def _timed(what, work) -> tuple[str, float]:
    start = time.perf_counter()
    work()
    return what, time.perf_counter() - start


def _format(name: str, weights: np.ndarray) -> None:
    from quantcore.evaluate.weight_error import tensor_error

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
    from quantcore.model.activations import rounded

    rows = np.ones((2, N_WEIGHTS), np.float32)
    for kind in ("F16", "BF16", "Q8_0", "Q8_K"):
        rounded(rows, kind)
