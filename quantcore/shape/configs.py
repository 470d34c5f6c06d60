"""A model's shape from its config.json alone, for every architecture in `families`."""

from collections.abc import Mapping
from typing import Any

from quantcore.io import ModelError
from quantcore.io.json_fields import flag, short, size
from quantcore.shape.families import FAMILIES, Family
from quantcore.shape.hybrid import mixers, state_cache
from quantcore.shape.model_shape import Experts, LatentAttention, LayerCache, ModelShape
from quantcore.shape.tensors import expected_tensors

# What some architectures call the sizes that most call by the first name.
_OTHER_NAMES = {
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("num_kv_heads", "n_head_kv"),
    "intermediate_size": ("n_inner", "ffn_hidden_size", "block_ff_dim"),
    "max_position_embeddings": ("n_positions", "n_ctx", "seq_length"),
    "tie_word_embeddings": ("tie_embedding",),
}
_ESTIMATED = "the lab does not know the architecture {}: its tensors are taken to be a Llama’s"


def shape_from_json(
    raw: Mapping[str, Any], name: str = "model", source: str = "config.json", **known: Any
) -> ModelShape:
    """Read a parsed config.json; where it has text and vision parts, the text model is meant.

    An architecture that the lab does not know is taken for a Llama: `estimated` says so then.
    `known` are further fields of the shape, such as the published number of weights.

    Raises
    ------
    ModelError
        One sentence, if a size is missing, absurd, or does not go with another.

    Examples
    --------
    >>> shape = shape_from_json({"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
    ...     "intermediate_size": 96, "num_attention_heads": 4, "vocab_size": 100})
    >>> shape.head_size, shape.n_weights
    (16, 82752)
    """
    config = _text_part(raw)
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise ModelError(f"config.json has model_type {short(kind)}: is it a model’s config.json?")
    family = FAMILIES.get(kind)
    config = dict((family or FAMILIES["llama"]).defaults) | config
    sizes = _sizes(config, family or FAMILIES["llama"])
    experts, latent = _experts(config), _latent(config)
    sizes["experts"], sizes["latent"] = experts, latent
    mixed = mixers(config, sizes["n_layers"])
    return ModelShape(
        name=name,
        architecture=family.architecture if family else short(kind).strip("'"),
        caches=_caches(config, family or FAMILIES["llama"], sizes, mixed),
        tensors=expected_tensors(config, family or FAMILIES["llama"], sizes, mixed),
        estimated="" if family else _ESTIMATED.format(short(kind)),
        source=source,
        **sizes,
        **known,
    )


