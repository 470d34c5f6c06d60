"""Quantization formats, models and measurements, free of any user interface.

>>> import quantcore
>>> quantcore.FORMATS["Q4_K"].bits_per_weight
4.5
"""

import importlib

_HOMES = {
    "FORMATS": "quantcore.formats",
    "get_format": "quantcore.formats",
    "ModelError": "quantcore.io",
    "Model": "quantcore.model.source",
    "open_model": "quantcore.model.source",
    "Llama": "quantcore.model.llama",
    "tensor_error": "quantcore.evaluate.weight_error",
    "model_errors": "quantcore.evaluate.weight_error",
    "plan": "quantcore.recipe.plan",
    "quantize": "quantcore.recipe.quantize",
    "get_type": "quantcore.recipe.types",
    "measure_imatrix": "quantcore.evaluate.importance",
    "imatrix_steps": "quantcore.evaluate.importance",
    "read_imatrix": "quantcore.io.imatrix",
    "write_imatrix": "quantcore.io.imatrix",
    "measure_drift": "quantcore.evaluate.drift",
    "drift_chunks": "quantcore.evaluate.drift",
    "measure_perplexity": "quantcore.evaluate.perplexity",
    "sensitivity_steps": "quantcore.sensitivity.measure",
    "skills_of": "quantcore.evaluate.skills",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"quantcore has no {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
