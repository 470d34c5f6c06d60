"""What a model takes in memory, in one call."""

from pathlib import Path
from typing import Any

from quantcore.memory.estimate import Estimate, Setup, estimate
from quantcore.memory.lookup import find_shape
from quantcore.model.shipped import shipped_folder

AS_STORED = "as in the file"


def estimate_memory(
    source: str | Path | None = None, type: str | None = None, **setup: Any
) -> Estimate:
    """Estimate the bytes of a model's weights, cache and buffers.

    Parameters
    ----------
    source
        A known model's name, a config.json, a model folder, a .safetensors or .gguf file, or a name
        on the Hugging Face Hub, where only headers are read; without it the shipped model.
    type
        "Q4_K_M", "Q4_K pure", "GPTQ", ...; by default what the source's files are stored in, or
        Q4_K_M where they do not say.
    setup
        What `Setup` takes besides the type: ``context=32768, runtime="llama.cpp"``.

    Raises
    ------
    ModelError
        If the source is not found, or broken.
    ValueError
        For an unknown type or runtime, or a cache that the heads do not divide into.

    Examples
    --------
    >>> taken = estimate_memory("Llama-3.1-8B", "Q4_K_M", context=32768)
    >>> taken.kv_cache_bytes  # 32 layers, keys and values, 8 heads of 128, two bytes each
    4294967296
    """
    model = find_shape(shipped_folder().name if source is None else source)
    stored = model.stored if type is None else None
    type_name = type or (AS_STORED if stored else "Q4_K_M")
    return estimate(model.shape, Setup(type_name=type_name, **setup), stored)
