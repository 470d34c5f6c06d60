"""The importance matrix of a model: mean squared inputs of every matrix over a text.

The error of a rounded weight is multiplied by its input, so a column with large inputs deserves
smaller errors. As llama.cpp's tool does, every token of every chunk counts; the embedding, which is
looked up and not multiplied, has no entry, and the output has one only on demand.
"""

import threading
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.text import Chunks, calibration_text, cut
from quantcore.io.imatrix import Imatrix
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.progress import Progress, result_of


def measure_imatrix(
    model: Model,
    text: str | None = None,
    context: int = 512,
    *,
    dataset: str = "calibration.txt",
    process_output: bool = False,
    on_progress: Callable[[Progress[Imatrix]], None] | None = None,
) -> Imatrix:
    """Measure the importance matrix of a model.

    Parameters
    ----------
    text
        By default the calibration text that ships with the lab.
    context
        Tokens a chunk; what does not fill a chunk is dropped.
    dataset
        Name of the text, kept in the file.
    process_output
        Whether the output matrix gets an entry too, unless it is the embedding.
    on_progress
        Called at each step; an exception that it raises ends the work.

    Raises
    ------
    ValueError
        If the context or the text does not suit the model.
    """
    steps = imatrix_steps(model, text, context, dataset=dataset, process_output=process_output)
    return result_of(steps, on_progress)


def imatrix_steps(
    model: Model,
    text: str | None = None,
    context: int = 512,
    *,
    dataset: str = "calibration.txt",
    process_output: bool = False,
) -> Iterator[Progress[Imatrix]]:
    """Measure the importance matrix in steps of a layer of one chunk; see `measure_imatrix`."""
    chunks = cut(model, calibration_text() if text is None else text, context)
    return _steps(model, chunks, dataset, process_output)


def _steps(
    model: Model, chunks: Chunks, dataset: str, process_output: bool
) -> Iterator[Progress[Imatrix]]:
    n_chunks, context = chunks.tokens.shape
    collected = _Sums(process_output and not model.config.tied_embedding)
    weights = {}
    for name in model.tensors:
        weights[name] = model.weights(name)
        yield Progress(0.0, "reading the model")
    llama = Llama(model.config, weights, watch=collected.add)
    n_steps = model.config.n_layers + 1
    for chunk in range(n_chunks):
        layers = llama.hidden_by_layer(chunks.inputs[chunk : chunk + 1])
        for step, states in enumerate(layers, start=1):
            if step == n_steps and collected.with_output:
                llama.output(states[0])
            share = (chunk + step / n_steps) / n_chunks
            yield Progress(share, f"chunk {chunk + 1} of {n_chunks}")
    yield Progress(1.0, "done", collected.result(n_chunks, context, dataset))


class _Sums:
    """Adds up squared inputs, in double: llama.cpp's floats drift by a few in 10 million."""

    def __init__(self, with_output: bool) -> None:
        self.with_output = with_output
        self._sums: dict[tuple[str, ...], NDArray[np.float64]] = {}
        self._counts: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def add(self, names: tuple[str, ...], rows: NDArray[np.float32]) -> None:
        """Take in rows (n, n_cols) that the named matrices are multiplied by."""
        if not (names[0].startswith("blk.") or (self.with_output and names[0] == "output.weight")):
            return
        with np.errstate(over="ignore", invalid="ignore"):  # `result` refuses what is not finite
            squares = np.square(rows).sum(axis=0, dtype=np.float64)
        with self._lock:
            self._sums[names] = self._sums.get(names, 0.0) + squares
            self._counts[names] = self._counts.get(names, 0) + len(rows)

    def result(self, n_chunks: int, context: int, dataset: str) -> Imatrix:
        """Give every matrix its entry; those with the same input have equal ones."""
        sums, counts = {}, {}
        for names, squares in self._sums.items():
            if not np.isfinite(squares).all():
                raise ValueError(
                    f"{names[0]} meets inputs that are not finite; the model is broken."
                )
            for name in names:
                sums[name] = squares.astype(np.float32)[None]
                counts[name] = np.array([self._counts[names]], np.float32)
        return Imatrix(
            sums=sums, counts=counts, datasets=(dataset,), chunk_count=n_chunks, chunk_size=context
        )
