"""Error of every matrix as a method stored it: how far its weights are, and how far its outputs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.by_method import relative_error
from quantcore.evaluate.quantized import StoredByMethod
from quantcore.format import Weights
from quantcore.methods.inputs.calibration import (
    Place,
    input_at,
    n_places,
    name_of,
    place_of,
    places,
)
from quantcore.methods.method import Chosen
from quantcore.model.activations import rounded
from quantcore.model.blas import one_thread
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredError:
    """Error of one matrix that a method stored."""

    name: str
    shape: tuple[int, ...]
    format: str
    relative_rmse: float  # root of the squared errors over the squared weights
    sqnr_db: float  # -20 log10(relative_rmse)
    max_abs_error: float
    bits_per_weight: float  # with all that is stored
    output_error: float | None
    """Root of the squared errors of outputs over the squared outputs, for the inputs that the
    original model has; None for what is looked up and not multiplied."""
    note: str  # what the method says of it; "" for nothing


def stored_error_steps(
    model: Model, stored: StoredByMethod, tokens: NDArray[np.integer]
) -> Iterator[Progress[list[StoredError]]]:
    """Compare every matrix with the original; the last step carries them in the model's order.

    Parameters
    ----------
    stored
        Of this model, as `stored_by_steps` makes it.
    tokens
        Whose inputs outputs are compared on, (n_chunks, context). They stand side by side at one
        place of the forward pass at a time.
    """
    yield Progress(0.0, "reading the model")
    llama = Llama(model.config, {name: model.weights(name) for name in model.tensors})
    by_place: dict[Place, list[str]] = {}
    for name in stored:
        try:
            by_place.setdefault(place_of(model.config, name), []).append(name)
        except ValueError:  # looked up: it has no outputs
            continue
    last = max(by_place)
    outputs: dict[str, float] = {}
    stops = [llama.begin(chunk[None]) for chunk in tokens]
    for number, place in enumerate(places(last)):
        sums = {name: np.zeros(2) for name in by_place.get(place, ())}
        originals = {name: model.weights(name) for name in sums}
        for i, stop in enumerate(stops):
            given = input_at(llama, stop)
            for name, both in sums.items():
                both += _noise_and_signal(given, originals[name], stored.chosen[name])
            if place != last:
                stops[i] = llama.step(stop)
            yield Progress((number + i / len(stops)) / n_places(last), f"outputs, {name_of(place)}")
        outputs |= {name: _root(*both) for name, both in sums.items()}
    errors = [_error(model, name, each, outputs.get(name)) for name, each in stored.chosen.items()]
    yield Progress(1.0, "done", errors)


def _noise_and_signal(given: Weights, weights: Weights, chosen: Chosen) -> tuple[float, float]:
    """Squares of what the outputs of inputs (n, n_cols) miss, and of the outputs."""
    with one_thread():
        output = given @ weights.T
        if chosen.inputs == "F32":
            missed = given @ (chosen.restored - weights).T
        else:
            scales = np.float32(1) if chosen.column_scales is None else chosen.column_scales
            rough = rounded(given / scales, chosen.inputs)
            missed = rough @ (chosen.restored * scales).T - output
    noise, signal = (float(np.square(each, dtype=np.float64).sum()) for each in (missed, output))
    return noise, signal


def _root(noise: float, signal: float) -> float:
    return math.sqrt(noise / signal) if signal > 0 else 0.0 if noise <= 0 else math.inf


def _error(model: Model, name: str, chosen: Chosen, output_error: float | None) -> StoredError:
    weights = model.weights(name)
    relative = relative_error(weights, chosen.restored, None)
    return StoredError(
        name=name,
        shape=weights.shape,
        format=chosen.format.name,
        relative_rmse=relative,
        sqnr_db=-20 * math.log10(relative) if relative > 0 else math.inf,
        max_abs_error=float(np.abs(chosen.restored - weights.astype(np.float64)).max()),
        bits_per_weight=8 * chosen.stored_bytes / weights.size,
        output_error=output_error,
        note=chosen.note,
    )
