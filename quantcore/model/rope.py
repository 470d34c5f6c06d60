"""Rotary position embedding: how far each pair of a head turns at each position."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantcore.model.config import LlamaConfig, RopeScaling


def frequencies(config: LlamaConfig) -> NDArray[np.float32]:
    """Radians per position of each pair, (head_size / 2,), scaling included.

    Source: transformers, modeling_rope_utils.py; Su et al., arXiv 2104.09864.
    """
    powers = np.arange(0, config.head_size, 2, dtype=np.float32) / np.float32(config.head_size)
    plain = (np.float32(1) / np.float32(config.rope_theta) ** powers).astype(np.float32)
    scaling = config.rope_scaling
    if scaling is None:
        return plain
    if scaling.kind == "linear":
        return plain / np.float32(scaling.factor)
    if scaling.kind == "factors":
        divisors: NDArray[np.float32] = np.array(scaling.factors, np.float32)
        return plain / divisors / np.float32(scaling.factor)
    return _llama3(plain, scaling)


def _llama3(plain: NDArray[np.float32], scaling: RopeScaling) -> NDArray[np.float32]:
    """Slow pairs are stretched by the factor, fast ones are left alone, a ramp lies between."""
    turns = scaling.original_context * plain / np.float32(2 * np.pi)  # over the original context
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    ramp = np.clip((turns - low) / (high - low), 0, 1)
    return (((1 - ramp) / scaling.factor + ramp) * plain).astype(np.float32)


def factors(config: LlamaConfig) -> NDArray[np.float32]:
    """Divisors of each pair's frequency, (head_size / 2,): what a GGUF file stores of llama3's."""
    scaling = config.rope_scaling
    if scaling is not None and scaling.kind == "factors":
        return np.array(scaling.factors, np.float32)
    plain = frequencies(replace(config, rope_scaling=None))
    return (plain / frequencies(config)).astype(np.float32)


def angles(config: LlamaConfig, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines of positions 0..n-1, each (n, head_size / 2)."""
    turned = np.arange(n, dtype=np.float32)[:, None] * frequencies(config)
    return np.cos(turned), np.sin(turned)
