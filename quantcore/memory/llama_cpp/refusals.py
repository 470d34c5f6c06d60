"""Set-ups that llama.cpp will not run, each with the reason in one sentence."""

from quantcore.formats import FORMATS
from quantcore.memory.llama_cpp.setup import LlamaCppSetup
from quantcore.shape.model_shape import ModelShape

CACHE_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL")
MOST_SEQUENCES = 256


def refuse(shape: ModelShape, setup: LlamaCppSetup) -> None:
    """Raise ValueError for what llama_init_from_model and the command line refuse."""
    for option in ("context", "sequences", "batch", "ubatch"):
        if getattr(setup, option) < 1:
            raise ValueError(f"{option} must be at least 1, got {getattr(setup, option)}")
    if setup.sequences > MOST_SEQUENCES:
        raise ValueError(
            f"llama.cpp runs at most {MOST_SEQUENCES} sequences at a time, got {setup.sequences}"
        )
    for name in (setup.key_type, setup.value_type):
        if name not in CACHE_TYPES:
            raise ValueError(
                f"llama.cpp has no cache of type {name}; there are {', '.join(CACHE_TYPES)}"
            )
    if shape.latent and setup.key_type != setup.value_type:
        raise ValueError(
            "Latent attention keeps keys and values in one vector: give both the same cache type, "
            f"not {setup.key_type} and {setup.value_type}"
        )
    if FORMATS[setup.value_type].block_size > 1 and not setup.flash_attention:
        raise ValueError(
            f"llama.cpp keeps values in {setup.value_type} only with flash attention: turn it on, "
            "or keep the values in F16"
        )
    _refuse_heads(shape, setup)


def _refuse_heads(shape: ModelShape, setup: LlamaCppSetup) -> None:
    """Heads must divide into the blocks of a quantized cache."""
    if not any(cache.key_values for cache in shape.caches):
        return
    latent = shape.latent
    sizes = {
        "keys": (setup.key_type, latent.kv_size + latent.rope_size if latent else shape.head_size),
        "values": (setup.value_type, latent.kv_size if latent else shape.head_size),
    }
    for what, (cache_type, size) in sizes.items():
        block = FORMATS[cache_type].block_size
        if size % block:
            raise ValueError(
                f"A {cache_type} cache packs {block} numbers at a time, and {size} numbers per "
                f"head do not divide into that: keep the {what} in F16"
            )
