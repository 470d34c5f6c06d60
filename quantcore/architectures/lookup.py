"""Finding an architecture by GGUF's name, or by config.json's model_type."""

from quantcore.architectures.architecture import Architecture
from quantcore.architectures.table import ARCHITECTURES

_BY_NAME = {entry.name: entry for entry in reversed(ARCHITECTURES)}  # of several, the first
_BY_MODEL_TYPE = {kind: entry for entry in ARCHITECTURES for kind in entry.model_types}

LLAMA = ARCHITECTURES[0]
"""What an architecture without an entry is taken for."""

RUNNABLE = {kind: entry for kind, entry in _BY_MODEL_TYPE.items() if entry.runs}
"""Architectures of the forward pass, by model_type."""


def by_name(name: str) -> Architecture:
    """Find an architecture by GGUF's name; of one without an entry, nothing special is known.

    >>> by_name("gemma2").full_every, by_name("newest").caches_known
    (2, False)
    """
    unknown = Architecture(name=name, mix_rules=False, caches_known=False, graph_known=False)
    return _BY_NAME.get(name, unknown)


def by_model_type(model_type: str) -> Architecture | None:
    """Find an architecture by config.json's model_type, with or without ``_text`` at its end.

    >>> by_model_type("mixtral").name, by_model_type("gemma3").name, by_model_type("newest")
    ('llama', 'gemma3', None)
    """
    names = (model_type, f"{model_type}_text", model_type.removesuffix("_text"))
    return next((_BY_MODEL_TYPE[name] for name in names if name in _BY_MODEL_TYPE), None)
