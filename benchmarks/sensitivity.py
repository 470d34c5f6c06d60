"""A sensitivity sweep beside the full model run for each tensor and format, in the same run.

    python -m benchmarks.sensitivity

A sample of all 57 tensors and 8 formats of the shipped model, on 4,096 tokens. Both quantize each
tensor, share out pieces over the same threads and score the same tokens; they take turns, so that
a busy machine slows both. CPU seconds say what a machine with nothing else to do would need.
"""

import time
from collections.abc import Callable

from quantcore import open_model, sweep
from quantcore.evaluate.text import calibration_text, cut
from quantcore.model.llama import Floats, Llama, Stop
from quantcore.pool import n_threads
from quantcore.sensitivity.bench import Bench
from quantcore.sensitivity.pieces import (
    DEFAULT_FORMATS,
    Piece,
    checked_formats,
    pieces_of,
    restored_as,
)

CONTEXT, CHUNKS = 512, 8
EVERY = 13  # shares no factor with the 8 formats, so that all of them are in the sample
ROUNDS = 4


class FullModel(Bench):
    """The same measurement by a whole forward pass for each piece, and nothing reused."""

    def measure(self, piece: Piece) -> object:
        """Measure one piece."""
        weights = {name: self.model.weights(name) for name in self.model.tensors}
        weights |= {name: restored_as(self.model, name, piece.format) for name in piece.tensors}
        llama = Llama(self.model.config, weights)
        return self.run(llama, [llama.begin(tokens) for tokens in self._batches])

    def _states(self, llama: Llama, stop: Stop) -> Floats:
        *_, states = llama.hidden_after(stop)
        return states[:, self._first : -1].reshape(-1, states.shape[2])


def main() -> None:
    """Print seconds a piece of both, their ratio, and what the whole sweep takes at that speed."""
    model = open_model()
    chunks = cut(model, calibration_text(), CONTEXT).first(CHUNKS)
    everything = pieces_of(model, checked_formats(model, DEFAULT_FORMATS), ["tensor"], ["alone"])
    sample = everything[::EVERY]
    benches = {"sweep": Bench(model, chunks), "full model": FullModel(model, chunks)}
    for bench in benches.values():
        list(sweep.run(bench.measure, everything[-8:]))  # compiles and warms
    spent = {name: [0.0, 0.0] for name in benches}
    step = -(-len(sample) // ROUNDS)
    for first in range(0, len(sample), step):
        for name, bench in benches.items():
            wall, cpu = _seconds(lambda b=bench, i=first: _run(b, sample[i : i + step]))
            spent[name][0] += wall
            spent[name][1] += cpu
    print(f"{n_threads()} threads, {CHUNKS * CONTEXT:,} tokens, {len(sample)} of {len(everything)}")
    print(f"{'':<12}{'s a piece':>11}{'CPU s':>8}{'whole sweep, s':>16}{'if idle, s':>12}")
    for name, (wall, cpu) in spent.items():
        each, busy = wall / len(sample), cpu / len(sample)
        whole, idle = each * len(everything), busy * len(everything) / n_threads()
        print(f"{name:<12}{each:>11.3f}{busy:>8.3f}{whole:>16.0f}{idle:>12.0f}")
    (wall, cpu), (full_wall, full_cpu) = spent.values()
    print(f"ratio       {full_wall / wall:>11.2f}{full_cpu / cpu:>8.2f}")


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
