"""The inputs of a decoder layer's matrices, and the blocks by whose outputs AWQ compares scales."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.methods.fold import ROWS_BEFORE, can_fold
from quantcore.methods.inputs.input_sums import InputSums
from quantcore.methods.method import LayerInputs, LayerRun, Statistic
from quantcore.model.blas import one_thread
from quantcore.model.layer import ENTRIES, ENTRY_OF
from quantcore.model.llama import Stop
from quantcore.model.names import layer_and_role

Moment = NDArray[np.float64]


class LayerBlocks:
    """A layer of the original model, with the inputs of all its matrices over some of the text.

    AWQ and SmoothQuant look at the model before anything is quantized, as their references do.
    """

    def __init__(self, run: LayerRun, n_tokens: int | None = None) -> None:
        """Run the layer on chunks that are spread evenly: about `n_tokens`, or on all."""
        self.llama, self.layer = run.llama, run.layer
        layer = self.llama.layers[self.layer]
        self.weights: dict[str, Weights] = {
            name: matrix.weights[rows]
            for matrix in (layer.qkv, layer.attn_output, layer.gate_up, layer.ffn_down)
            for name, rows in zip(matrix.names, matrix.parts, strict=True)
        }
        chunks = run.original_states
        step = max(1, len(chunks) * chunks.shape[1] // n_tokens) if n_tokens else 1
        self.stops = [Stop(self.layer, 0, chunks[::step])]
        for _ in ENTRIES[1:]:
            self.stops.append(self.llama.step(self.stops[-1]))

    def names(self, place: int) -> list[str]:
        """Matrices of an entry, by the names of tensors."""
        return [f"blk.{self.layer}.{role}.weight" for role in ENTRIES[place].split()]

    def place_and_role(self, name: str) -> tuple[int, str]:
        """Entry and role of a matrix."""
        _, role = layer_and_role(name)
        return ENTRY_OF[role], role

    def why_unscaled(self, place: int, stored: Collection[str]) -> str:
        """Say why matrices of an entry can't have scales, "" where they can.

        What is not among those that are stored stays as it is.
        """
        if not can_fold(self.weights, self.layer, place):
            return "No scales: its input comes from fewer rows of attn_v than it has columns."
        if any(name not in stored for name in self.names(place)):
            return "No scales: another matrix has the same input and stays as it is."
        before = ROWS_BEFORE.get(place)
        if before is not None and f"blk.{self.layer}.{before}.weight" not in stored:
            return f"No scales: {before}, whose rows would take them, stays as it is."
        return ""

    def fed_by_rows(self, role: str) -> int:
        """Entry whose columns are the rows of a matrix, -1 where no scales reach it."""
        return next((place for place, before in ROWS_BEFORE.items() if before == role), -1)

    def inputs(self, place: int) -> LayerInputs:
        """Statistics of what the matrices of an entry are multiplied by, second moment included."""
        layer, stop = self.llama.layers[self.layer], self.stops[place]
        rows = stop.states if place in (0, 2) else stop.product_input
        rows = rows.reshape(-1, rows.shape[2])
        if place in (0, 2):
            rows = layer.normed(rows, layer.attn_norm if place == 0 else layer.ffn_norm)
        wanted: tuple[Statistic, ...] = ("second_moment",)
        sums = InputSums(len(rows), wanted, 0)
        sums.add(rows)
        return sums.result(f"layer {self.layer}, {ENTRIES[place].replace(' ', ', ')}")

    def loss_at(self, place: int) -> Callable[[Mapping[str, Weights]], float]:
        """Return what measures the block's output with changed matrices: a mean square."""
        if place in (1, 3):  # the block is the matrix alone
            (name,), moment = self.names(place), moment_of(self.inputs(place))
            return lambda changed: output_loss(changed[name] - self.weights[name], moment)
        original = self._output(place, {})
        return lambda changed: float(np.square(self._output(place, changed) - original).mean())

    def _output(self, place: int, changed: Mapping[str, Weights]) -> Weights:
        """Output of attention or of the feed-forward, (n, hidden_size)."""
        llama = self.llama.replaced(changed)
        layer = llama.layers[self.layer]
        given = llama.step(self.stops[place]).product_input
        given = given.reshape(-1, given.shape[2])
        last = layer.attn_output if place == 0 else layer.ffn_down
        with one_thread():
            return last.times(given)


def moment_of(inputs: LayerInputs) -> Moment:
    """Second moment of inputs; a `ValueError` where nobody asked for it."""
    if inputs.second_moment is None:
        raise ValueError("AWQ needs the second moment of the inputs; calibrate with second_moment.")
    return inputs.second_moment


def output_loss(missed: Weights, moment: Moment) -> float:
    """Mean square, over tokens and outputs, of x @ missed.T; `moment` is the mean of x x.T."""
    return float(np.einsum("ij,ij->", missed @ moment.astype(np.float32), missed) / len(missed))
