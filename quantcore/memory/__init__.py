"""Bytes that a model needs: weights by type, KV cache by context, buffers by runtime."""

from quantcore.memory.estimate import RUNTIMES, Estimate, Setup, Term, estimate, in_type, weights_in
from quantcore.memory.kv_cache import (
    CACHE_FORMATS,
    CacheTerm,
    cache_bytes,
    cache_terms,
    tokens_that_fill,
)
from quantcore.memory.lookup import FoundModel, find_by_name, find_pasted, find_shape, shape_of
from quantcore.memory.weights import StoredWeights, TensorBytes, stored_weights

__all__ = [
    "CACHE_FORMATS",
    "RUNTIMES",
    "CacheTerm",
    "Estimate",
    "FoundModel",
    "Setup",
    "StoredWeights",
    "TensorBytes",
    "Term",
    "cache_bytes",
    "cache_terms",
    "estimate",
    "find_by_name",
    "find_pasted",
    "find_shape",
    "in_type",
    "shape_of",
    "stored_weights",
    "tokens_that_fill",
    "weights_in",
]
