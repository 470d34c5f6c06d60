"""What every method can do: choose the codes of a matrix by what its inputs are like.

    y = x W.T        x: a row of inputs, (n_cols,);  W: weights, (n_rows, n_cols)

Rounding to nearest asks only how far a weight is from its code. A method asks how far y is, and so
needs to know x: from a calibration text, kept as sums over its tokens.

Most methods look at one matrix at a time (`Method`). Those that choose for several together, by
what the whole decoder layer makes of its states, say so in addition (`LayerMethod`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Format, Weights
from quantcore.methods.rotations.incoherence import Incoherence
from quantcore.model.llama import Llama
from quantcore.progress import Progress

Statistic = Literal["mean_square", "second_moment", "cross_moment", "rows"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerInputs:
    """What a calibration text says of the inputs of one matrix, over the same tokens.

    A field is None where nobody asked for it, see `Method.needs`.
    """

    n_tokens: int
    mean_square: Weights  # (n_cols,): what an importance matrix holds
    mean_abs: Weights  # (n_cols,)
    largest: Weights  # (n_cols,), of the absolute inputs
    second_moment: NDArray[np.float64] | None = None  # (n_cols, n_cols), mean of x x.T; no damping
    cross_moment: NDArray[np.float64] | None = None
    """(n_cols, n_cols), mean of x q.T: x in the float model, q in the one that is quantized so far.
    Where it is given, all other fields are of q."""
    rows: Weights | None = None  # (n, n_cols), some of the inputs themselves, evenly over the text


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """A matrix as a method stores it."""

    format: Format
    packed: Any  # of `format`, which restores it; of scaled weights where there are scales
    restored: Weights  # (n_rows, n_cols), what the layer multiplies by in effect: scales taken off
    stored_bytes: int  # with all that the method stores besides codes and scales of the format
    column_scales: Weights | None = None  # (n_cols,); inputs are divided by them, see the method
    rotation: Incoherence | None = None  # of the weights that are packed; `restored` is turned back
    row_scales: Weights | None = None
    """(n_rows,); the columns of the next matrix are multiplied by them, so rows were divided first:
    `packed` is of ``weights * column_scales / row_scales``."""
    inputs: str = "F32"
    """What inputs are rounded to while it runs, after they were divided by `column_scales`: a kind
    of `quantcore.model.activations.rounded`."""
    note: str = ""  # what a reader should know, one sentence; "" for nothing


class Method(Protocol):
    """A way to choose codes, with its settings: frozen dataclasses whose fields have defaults."""

    @property
    def name(self) -> str:
        """As commands spell it: ``gptq``."""

    @property
    def title(self) -> str:
        """As people spell it: ``GPTQ``."""

    @property
    def needs(self) -> frozenset[Statistic]:
        """What must be in the `LayerInputs` that it is given."""

    @property
    def source(self) -> str:
        """Where the method is described."""

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if the method cannot store weights of this shape in a format."""

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Choose codes for weights (n_rows, n_cols).

        Raises
        ------
        ValueError
            If weights, shape or inputs do not suit; one sentence with the way out.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerRun:
    """A decoder layer as it is, and the states that enter it over the calibration text.

    ``llama.step(Stop(layer, 0, states[i : i + 1]))`` runs one chunk on to the layer's next product,
    and ``llama.replaced(restored)`` is the same model with other weights.
    """

    llama: Llama  # with the original weights from this layer on
    layer: int
    states: Weights  # (n_chunks, context, hidden_size), in the model that is quantized up to here
    original_states: Weights  # the same of the original model; don't change either


@runtime_checkable
class LayerMethod(Method, Protocol):
    """A method that, in a whole model, chooses for all matrices of a decoder layer together."""

    def choose_layer(
        self, run: LayerRun, formats: Mapping[str, Format]
    ) -> Iterator[Progress[Mapping[str, Chosen]]]:
        """Choose codes for matrices of ``run.layer``, each in a format, by the names of tensors.

        In steps that a reader can leave; the last one carries what was chosen, for every name.

        Raises
        ------
        ValueError
            As `choose` does, naming the tensor.
        """
