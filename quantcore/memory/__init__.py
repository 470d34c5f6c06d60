"""Bytes that a model needs: weights by format, KV cache by context, compute buffer."""

from quantcore.memory.compute import compute_buffer_bytes
from quantcore.memory.kv_cache import (
    CACHE_FORMATS,
    CacheTerm,
    cache_bytes,
    cache_terms,
    tokens_that_fill,
)
from quantcore.memory.presets import presets
from quantcore.memory.shape import (
    Experts,
    LatentAttention,
    ModelShape,
    llama_config,
    shape_from_config,
)
from quantcore.memory.weights import StoredWeights, stored_weights, weight_groups

__all__ = [
    "CACHE_FORMATS",
    "CacheTerm",
    "Experts",
    "LatentAttention",
    "ModelShape",
    "StoredWeights",
    "cache_bytes",
    "cache_terms",
    "compute_buffer_bytes",
    "llama_config",
    "presets",
    "shape_from_config",
    "stored_weights",
    "tokens_that_fill",
    "weight_groups",
]
