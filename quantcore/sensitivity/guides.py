"""Cheaper guides: what can be known of a tensor in a format without running the changed model.

    weight error       sqrt(sum of dW² / sum of W²)
    weighted error     the same, each column counted by its mean squared input (importance matrix)
    output error       sqrt(sum of (x dW)² / sum of (x W)²) over the inputs x of the text
    Fisher             sum of F dW² / 2, in nats a token: what the divergence would be if the loss
                       were a parabola and no two weights or tokens had to do with each other

F is the mean squared gradient of -log p by each weight, for tokens drawn from the model itself
(LeCun et al., Optimal Brain Damage, 1989; as in HAWQ and in ModelOpt's automatic choice). Whether
a guide can be trusted shows in `rank_correlation` with the measured divergence.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.text import Chunks
from quantcore.model.backward import gradients
from quantcore.model.llama import Floats, Llama
from quantcore.model.source import Model
from quantcore.progress import Progress
from quantcore.sensitivity.pieces import restored_as

GUIDES = ("weight_error", "weighted_error", "output_error", "fisher")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What the guides say of one tensor in one format."""

    name: str
    format: str
    weight_error: float
    weighted_error: float | None  # None where the importance matrix says nothing of the tensor
    output_error: float | None  # None for an embedding that is only looked up
    fisher: float  # nats a token


def guide_steps(
    model: Model, formats: dict[str, list[str]], chunks: Chunks
) -> Iterator[Progress[Guide]]:
    """Compute the guides of some tensors in each format.

    A step is a chunk of the text, or then one tensor in one format, whose guide it carries.
    Formats and their tensors as `quantcore.sensitivity.pieces.checked_formats` gives them, or fewer
    of them: what is said of a tensor does not depend on which others are asked for. Sums of
    inputs and of squared gradients are in memory for all tensors: as much as the model, and for
    each input that matrices share its number of columns squared.
    """
    inputs = _Inputs()
    llama = Llama(model.config, {n: model.weights(n) for n in model.tensors}, watch=inputs.add)
    n_chunks = len(chunks.tokens)
    fisher = {name: np.zeros(model.tensors[name].shape, np.float32) for name in model.quantizable}
    rng = np.random.default_rng(0)
    for chunk, tokens in enumerate(chunks.inputs):
        states = llama.hidden(tokens[None])[0]
        wanted = _drawn(llama.output(states), rng)
        inputs.watching = False  # the backward pass meets the same inputs again
        _add_squares(fisher, llama, tokens, wanted)
        inputs.watching = True
        yield Progress((chunk + 1) / n_chunks / 2, f"gradients: chunk {chunk + 1}")
    names = model.quantizable
    for done, name in enumerate(names, 1):
        fisher[name] /= chunks.tokens.size
        for format_name, able in formats.items():
            if name in able:
                guide = _guide(model, name, format_name, inputs, fisher[name])
                yield Progress(0.5 + done / len(names) / 2, name, guide)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: Pearson's correlation of the ranks; equal values share their mean rank.

    >>> round(rank_correlation([1, 2, 3, 4], [10, 20, 40, 30]), 6)
    0.8
    """
    ranks = [_ranks(np.asarray(values, np.float64)) for values in (first, second)]
    centred = [each - each.mean() for each in ranks]
    lengths = np.sqrt(np.square(centred).sum(axis=1))
    if not lengths.all():
        return float("nan")  # all values are equal: there is no order to compare
    return float(centred[0] @ centred[1] / lengths.prod())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


class _Inputs:
    """Sums of x.T @ x for the inputs of all matrices, from several threads."""

    def __init__(self) -> None:
        self.watching = True
        self._sums: dict[str, Floats] = {}
        self._lock = threading.Lock()

    def add(self, names: tuple[str, ...], rows: Floats) -> None:
        """Take in rows (n, n_cols) that the named matrices are multiplied by."""
        if not self.watching:
            return
        products = rows.T @ rows
        with self._lock:
            shared = self._sums.get(names[0])
            if shared is None:
                self._sums |= dict.fromkeys(names, products)
            else:
                shared += products

    def of(self, name: str) -> Floats | None:
        """Return the sums (n_cols, n_cols), None for an embedding that is only looked up."""
        return self._sums.get(name)


def _drawn(logits: Floats, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw a token from each row of logits."""
    return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)


def _add_squares(
    fisher: dict[str, Floats], llama: Llama, tokens: NDArray[np.int32], wanted: NDArray[np.int32]
) -> None:
    for name, inputs, slope in gradients(llama, tokens, wanted):
        if inputs is None:
            np.add.at(fisher[name], tokens, slope**2)
        else:
            fisher[name] += (slope**2).T @ inputs**2


def _guide(
    model: Model,
    name: str,
    format_name: str,
    inputs: _Inputs,
    fisher: Floats,
) -> Guide:
    importance = None if model.imatrix is None else model.imatrix.importance(name)
    weights = model.weights(name)
    error = restored_as(model, name, format_name) - weights
    squares = [np.square(each).sum(axis=0, dtype=np.float64) for each in (error, weights)]
    shared = inputs.of(name)
    return Guide(
        name=name,
        format=format_name,
        weight_error=_root(squares[0].sum(), squares[1].sum()),
        weighted_error=None if importance is None else _root(*(s @ importance for s in squares)),
        output_error=None
        if shared is None
        else _root(*(((each @ shared) * each).sum(dtype=np.float64) for each in (error, weights))),
        fisher=float((fisher * np.square(error)).sum(dtype=np.float64) / 2),
    )


def _root(squares: float, total: float) -> float:
    return float(np.sqrt(max(squares, 0.0) / total)) if total else 0.0
