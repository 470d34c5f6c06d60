"""Formats beside ggml and gguf, one core each, in the same run: ``python -m benchmarks.formats``.

Prints a Markdown table of speeds in million weights a second, with ratios: above 1, quantcore is
faster. Decoding goes into a caller's `out=`, then into fresh memory. Each figure is the median over
rounds in which all take turns, in seconds of the thread's own time on its core, so that other work
on the machine hits all alike. Encoding writes to fresh memory. gguf has no `out=`: both of its
columns compare with what it returns.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import gguf
import numpy as np

from benchmarks import ggml
from quantcore import FORMATS, pool

N_ROWS, N_COLS = 4096, 4096  # 16.8 million weights: an attention projection of a 7 B model
OLDER = "IQ1_M"  # changed in ggml after the library in the wheel: a few blocks differ
SECONDS = 2  # for each comparison, and at least seven rounds
HEAD = """\
| format | encode | × ggml | imatrix, × ggml | `out=` | × ggml | × gguf | fresh | × ggml | × gguf |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Measure the formats that are named, or all, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", default=[n for n in FORMATS if n in ggml.TYPES])
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    weights = (rng.standard_t(4, size=(N_ROWS, N_COLS)) * 0.02).astype(np.float32)
    print(HEAD)
    with pool.threads(1):
        for name in options.formats:
            print(line(name, weights), flush=True)


def line(name: str, weights: np.ndarray) -> str:
    """Measure one format, and stop if its bytes are not ggml's."""
    fmt = FORMATS[name]
    slow = fmt.family in ("K", "uneven")  # ggml takes a second for some million
    rows = weights[:256] if slow else weights
    took, alone = encoding(name, rows, matrix_for(rows) if fmt.needs_importance else None)
    weighted = "–"
    if fmt.needs_importance:
        alone, weighted = "–", alone
    elif fmt.uses_importance:
        weighted = encoding(name, weights[:256], matrix_for(rows))[1]

    packed = fmt.quantize(rows, matrix_for(rows))
    packed, out = np.resize(packed, (N_ROWS, packed.shape[1])), np.empty_like(weights)
    kind = gguf.GGMLQuantizationType[name]
    into = compare(
        lambda: fmt.dequantize(packed, out=out),
        lambda: ggml.dequantize(name, packed, out),
        lambda: gguf.quants.dequantize(packed, kind),
    )
    fresh = compare(
        lambda: fmt.dequantize(packed),
        lambda: ggml.dequantize(name, packed),
        lambda: gguf.quants.dequantize(packed, kind),
    )
    cells = [f"{rows.size / took / 1e6:,.0f} | {alone} | {weighted}"]
    for seconds, by_ggml, by_gguf in (into, fresh):
        cells.append(f"{weights.size / seconds / 1e6:,.0f} | {by_ggml:.2f} | {by_gguf:.1f}")
    return f"| {name} | {' | '.join(cells)} |"


def matrix_for(rows: np.ndarray) -> np.ndarray:
    """Make an importance matrix."""
    return np.random.default_rng(1).uniform(0.1, 2, rows.shape[1]).astype(np.float32)


def encoding(name: str, rows: np.ndarray, matrix: np.ndarray | None) -> tuple[float, str]:
    """Measure encoding, with a matrix or without: our seconds, and ggml's time to ours in words."""
    fmt = FORMATS[name]
    same = np.array_equal(fmt.quantize(rows, matrix), ggml.quantize(name, rows, matrix))
    if not same and name != OLDER:
        raise SystemExit(f"{name}: bytes differ from ggml's")
    took, ratio = compare(
        lambda: fmt.quantize(rows, matrix), lambda: ggml.quantize(name, rows, matrix)
    )
    return took, f"{ratio:.2f}"


def compare(ours: Callable, *theirs: Callable) -> tuple[float, ...]:
    """Return our median time in seconds, then the median ratio of each other's time to ours."""
    rounds = []
    stop = time.perf_counter() + SECONDS
    while len(rounds) < 7 or (time.perf_counter() < stop and len(rounds) < 101):
        rounds.append([timed(work) for work in (ours, *theirs)])
    ratios = [statistics.median(r[i] / r[0] for r in rounds) for i in range(1, len(theirs) + 1)]
    return statistics.median(r[0] for r in rounds), *ratios


def timed(work: Callable) -> float:
    """Seconds on the core that one call takes, freeing what it returned included."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


if __name__ == "__main__":
    main()
