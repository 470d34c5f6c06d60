"""What a decoder layer with other weights misses, and its slope by each of the matrices."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.methods.method import LayerRun
from quantcore.model.backward import through_layer
from quantcore.model.blas import one_thread
from quantcore.model.layer import MATRICES
from quantcore.model.llama import Llama, Stop
from quantcore.pool import over_rows

Slopes = dict[str, Weights]  # by names of matrices, each of their shape


class LayerSlopes:
    """A layer, the states that enter it, and those that should leave it.

    States enter as in the model that is quantized so far; what should leave is what the original
    layer makes of the original model's states.
    """

    def __init__(self, run: LayerRun, n_tokens: int) -> None:
        """Take no more than `n_tokens` of each chunk, from its beginning."""
        self._llama, self._layer = run.llama, run.layer
        self._states = run.states[:, :n_tokens]
        original = run.original_states[:, :n_tokens]
        self._wanted = next(self._llama.hidden_after(Stop(self._layer, 0, original)))
        layer = self._llama.layers[self._layer]
        self.weights: dict[str, Weights] = {
            name: matrix.weights[rows]
            for matrix in (getattr(layer, each) for each in MATRICES)
            for name, rows in zip(matrix.names, matrix.parts, strict=True)
        }

    @property
    def n_chunks(self) -> int:
        """How many chunks of tokens there are."""
        return len(self._states)

    def missed(self, restored: Mapping[str, Weights]) -> NDArray[np.float64]:
        """Mean square of what the layer misses with these weights, by chunk."""
        llama = self._llama.replaced(restored)
        left = next(llama.hidden_after(Stop(self._layer, 0, self._states)))
        by_chunk: NDArray[np.float64] = np.square(left - self._wanted).mean(
            axis=(1, 2), dtype=np.float64
        )
        return by_chunk

    def slopes(
        self, restored: Mapping[str, Weights], chunks: NDArray[np.integer]
    ) -> tuple[float, Slopes]:
        """Mean square over some chunks, and half its slope by each of these matrices."""
        llama = self._llama.replaced(restored)

        def work(start: int, stop: int) -> list[tuple[float, Slopes]]:
            return [self._of_chunk(llama, int(chunk), restored) for chunk in chunks[start:stop]]

        with one_thread():
            parts = [part for several in over_rows(work, len(chunks)) for part in several]
        # Added up in order of chunks, so that the number of threads changes nothing.
        total = {name: np.zeros_like(each) for name, each in restored.items()}
        for _, slopes in parts:
            for name, slope in slopes.items():
                total[name] += slope
        return float(np.mean([loss for loss, _ in parts])), total

    def _of_chunk(
        self, llama: Llama, chunk: int, restored: Mapping[str, Weights]
    ) -> tuple[float, Slopes]:
        stops = [Stop(self._layer, 0, self._states[chunk : chunk + 1])]
        for _ in range(4):
            stops.append(llama.step(stops[-1]))
        missed = stops[-1].states[0] - self._wanted[chunk]
        slope = missed / np.float32(missed.size)
        slopes = {
            name: by_output.T @ inputs
            for name, inputs, by_output in through_layer(llama, stops[:4], slope)
            if name in restored and inputs is not None
        }
        return float(np.square(missed).mean(dtype=np.float64)), slopes
