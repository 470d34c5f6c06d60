"""What a text says of the inputs of matrices: sums over its tokens, taken while a model runs on it.

Chunks of tokens pass through the model one after the other, and no further than to the last matrix
that is asked for, so memory holds one chunk and the sums. Whoever calls knows where results can be
kept on disk, see `kept_inputs`, and has `Model.key`, the text and the settings to name them by.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantcore.methods.inputs.input_sums import N_ROWS, InputSums
from quantcore.methods.method import LayerInputs, Statistic
from quantcore.model.config import LlamaConfig
from quantcore.model.layer import ENTRIES, ENTRY_OF
from quantcore.model.llama import Llama, Stop
from quantcore.model.names import layer_and_role
from quantcore.model.source import Model
from quantcore.progress import Progress, result_of

Place = tuple[int, int]  # layer and entry, see `quantcore.model.layer`; (n_layers, 0): the output
ByTensor = Mapping[str, LayerInputs]


def calibrate(
    model: Model,
    tokens: NDArray[np.integer],
    names: Collection[str],
    statistics: Collection[Statistic] = (),
    *,
    n_rows: int = N_ROWS,
    quantized: Llama | None = None,
    on_progress: Callable[[Progress[ByTensor]], None] | None = None,
) -> ByTensor:
    """Measure the inputs of some matrices of a model.

    Parameters
    ----------
    tokens
        A calibration text in chunks (n_chunks, context), such as ``evaluate.text.cut(...).inputs``.
    names
        Matrices, by their names in the model.
    statistics
        What to measure besides mean square, mean and largest magnitude, which come with the rest.
    n_rows
        How many inputs to keep where "rows" are asked for, at most.
    quantized
        The same model with other weights, ready to run: then inputs are those that it has, and
        "cross_moment" sets those of the original beside them.
    on_progress
        Called at each step; an exception that it raises ends the work.

    Returns
    -------
    mapping
        `LayerInputs` by name. Matrices with one input, such as queries, keys and values, share one.

    Raises
    ------
    ValueError
        If a matrix is none, or is looked up and not multiplied; if there are no tokens, or inputs
        are not finite; if the moment across two models is asked for, and there is only one.
    """
    steps = calibration_steps(model, tokens, names, statistics, n_rows=n_rows, quantized=quantized)
    return result_of(steps, on_progress)


def calibration_steps(
    model: Model,
    tokens: NDArray[np.integer],
    names: Collection[str],
    statistics: Collection[Statistic] = (),
    *,
    n_rows: int = N_ROWS,
    quantized: Llama | None = None,
) -> Iterator[Progress[ByTensor]]:
    """Measure in steps of a quarter of a layer of one chunk; see `calibrate`."""
    if tokens.ndim != 2 or not tokens.size or not names:
        raise ValueError("Calibration needs chunks of tokens, and a matrix to look at.")
    if "cross_moment" in statistics and quantized is None:
        raise ValueError("Inputs of two models are set side by side: give the quantized one too.")
    sums = {
        place: InputSums(tokens.size, statistics, n_rows)
        for place in {place_of(model.config, name) for name in names}
    }
    return _steps(model, tokens, names, sums, quantized)


def _steps(
    model: Model,
    tokens: NDArray[np.integer],
    names: Collection[str],
    sums: dict[Place, InputSums],
    quantized: Llama | None,
) -> Iterator[Progress[ByTensor]]:
    last = max(sums)
    llama = None
    if quantized is None or any(each.wants("cross_moment") for each in sums.values()):
        yield Progress(0.0, "reading the model")
        llama = run_to(model, last)
    for i, chunk in enumerate(tokens):
        ours = None if llama is None else walk(llama, chunk, last)
        theirs = None if quantized is None else walk(quantized, chunk, last)
        for place in places(last):
            original = None if ours is None else next(ours)
            given = original if theirs is None else next(theirs)
            if place in sums:
                assert given is not None  # one of the two runs
                sums[place].add(given, original)
            share = (i + (len(ENTRIES) * place[0] + place[1] + 1) / n_places(last)) / len(tokens)
            yield Progress(share, f"chunk {i + 1} of {len(tokens)}")
    by_place = {place: each.result(name_of(place)) for place, each in sums.items()}
    found = {name: by_place[place_of(model.config, name)] for name in names}
    yield Progress(1.0, "done", found)


def place_of(config: LlamaConfig, name: str) -> Place:
    """Where in the computation a matrix is multiplied.

    Raises
    ------
    ValueError
        If it is not: norms and biases are no matrices, and the embedding is looked up.
    """
    layer, role = layer_and_role(name)
    if role == "token_embd":
        raise ValueError(f"{name} is looked up and not multiplied: it has no inputs to look at.")
    if name == "output.weight" and not config.tied_embedding:
        return config.n_layers, 0
    if layer is None or layer >= config.n_layers or role not in ENTRY_OF or "bias" in name:
        raise ValueError(f"{name} is not a matrix of this model: choose one of its matrices.")
    return layer, ENTRY_OF[role]


def name_of(place: Place) -> str:
    """Say whose inputs those of a place are, for sentences."""
    return f"layer {place[0]}, {ENTRIES[place[1]].replace(' ', ', ')}"


def n_places(last: Place) -> int:
    """How many places there are up to one, itself included."""
    return len(ENTRIES) * last[0] + last[1] + 1


def places(last: Place) -> Iterator[Place]:
    """Every place up to one, in the order of the computation."""
    for number in range(n_places(last)):
        yield number // len(ENTRIES), number % len(ENTRIES)


def run_to(model: Model, last: Place) -> Llama:
    """Make the model ready to run up to a place; no layers behind it are read."""
    n_layers = min(last[0] + 1, model.config.n_layers)
    config = replace(model.config, n_layers=n_layers)
    wanted = [name for name, tensor in model.tensors.items() if (tensor.layer or 0) < n_layers]
    return Llama(config, {name: model.weights(name) for name in wanted})


def walk(llama: Llama, chunk: NDArray[np.integer], last: Place) -> Iterator[NDArray[np.float32]]:
    """Run tokens (n,) through a model; yields inputs (n, n_cols) of each place to the last."""
    stop = llama.begin(chunk[None])
    for place in places(last):
        yield input_at(llama, stop)
        if place != last:
            stop = llama.step(stop)


def input_at(llama: Llama, stop: Stop) -> NDArray[np.float32]:
    """Rows (n, n_cols) that the matrices at a place are multiplied by."""
    states = stop.states.reshape(-1, stop.states.shape[2])
    if stop.layer == len(llama.layers):
        return llama.layers[0].normed(states, llama.output_norm)
    layer = llama.layers[stop.layer]
    if stop.place == 0:
        return layer.normed(states, layer.attn_norm)
    if stop.place == 2:
        return layer.normed(states, layer.ffn_norm)
    return stop.product_input.reshape(len(states), -1)
