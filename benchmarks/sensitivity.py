"""A sensitivity sweep beside the full model run for each tensor and format, in the same run.

    python -m benchmarks.sensitivity

All 57 tensors and 8 formats of the shipped model, on 4,096 tokens; of the two that reuse nothing a
sample, for each piece costs them the same. They take turns, so that a busy machine slows all. CPU
seconds say what a machine with nothing else to do would need.

    sweep        quantcore.sensitivity
    full model   the same, but each piece runs the whole model and reuses nothing
    compare      as the lab did before: quantcore.evaluate.drift, the original once for 8 models
"""

import time
from collections.abc import Callable
from functools import partial

from quantcore import open_model, sweep
from quantcore.evaluate.drift import compare
from quantcore.evaluate.text import Chunks, calibration_text, cut
from quantcore.model.llama import Floats, Llama, Stop
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.sensitivity.bench import Bench
from quantcore.sensitivity.pieces import (
    DEFAULT_FORMATS,
    Piece,
    checked_formats,
    pieces_of,
    restored_as,
)
from quantcore.sensitivity.reading import Batch, reading_of

CONTEXT, CHUNKS = 512, 8
EVERY = 11  # shares no factor with the 8 formats, so that all of them are in the sample
ROUNDS = 6


class FullModel(Bench):
    """Measure each piece by a whole forward pass, and reuse nothing."""

    def measure(self, piece: Piece) -> object:
        """Measure one piece."""
        weights = {name: self.model.weights(name) for name in self.model.tensors}
        weights |= {name: restored_as(self.model, name, piece.format) for name in piece.tensors}
        llama = Llama(self.model.config, weights)
        return self.run(llama, [llama.begin(batch.inputs) for batch in self._batches])

    def _states(self, llama: Llama, stop: Stop, batch: Batch) -> Floats:
        *_, states = llama.hidden_after(stop)
        return batch.wanted(states[:, batch.first :])


class WholeModels:
    """Pieces by whole models that Drift compares with the original."""

    def __init__(self, model: Model, chunks: Chunks) -> None:
        self._model, self._chunks = model, chunks

    def run_all(self, pieces: list[Piece]) -> None:
        """Measure some pieces."""
        kept = dict.fromkeys(self._model.quantizable, "F32")
        for first in range(0, len(pieces), 8):
            changes = {
                f"{piece.name} {piece.format}": kept | dict.fromkeys(piece.tensors, piece.format)
                for piece in pieces[first : first + 8]
            }
            for _ in compare(self._model, changes, self._chunks):
                pass


def main() -> None:
    """Print seconds a piece of both, their ratio, and what the whole sweep takes at that speed."""
    model = open_model()
    chunks = cut(model, calibration_text(), CONTEXT).first(CHUNKS)
    reading = reading_of(model, chunks)
    everything = pieces_of(model, checked_formats(model, DEFAULT_FORMATS), ["tensor"], ["alone"])
    benches = {
        "sweep": partial(_run, Bench(model, reading)),
        "full model": partial(_run, FullModel(model, reading)),
        "compare": WholeModels(model, chunks).run_all,
    }
    for measure in benches.values():
        measure(everything[-8:])  # compiles and warms
    benches["sweep"] = partial(_run, Bench(model, reading))  # at the beginning again
    spent = {name: [0.0, 0.0, 0] for name in benches}
    step = -(-len(everything) // ROUNDS)
    for first in range(0, len(everything), step):
        for name, measure in benches.items():
            pieces = everything[first : first + step][:: 1 if name == "sweep" else EVERY]
            wall, cpu = _seconds(partial(measure, pieces))
            spent[name] = [
                spent[name][0] + wall,
                spent[name][1] + cpu,
                spent[name][2] + len(pieces),
            ]
    print(f"{n_threads()} threads, {CHUNKS * CONTEXT:,} tokens, {len(everything)} pieces")
    columns = f"{'s a piece':>11}{'CPU s':>8}{'whole sweep, s':>16}{'if idle, s':>12}"
    print(f"{'':<12}{columns}{'sweep is faster':>17}")
    for name, (wall, cpu, n_pieces) in spent.items():
        each, busy = wall / n_pieces, cpu / n_pieces
        whole, idle = each * len(everything), busy * len(everything) / n_threads()
        ratio = each * len(everything) / spent["sweep"][0]
        print(f"{name:<12}{each:>11.3f}{busy:>8.3f}{whole:>16.0f}{idle:>12.0f}{ratio:>16.2f}x")


def _run(bench: Bench, pieces: list[Piece]) -> None:
    for done in sweep.run(bench.measure, pieces):
        if done.problem:
            raise RuntimeError(done.problem)


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
