"""What llama.cpp itself allocates for a model, beside its weights.

The cache follows its rules for rounding, the compute buffer is found as llama.cpp finds it: its
graph's tensors are laid out one after the other by the rules of ggml's allocator.
"""

from quantcore.memory.llama_cpp.cache import cache_bytes, cache_terms, layer_cache_bytes
from quantcore.memory.llama_cpp.compute import (
    compute_bytes,
    compute_terms,
    gpu_compute_terms,
    host_compute_terms,
    output_terms,
)
from quantcore.memory.llama_cpp.refusals import CACHE_TYPES, refuse
from quantcore.memory.llama_cpp.setup import LlamaCppSetup

__all__ = [
    "CACHE_TYPES",
    "LlamaCppSetup",
    "cache_bytes",
    "cache_terms",
    "compute_bytes",
    "compute_terms",
    "gpu_compute_terms",
    "host_compute_terms",
    "layer_cache_bytes",
    "output_terms",
    "refuse",
]
