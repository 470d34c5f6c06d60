"""Quantization formats, models and measurements, free of any user interface.

>>> import quantcore
>>> quantcore.FORMATS["Q4_K"].bits_per_weight
4.5

Verbs such as `quantize` and `measure_drift` work to the end and return the result; each has an
iterator beside it, `quantize_steps` and `drift_steps`, for those who want to see how far it is, or
to stop half-way.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantcore.checkpoint.export import export as export
    from quantcore.checkpoint.export import export_steps as export_steps
    from quantcore.evaluate.cache_drift import measure_cache as measure_cache
    from quantcore.evaluate.cache_drift import measure_cache_steps as measure_cache_steps
    from quantcore.evaluate.drift import drift_steps as drift_steps
    from quantcore.evaluate.drift import measure_drift as measure_drift
    from quantcore.evaluate.importance import imatrix_steps as imatrix_steps
    from quantcore.evaluate.importance import measure_imatrix as measure_imatrix
    from quantcore.evaluate.noise_floor import measure_noise_floor as measure_noise_floor
    from quantcore.evaluate.noise_floor import noise_floor_steps as noise_floor_steps
    from quantcore.evaluate.perplexity import measure_perplexity as measure_perplexity
    from quantcore.evaluate.skills import measure_skills as measure_skills
    from quantcore.evaluate.skills import skill_steps as skill_steps
    from quantcore.evaluate.weight_error import model_errors as model_errors
    from quantcore.evaluate.weight_error import tensor_error as tensor_error
    from quantcore.formats import FORMATS as FORMATS
    from quantcore.formats import get_format as get_format
    from quantcore.io import ModelError as ModelError
    from quantcore.io.imatrix import read_imatrix as read_imatrix
    from quantcore.io.imatrix import write_imatrix as write_imatrix
    from quantcore.memory.estimate_memory import estimate_memory as estimate_memory
    from quantcore.model.cache_types import CacheTypes as CacheTypes
    from quantcore.model.llama import Llama as Llama
    from quantcore.model.source import Model as Model
    from quantcore.model.source import open_model as open_model
    from quantcore.progress import Progress as Progress
    from quantcore.recipe.plan import plan as plan
    from quantcore.recipe.quantize import quantize as quantize
    from quantcore.recipe.quantize import quantize_steps as quantize_steps
    from quantcore.recipe.types import get_type as get_type
    from quantcore.sensitivity.measure import measure_sensitivity as measure_sensitivity
    from quantcore.sensitivity.measure import sensitivity_steps as sensitivity_steps
    from quantcore.sensitivity.ways import plan_for_budget as plan_for_budget

# Where each name lives; it is imported when it is first asked for, so that a script which only
# plans a file does not wait for a compiler.
_HOMES = {
    "CacheTypes": "quantcore.model.cache_types",
    "FORMATS": "quantcore.formats",
    "Llama": "quantcore.model.llama",
    "Model": "quantcore.model.source",
    "ModelError": "quantcore.io",
    "Progress": "quantcore.progress",
    "drift_steps": "quantcore.evaluate.drift",
    "estimate_memory": "quantcore.memory.estimate_memory",
    "export": "quantcore.checkpoint.export",
    "export_steps": "quantcore.checkpoint.export",
    "get_format": "quantcore.formats",
    "get_type": "quantcore.recipe.types",
    "imatrix_steps": "quantcore.evaluate.importance",
    "measure_cache": "quantcore.evaluate.cache_drift",
    "measure_cache_steps": "quantcore.evaluate.cache_drift",
    "measure_drift": "quantcore.evaluate.drift",
    "measure_imatrix": "quantcore.evaluate.importance",
    "measure_noise_floor": "quantcore.evaluate.noise_floor",
    "measure_perplexity": "quantcore.evaluate.perplexity",
    "measure_sensitivity": "quantcore.sensitivity.measure",
    "measure_skills": "quantcore.evaluate.skills",
    "model_errors": "quantcore.evaluate.weight_error",
    "noise_floor_steps": "quantcore.evaluate.noise_floor",
    "open_model": "quantcore.model.source",
    "plan": "quantcore.recipe.plan",
    "plan_for_budget": "quantcore.sensitivity.ways",
    "quantize": "quantcore.recipe.quantize",
    "quantize_steps": "quantcore.recipe.quantize",
    "read_imatrix": "quantcore.io.imatrix",
    "sensitivity_steps": "quantcore.sensitivity.measure",
    "skill_steps": "quantcore.evaluate.skills",
    "tensor_error": "quantcore.evaluate.weight_error",
    "write_imatrix": "quantcore.io.imatrix",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"quantcore has no {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
