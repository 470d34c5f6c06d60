"""Which tensors matter: each alone is quantized, and all others are left as they are."""

from collections.abc import Iterator
from dataclasses import dataclass

from quantcore.evaluate.drift import compare
from quantcore.evaluate.text import Chunks
from quantcore.model.source import Model

MODELS_AT_ONCE = 8  # all in memory, each with one tensor of its own


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What one tensor costs when it alone is quantized."""

    name: str
    layer: int | None
    role: str
    mean_kl_divergence: float  # nats a token
    mean_kl_divergence_error: float


@dataclass(frozen=True, slots=True)
class SensitivityProgress:
    """One step of the work; the results come with the last one."""

    share: float
    stage: str
    found: list[Sensitivity] | None = None


def sensitivity(model: Model, format_name: str, chunks: Chunks) -> Iterator[SensitivityProgress]:
    """Divergence that each quantizable tensor causes alone in a format, in the model's order."""
    names = model.quantizable
    kept = dict.fromkeys(names, "F32")
    found: list[Sensitivity] = []
    for first in range(0, len(names), MODELS_AT_ONCE):
        batch = names[first : first + MODELS_AT_ONCE]
        for step in compare(model, {name: kept | {name: format_name} for name in batch}, chunks):
            yield SensitivityProgress((first + step.share * len(batch)) / len(names), step.stage)
        for name, drift in step.drifts.items():
            tensor = model.tensors[name]
            figures = drift.mean_kl_divergence, drift.mean_kl_divergence_error
            found.append(Sensitivity(name, tensor.layer, tensor.role, *figures))
    yield SensitivityProgress(1.0, "done", found)
