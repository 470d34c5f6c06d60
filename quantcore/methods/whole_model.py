"""A method on every matrix of a model, layer after layer, as quantizers of whole models go.

Inputs of a matrix are those that it has in the model as quantized so far: what earlier matrices got
wrong, later ones see, and can make up for. A text's chunks stand side by side at one place of the
forward pass; the matrices there are chosen, and all chunks go on to the next place through them. A
`LayerMethod` gets the states that enter a layer instead, and chooses for all of it.

Memory holds the states of all chunks, for the original as well where a method compares the two, and
sums for one place: about 8 bytes times tokens times the widest layer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Format
from quantcore.methods.inputs.calibration import Place, input_at, name_of, place_of, places
from quantcore.methods.inputs.input_sums import N_ROWS, InputSums
from quantcore.methods.method import Chosen, LayerInputs, LayerMethod, LayerRun, Method
from quantcore.methods.rtn import RoundToNearest
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.progress import Progress, result_of

Inputs = Literal["quantized", "original"]  # of the model so far, or as in the original
ByName = Mapping[str, Chosen]


def choose_all(
    model: Model,
    method: Method,
    formats: Mapping[str, Format],
    tokens: NDArray[np.integer],
    *,
    inputs: Inputs = "quantized",
    llama: Llama | None = None,
    on_progress: Callable[[Progress[ByName]], None] | None = None,
) -> ByName:
    """Store matrices of a model by a method, each in a format.

    Parameters
    ----------
    formats
        By the names of matrices; those left out stay as they are.
    tokens
        A calibration text in chunks (n_chunks, context), such as ``evaluate.text.cut(...).inputs``.
    inputs
        Whether matrices see the model as quantized so far, or the original.
    llama
        The original, where it is ready to run already; by default it is read.
    on_progress
        Called at each step; an exception that it raises ends the work.

    Returns
    -------
    mapping
        What was chosen, by name, in the order of `formats`. What a method cannot take, such as the
        embedding, which has no inputs, is rounded to nearest; its note says why.

    Raises
    ------
    ValueError
        If a format cannot store a matrix, or inputs are not finite; it names the matrix.
    """
    steps = choose_all_steps(model, method, formats, tokens, inputs=inputs, llama=llama)
    return result_of(steps, on_progress)


def choose_all_steps(
    model: Model,
    method: Method,
    formats: Mapping[str, Format],
    tokens: NDArray[np.integer],
    *,
    inputs: Inputs = "quantized",
    llama: Llama | None = None,
) -> Iterator[Progress[ByName]]:
    """Choose in steps of one matrix or one chunk; see `choose_all`."""
    if tokens.ndim != 2 or not tokens.size or not formats:
        raise ValueError("A method needs chunks of tokens, and a matrix to store.")
    left_to_rounding = {}
    for name, fmt in formats.items():
        try:
            fmt.check(model.tensors[name].shape)
        except ValueError as problem:
            raise ValueError(f"{name}: {problem}") from problem
        why = why_not(model, method, name, fmt)
        if why:
            left_to_rounding[name] = f"Rounded to nearest. {why}"
    return _steps(_Work(model, method, dict(formats), left_to_rounding, inputs), tokens, llama)


def why_not(model: Model, method: Method, name: str, fmt: Format) -> str:
    """Say why a method cannot take a matrix; "" where it can."""
    try:
        place_of(model.config, name)
        method.check(model.tensors[name].shape, fmt)
    except ValueError as problem:
        return str(problem)
    return ""


@dataclass
class _Work:
    model: Model
    method: Method
    formats: dict[str, Format]
    left_to_rounding: dict[str, str]  # why, by name
    inputs: Inputs

    def at(self, place: Place) -> list[str]:
        """Names of the matrices that the method chooses for at a place."""
        mine = [name for name in self.formats if name not in self.left_to_rounding]
        return [name for name in mine if place_of(self.model.config, name) == place]


def _steps(
    work: _Work, tokens: NDArray[np.integer], llama: Llama | None
) -> Iterator[Progress[ByName]]:
    yield Progress(0.0, "reading the model")
    model, method, chosen = work.model, work.method, {}
    if llama is None:
        llama = Llama(model.config, {name: model.weights(name) for name in model.tensors})
    for name, why in work.left_to_rounding.items():
        chosen[name] = _rounded(model, name, work.formats[name], why)
    follows = work.inputs == "quantized"
    both = follows and ("cross_moment" in method.needs or isinstance(method, LayerMethod))
    rounded = {name: each.restored for name, each in chosen.items()}
    run = _Run(llama, llama.replaced(rounded) if follows else llama, tokens, both)
    last = max((place_of(model.config, n) for n in work.formats if n not in rounded), default=None)
    n_places = 0 if last is None else 4 * last[0] + last[1] + 1
    reached = 0.0  # places that are done; a method of layers is through with four at once
    for number, place in enumerate(places(last) if last is not None else ()):
        stage = name_of(place)
        names = work.at(place)
        if isinstance(method, LayerMethod) and place[0] < model.config.n_layers:
            names = [n for p in range(4) for n in work.at((place[0], p))] if place[1] == 0 else []
            for step in _through_layer(run, method, place[0], work.formats, names):
                chosen |= step.result or {}
                reached = number + 4 * step.share
                yield Progress(reached / n_places, step.stage)
        elif names:
            given = run.inputs(method, tokens.size, place)
            for i, name in enumerate(names):
                yield Progress((number + i / len(names)) / n_places, stage)
                chosen[name] = _by(method, model, name, work.formats[name], given)
        if follows:
            run.take({name: chosen[name].restored for name in names})
        if place != last:
            yield from run.on(max(number + 1, reached) / n_places, stage)
    yield Progress(1.0, "done", {name: chosen[name] for name in work.formats})


def _by(method: Method, model: Model, name: str, fmt: Format, inputs: LayerInputs) -> Chosen:
    try:
        return method.choose(model.weights(name), fmt, inputs)
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from problem


def _rounded(model: Model, name: str, fmt: Format, why: str) -> Chosen:
    """Round to nearest without knowing inputs: where a matrix is demanded, all count the same."""
    alike = np.ones(model.tensors[name].shape[1], np.float32)
    inputs = LayerInputs(n_tokens=0, mean_square=alike, mean_abs=alike, largest=alike)
    return replace(RoundToNearest().choose(model.weights(name), fmt, inputs), note=why)


def _through_layer(
    run: "_Run", method: LayerMethod, layer: int, formats: Mapping[str, Format], names: list[str]
) -> Iterator[Progress[ByName]]:
    if not names:
        return
    states, original = run.states()
    given = LayerRun(llama=run.llama, layer=layer, states=states, original_states=original)
    yield from method.choose_layer(given, {name: formats[name] for name in names})


class _Run:
    """All chunks at one place, in the model as quantized so far and, if asked, in the original."""

    def __init__(
        self, llama: Llama, quantized: Llama, tokens: NDArray[np.integer], both: bool
    ) -> None:
        self.llama, self.quantized = llama, quantized
        self._here = [quantized.begin(chunk[None]) for chunk in tokens]
        self._original = [llama.begin(chunk[None]) for chunk in tokens] if both else None

    def states(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """States of all chunks, (n_chunks, context, hidden), and the original's."""
        here = np.concatenate([stop.states for stop in self._here])
        if self._original is None:
            return here, here
        return here, np.concatenate([stop.states for stop in self._original])

    def inputs(self, method: Method, n_tokens: int, place: Place) -> LayerInputs:
        """Sum up the inputs of the matrices here."""
        sums = InputSums(n_tokens, method.needs, N_ROWS)
        for i, stop in enumerate(self._here):
            given = input_at(self.quantized, stop)
            others = given if self._original is None else input_at(self.llama, self._original[i])
            sums.add(given, others)
        return sums.result(name_of(place))

    def take(self, restored: Mapping[str, NDArray[np.float32]]) -> None:
        """Put chosen matrices into the model that goes on."""
        self.quantized = self.quantized.replaced(restored)

    def on(self, share: float, stage: str) -> Iterator[Progress[ByName]]:
        """Let all chunks go on to the next place."""
        for llama, stops in ((self.quantized, self._here), (self.llama, self._original or [])):
            for i, stop in enumerate(stops):
                stops[i] = llama.step(stop)
                yield Progress(share, stage)
