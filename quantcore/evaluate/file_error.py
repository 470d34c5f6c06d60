"""How far the weights of one file lie from those of the model that it was made of."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quantcore.evaluate.quantized import needed_importance, restored
from quantcore.format import Weights
from quantcore.io.imatrix import Imatrix
from quantcore.model.source import Model
from quantcore.recipe.plan import Plan
from quantcore.recipe.quantize import importance_of

CHUNK_WEIGHTS = 1 << 21  # compared at a time, so that float64 copies stay small


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredError:
    """Squared error of one tensor as a file gives it back, and its squared size."""

    name: str
    noise: float  # sum of (restored - original)^2
    signal: float  # sum of original^2

    @property
    def relative_rmse(self) -> float:
        """Root of noise over signal: 0 is lossless."""
        return total_rmse([self])


def total_rmse(errors: Sequence[RestoredError]) -> float:
    """Relative root mean square error over all of them.

    >>> one = RestoredError(name="a", noise=1.0, signal=60.0)
    >>> total_rmse([one, RestoredError(name="b", noise=0.0, signal=40.0)])
    0.1
    """
    noise, signal = sum(e.noise for e in errors), sum(e.signal for e in errors)
    return math.sqrt(noise / signal) if signal else 0.0 if not noise else math.inf


def restored_errors(original: Model, restored: Callable[[str], Weights]) -> Iterator[RestoredError]:
    """Compare every matrix of `original` with what `restored` gives for its name.

    One tensor is in memory at a time.

    Raises
    ------
    ValueError
        If a tensor has another shape than the original's.
    """
    for name in original.quantizable:
        before, after = original.weights(name), restored(name)
        if after.shape != before.shape:
            raise ValueError(
                f"{name} has shape {list(after.shape)}, but {list(before.shape)} in {original.name}"
            )
        noise = signal = 0.0
        step = max(1, CHUNK_WEIGHTS // before.shape[1])
        for start in range(0, len(before), step):
            here = before[start : start + step].astype(np.float64)
            signal += float(np.vdot(here, here))
            here -= after[start : start + step]
            noise += float(np.vdot(here, here))
        yield RestoredError(name=name, noise=noise, signal=signal)


def planned_errors(
    original: Model, model: Model, plan: Plan, imatrix: Imatrix | None = None
) -> Iterator[RestoredError]:
    """Compare every matrix of `original` with what `quantize` would make of `model` by a plan.

    No file is written. `imatrix` is the importance matrix that it would be quantized with, as
    `quantcore.recipe.quantize.plan_with_matrix` finds it.

    Raises
    ------
    ValueError
        If a tensor has another shape than the original's, is not in the plan, or is to have a type
        that needs an importance matrix.
    """
    types = {tensor.name: tensor.type for tensor in plan.tensors}

    def made(name: str) -> Weights:
        if name not in types:
            raise ValueError(f"{model.name} has no tensor {name}, which {original.name} has")
        n_cols = model.tensors[name].shape[-1]
        importance = None if imatrix is None else importance_of(imatrix, name, n_cols)
        if importance is None:  # says in a sentence why a format cannot do without
            importance = needed_importance(model, name, types[name])
        return restored(model, name, types[name], importance)

    return restored_errors(original, made)
