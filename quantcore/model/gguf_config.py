"""A model's config as GGUF's metadata, both ways, with llama.cpp's names.

Source: docs/gguf.md of ggml, and what llama.cpp's converter writes. Switches such as biases have no
key: the presence of the tensors says it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.architectures import RUNNABLE, by_name
from quantcore.io import ModelError
from quantcore.io.gguf_writer import Value
from quantcore.model.config import LlamaConfig, RopeScaling, read_config

QUANTIZATION_VERSION = 2
_OTHER_FILES = {  # by general.type
    "imatrix": "an importance matrix (give it with --imatrix)",
    "adapter": "an adapter (LoRA), which changes a model",
    "mmproj": "the projector of a model that sees or hears",
}
_SIZES = {  # key: field and Hugging Face's name, in the converter's order
    "block_count": ("n_layers", "num_hidden_layers"),
    "context_length": ("context_length", "max_position_embeddings"),
    "embedding_length": ("hidden_size", "hidden_size"),
    "feed_forward_length": ("feed_forward_size", "intermediate_size"),
    "attention.head_count": ("n_heads", "num_attention_heads"),
    "attention.head_count_kv": ("n_kv_heads", "num_key_value_heads"),
}


def metadata_of(config: LlamaConfig, name: str, file_type: int) -> dict[str, Value]:
    """Metadata of a file with this config, without its vocabulary.

    Raises
    ------
    ModelError
        For sizes that llama.cpp does not take.
    """
    if problem := llama_cpp_refuses(config):
        raise ModelError(problem)
    architecture = RUNNABLE[config.model_type].name
    metadata: dict[str, Value] = {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": name,
    }
    own: dict[str, Value] = {key: np.uint32(getattr(config, at)) for key, (at, _) in _SIZES.items()}
    if (scaling := config.rope_scaling) is not None and scaling.kind == "linear":
        own |= {"rope.scaling.type": "linear", "rope.scaling.factor": np.float32(scaling.factor)}
    own |= {
        "rope.freq_base": np.float32(config.rope_theta),
        "attention.layer_norm_rms_epsilon": np.float32(config.norm_epsilon),
        "attention.key_length": np.uint32(config.head_size),
        "attention.value_length": np.uint32(config.head_size),
    }
    metadata |= {f"{architecture}.{key}": value for key, value in own.items()}
    metadata["general.file_type"] = np.uint32(file_type)
    metadata[f"{architecture}.vocab_size"] = np.uint32(config.vocabulary_size)
    metadata[f"{architecture}.rope.dimension_count"] = np.uint32(config.head_size)
    metadata["general.quantization_version"] = np.uint32(QUANTIZATION_VERSION)
    return metadata


def llama_cpp_refuses(config: LlamaConfig) -> str:
    """Say why llama.cpp would not load a file of such a model, "" if it does."""
    entry = RUNNABLE[config.model_type]
    if entry.hidden_wide and config.n_heads * config.head_size != config.hidden_size:
        return (
            f"{config.n_heads} heads of {config.head_size} are not as wide as the states, "
            f"{config.hidden_size}: llama.cpp refuses such files of architecture {entry.name!r}."
        )
    scaling = config.rope_scaling
    has = {
        "rope_freqs.weight": scaling is not None and scaling.kind in ("llama3", "factors"),
        "attn_output.bias": config.output_bias,
    }
    if name := next((name for name in entry.not_loaded if has[name]), None):
        return f"The model needs {name}, which llama.cpp does not load of a {entry.name!r} model."
    return ""


def config_of(
    metadata: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    factors: NDArray[np.float32] | None = None,
) -> LlamaConfig:
    """Read the config of a file.

    Parameters
    ----------
    metadata
        As `read_gguf` gives it.
    shapes
        Of the file's tensors; their presence says what has a bias, and sizes are held against them.
    factors
        Values of the tensor `rope_freqs.weight`, where there is one.

    Raises
    ------
    ModelError
        For an architecture that the lab does not run, and for missing or absurd sizes.
    """
    refuse_other_files(metadata, shapes)
    architecture = metadata.get("general.architecture")
    names = dict.fromkeys(entry.name for entry in RUNNABLE.values())
    if not isinstance(architecture, str) or architecture not in names:
        known = ", ".join(names)
        raise ModelError(
            f"The file holds a model of architecture {str(architecture)[:40]!r}; "
            f"the lab runs {known}."
        )
    own = {
        key.removeprefix(f"{architecture}."): _of_all_layers(
            value, metadata.get(f"{architecture}.block_count")
        )
        for key, value in metadata.items()
        if key.startswith(f"{architecture}.")
    }
    _refuse_variants(own)
    config = read_config(
        {
            "model_type": by_name(architecture).model_types[0],
            "vocab_size": shapes.get("token_embd.weight", (None,))[0],
            "head_dim": own.get("attention.key_length"),
            "rms_norm_eps": own.get("attention.layer_norm_rms_epsilon"),
            "rope_theta": own.get("rope.freq_base"),
            "rope_scaling": _linear(own),
            "tie_word_embeddings": "output.weight" not in shapes,
            "mlp_bias": "blk.0.ffn_up.bias" in shapes,
        }
        | {hugging_face: own.get(key) for key, (_, hugging_face) in _SIZES.items()},
        source="The file's metadata",
    )
    for key in ("attention.value_length", "rope.dimension_count"):
        if own.get(key, config.head_size) != config.head_size:
            raise ModelError(f"The file's {key} is not the size of a head; the lab needs that.")
    return replace(
        config,
        attention_bias="blk.0.attn_q.bias" in shapes,
        output_bias="blk.0.attn_output.bias" in shapes,
        qk_norm="blk.0.attn_q_norm.weight" in shapes,
        rope_scaling=config.rope_scaling if factors is None else _by_factors(config, factors),
    )


def _of_all_layers(value: Any, n_layers: Any) -> Any:
    """Take one number for an array that gives every layer the same, which llama.cpp reads too."""
    by_layer = isinstance(value, np.ndarray) and value.size == n_layers and value.size
    return value[0].item() if by_layer and (value == value[0]).all() else value


def refuse_other_files(metadata: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Say what a file is that holds no model."""
    if what := _OTHER_FILES.get(str(metadata.get("general.type"))):
        raise ModelError(f"The file holds {what}, and no model that could run.")
    if not shapes:
        raise ModelError("The file holds a vocabulary without weights; the lab needs both.")