def _text_part(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Take the language model's part, and give every size its usual name."""
    config = {key: value for key, value in raw.items() if value is not None}
    for part in ("text_config", "llm_config", "language_config"):
        if isinstance(inner := config.get(part), Mapping):
            inner = {key: value for key, value in inner.items() if value is not None}
            outer = {key: config[key] for key in ("tie_word_embeddings",) if key in config}
            kind = inner.get("model_type", f"{config.get('model_type')}_text")
            config = outer | inner | {"model_type": kind}
    if isinstance(kind := config.get("model_type"), str):
        if kind not in FAMILIES and f"{kind}_text" in FAMILIES:
            config["model_type"] = f"{kind}_text"
        elif kind.removesuffix("_text") in FAMILIES:
            config["model_type"] = kind if kind in FAMILIES else kind.removesuffix("_text")
    for usual, others in _OTHER_NAMES.items():
        found = next((config[key] for key in others if key in config), None)
        if usual not in config and found is not None:
            config[usual] = found
    return config


def _sizes(config: dict[str, Any], family: Family) -> dict[str, Any]:
    hidden_size = size(config, "hidden_size")
    recurrent_only = family.architecture in ("mamba", "mamba2")
    n_heads = size(config, "num_attention_heads", 1 if recurrent_only else None)
    if family.architecture == "falcon" and flag(config, "multi_query"):
        config.setdefault("num_key_value_heads", 1)
    n_kv_heads = size(config, "num_key_value_heads", n_heads)
    if n_heads % n_kv_heads:
        raise ModelError(
            f"{n_heads} heads cannot share {n_kv_heads} KV heads evenly: the first number must be "
            "a multiple of the second."
        )
    if "head_dim" not in config and hidden_size % n_heads:
        raise ModelError(
            f"{n_heads} heads do not divide a hidden size of {hidden_size:,}, and there is no "
            "head_dim: correct one of the two."
        )
    width = 4 * hidden_size if family.gate == "none" else None
    if recurrent_only:
        width = 1
    return {
        "n_layers": size(config, "num_hidden_layers"),
        "hidden_size": hidden_size,
        "feed_forward_size": _feed_forward_size(config, width),
        "n_heads": n_heads,
        "n_kv_heads": n_kv_heads,
        "head_size": size(config, "head_dim", hidden_size // n_heads),
        "vocabulary_size": size(config, "vocab_size"),
        "tied_embedding": flag(config, "tie_word_embeddings", family.tied),
        "context_length": size(config, "max_position_embeddings", 2048),
    }


def _feed_forward_size(config: dict[str, Any], usual: int | None) -> int:
    """Width of layers without experts, which some configs keep under another name."""
    if "intermediate_size_mlp" in config:  # Llama 4: intermediate_size is that of the experts
        return size(config, "intermediate_size_mlp")
    width = size(config, "intermediate_size", usual)
    if flag(config, "block_auto_adjust_ff_dim"):  # LFM2: two thirds, rounded up
        multiple = size(config, "block_multiple_of", 256)
        width = int(config.get("block_ffn_dim_multiplier", 1) * (2 * width // 3))
        width = -(-width // multiple) * multiple
    return width


def _experts(config: dict[str, Any]) -> Experts | None:
    keys = ("num_local_experts", "num_experts", "n_routed_experts")
    key = next((key for key in keys if config.get(key)), None)
    if key is None or (count := size(config, key)) == 1:
        return None
    width = size(config, "intermediate_size", 0) if "intermediate_size" in config else None
    used = size(config, "num_experts_per_tok", None)
    if used > count:
        raise ModelError(f"{used} experts a token are more than the {count} that there are.")
    wide = size(config, "moe_intermediate_size", width)
    shared = config.get("n_shared_experts", config.get("num_shared_experts", 0))
    if config["model_type"] == "llama4_text":
        shared = 1
    if not shared and (key := _shared_width(config)):
        shared, rest = divmod(size(config, key), wide)
        if rest:
            raise ModelError(f"{key} must be a multiple of moe_intermediate_size.")
    first = config.get("first_k_dense_replace", 0)
    if type(shared) is not int or type(first) is not int or not 0 <= shared < 100 or first < 0:
        raise ModelError("config.json has shared experts or dense layers that are no numbers.")
    return Experts(count=count, used=used, size=wide, shared=shared, dense_layers=first)


def _shared_width(config: Mapping[str, Any]) -> str | None:
    keys = ("shared_expert_intermediate_size", "shared_intermediate_size")
    return next((key for key in keys if config.get(key)), None)


def _latent(config: dict[str, Any]) -> LatentAttention | None:
    if "kv_lora_rank" not in config:
        return None
    return LatentAttention(
        kv_size=size(config, "kv_lora_rank"),
        rope_size=size(config, "qk_rope_head_dim"),
        query_size=size(config, "q_lora_rank") if "q_lora_rank" in config else None,
        key_size=size(config, "qk_nope_head_dim"),
        value_size=size(config, "v_head_dim"),
    )


def _caches(
    config: dict[str, Any], family: Family, sizes: dict[str, Any], mixed: list[str]
) -> tuple[LayerCache, ...]:
    """Say what each layer keeps."""
    if latent := sizes["latent"]:
        one = LayerCache(kind="latent", key_values=latent.kv_size + latent.rope_size)
        return (one,) * sizes["n_layers"]
    row = sizes["n_kv_heads"] * sizes["head_size"]
    return tuple(
        _attention_cache(kind, row, window)
        if mixer == "attention"
        else state_cache(mixer, config, sizes)
        for mixer, (kind, window) in zip(
            mixed, _windows(config, family, sizes["n_layers"]), strict=True
        )
    )


def _attention_cache(kind: str, row: int, window: int | None) -> LayerCache:
    return LayerCache(kind=kind, key_values=row, value_values=row, window=window)


def _windows(config: dict[str, Any], family: Family, n_layers: int) -> list[tuple[str, int | None]]:
    """Say of each layer whether it sees everything, a window, or chunks, and how far."""
    chunk = config.get("attention_chunk_size")
    kind, key = ("chunk", "attention_chunk_size") if chunk else ("window", "sliding_window")
    named = config.get("layer_types")
    by_name = isinstance(named, list) and len(named) == n_layers
    usual = family.full_every is not None or (by_name and "sliding_attention" in named)
    used = flag(config, "use_sliding_window", usual)
    window = size(config, key) if key in config and (chunk or used) else None
    if window is None or window >= size(config, "max_position_embeddings", 2048):
        return [("full", None)] * n_layers
    if by_name:
        full = ["full" in str(layer) for layer in named]
    elif "max_window_layers" in config and family.full_every is None:
        full = [i < size(config, "max_window_layers") for i in range(n_layers)]
    else:
        every = size(config, "sliding_window_pattern", family.full_every or n_layers + 1)
        full = [(i + 1) % every == 0 for i in range(n_layers)]
    return [("full", None) if sees_all else (kind, window) for sees_all in full]
