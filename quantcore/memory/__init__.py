"""Bytes that a model needs: weights by type, KV cache by context, buffers by runtime."""

from quantcore.memory.configs import shape_from_json
from quantcore.memory.estimate import RUNTIMES, Estimate, Setup, Term, estimate
from quantcore.memory.kv_cache import (
    CACHE_FORMATS,
    CacheTerm,
    cache_bytes,
    cache_terms,
    tokens_that_fill,
)
from quantcore.memory.presets import preset, preset_config, preset_ids
from quantcore.memory.shape import (
    Experts,
    LatentAttention,
    LayerCache,
    ModelShape,
    shape_from_config,
)
from quantcore.memory.weights import StoredTensor, StoredWeights, stored_weights

__all__ = [
    "CACHE_FORMATS",
    "RUNTIMES",
    "CacheTerm",
    "Estimate",
    "Experts",
    "LatentAttention",
    "LayerCache",
    "ModelShape",
    "Setup",
    "StoredTensor",
    "StoredWeights",
    "Term",
    "cache_bytes",
    "cache_terms",
    "estimate",
    "preset",
    "preset_config",
    "preset_ids",
    "shape_from_config",
    "shape_from_json",
    "stored_weights",
    "tokens_that_fill",
]