def _refuse_variants(own: Mapping[str, Any]) -> None:
    """Refuse what other models of the architecture have and the lab's forward pass has not."""
    for key, what in (("expert_count", "experts"), ("attention.sliding_window", "a window")):
        if own.get(key):
            raise ModelError(f"The file holds a model with {what}; the lab runs none.")
    if own.get("attention.causal") is False:
        raise ModelError(
            "The file holds a model whose tokens see those behind them; the lab runs none."
        )


def _linear(own: Mapping[str, Any]) -> dict[str, Any] | None:
    """Scaling in the words of a config.json; as llama.cpp reads it, a factor alone is linear."""
    kind = own.get("rope.scaling.type", "linear")
    factor = own.get("rope.scaling.factor", own.get("rope.scale_linear", 0.0))
    if kind == "none" or (kind == "linear" and factor == 0):
        return None
    return {"rope_type": kind, "factor": factor}


def _by_factors(config: LlamaConfig, factors: NDArray[np.float32]) -> RopeScaling:
    """Divisors of each pair's frequency, as the tensor `rope_freqs.weight` holds them."""
    good = factors.shape == (config.head_size // 2,) and np.isfinite(factors).all()
    if not good or not (factors > 0).all():
        raise ModelError("The file's rope_freqs.weight holds no factors for the pairs of a head.")
    scaling = config.rope_scaling
    linear = 1.0 if scaling is None else scaling.factor  # llama.cpp applies both
    return RopeScaling(kind="factors", factor=linear, factors=tuple(factors.tolist()))
