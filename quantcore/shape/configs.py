"""A model's shape from its config.json alone, for every architecture that has a model_type."""

import re
from collections.abc import Mapping
from typing import Any

from quantcore.architectures import LLAMA, Architecture, by_model_type
from quantcore.io import ModelError, short
from quantcore.io.config_json import ConfigJson
from quantcore.shape.hybrid import mixers, state_cache
from quantcore.shape.model_shape import CacheKind, Experts, LatentAttention, LayerCache, ModelShape
from quantcore.shape.tensors import expected_tensors

MOST_NAMED = 5  # keys
# Keys of a config.json that sound as if tensors or caches followed them, and those of them that
# only sound so.
_CHANGES_SIZES = re.compile(
    "expert|moe_|_layers?$|layer_types$|_dim$|_rank$|_heads$|per_layer|_pattern$|block_type"
)
_CHANGES_NONE = re.compile(
    "token|router|group|norm|rope|topk|dropout|overlap|scal|jitter|loss|^output_|^use_|qk_head_dim|"
    "max_window_layers|num_hidden_layers|sliding_window_pattern|moe_layer_freq|layer_step|nextn|mtp_"
)
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
    config = ConfigJson(raw).text_model()
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise config.error(f"has model_type {short(kind)}: is it a model’s config.json?")
    known_architecture = by_model_type(kind)
    architecture = known_architecture or LLAMA
    config = config.with_defaults(architecture.defaults)
    sizes = _sizes(config, architecture)
    sizes |= {"experts": _experts(config, architecture), "latent": _latent(config)}
    mixed = mixers(config, architecture, sizes["n_layers"])
    of_layers = sizes | {"by_layer": _sizes_by_layer(config, sizes["n_layers"])}
    return ModelShape(
        name=name,
        architecture=known_architecture.name if known_architecture else short(kind).strip("'"),
        caches=_caches(config, architecture, of_layers, mixed),
        tensors=expected_tensors(config, architecture, of_layers, mixed),
        estimated=_why_uncertain(config, "" if known_architecture else short(kind)),
        source=source,
        **sizes,
        **known,
    )


def _why_uncertain(config: ConfigJson, unknown: str) -> str:
    """Say why tensors are no certainty: an unknown architecture, or keys that nobody looked at."""
    passed_over = sorted(
        key
        for key, value in config.not_looked_at().items()
        if value and _CHANGES_SIZES.search(key) and not _CHANGES_NONE.search(key)
    )
    whys = [_ESTIMATED.format(unknown)] if unknown else []
    if passed_over:
        more = (
            "" if len(passed_over) <= MOST_NAMED else f" and {len(passed_over) - MOST_NAMED} more"
        )
        named = ", ".join(short(key).strip("'") for key in passed_over[:MOST_NAMED]) + more
        whys.append(f"its config.json has {named}, which may change sizes and which nobody reads")
    return "; ".join(whys)


def _sizes(config: ConfigJson, architecture: Architecture) -> dict[str, Any]:
    hidden_size = config.size("hidden_size")
    n_heads = config.size("num_attention_heads", 1 if architecture.only_states else None)
    n_kv_heads = config.size("num_key_value_heads", n_heads)
    if architecture.multi_query and config.flag("multi_query"):
        n_kv_heads = n_kv_heads if config.flag("new_decoder_architecture") else 1
    if n_heads % n_kv_heads:
        raise ModelError(
            f"{n_heads} heads cannot share {n_kv_heads} KV heads evenly: the first number must be "
            "a multiple of the second."
        )
    if "head_dim" not in config and "kv_lora_rank" not in config and hidden_size % n_heads:
        raise ModelError(
            f"{n_heads} heads do not divide a hidden size of {hidden_size:,}, and there is no "
            "head_dim: correct one of the two."
        )
    width = 4 * hidden_size if architecture.gate == "none" else None
    if architecture.only_states:
        width = 1
    elif "moe_intermediate_size" in config:  # where all layers have experts, no other is needed
        width = config.size("moe_intermediate_size")
    return {
        "n_layers": config.size("num_hidden_layers"),
        "hidden_size": hidden_size,
        "feed_forward_size": _feed_forward_size(config, width),
        "n_heads": n_heads,
        "n_kv_heads": n_kv_heads,
        "head_size": config.size("head_dim", hidden_size // n_heads),
        "vocabulary_size": config.size("vocab_size"),
        "tied_embedding": config.flag("tie_word_embeddings", architecture.tied),
        "context_length": config.size("max_position_embeddings", 2048),
    }


def _feed_forward_size(config: ConfigJson, usual: int | None) -> int:
    """Width of layers without experts, which some configs keep under another name."""
    if "intermediate_size_mlp" in config:  # Llama 4: intermediate_size is that of the experts
        return config.size("intermediate_size_mlp")
    width = config.size("intermediate_size", usual)
    if config.flag("block_auto_adjust_ff_dim"):  # LFM2: two thirds, rounded up
        multiple = config.size("block_multiple_of", 256)
        factor = config.real("block_ffn_dim_multiplier", 1.0, largest=1e3)
        width = int(factor * (2 * width // 3))
        width = -(-width // multiple) * multiple
    return width


def _experts(config: ConfigJson, architecture: Architecture) -> Experts | None:
    key = config.first_of("num_local_experts", "num_experts", "n_routed_experts")
    if key is None or (count := config.size(key)) == 1:
        return None
    width = config.size("intermediate_size", 0) if "intermediate_size" in config else None
    used = config.size("num_experts_per_tok")
    if used > count:
        raise ModelError(f"{used} experts per token are more than the {count} that there are.")
    width = config.size("moe_intermediate_size", width)
    shared = config.get("n_shared_experts", config.get("num_shared_experts", 0))
    shared = architecture.shared_experts or shared
    key = config.first_of(
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
        "moe_shared_expert_intermediate_size",
    )
    if key and (not shared or key == "moe_shared_expert_intermediate_size"):
        shared, rest = divmod((shared or 1) * config.size(key), width)
        if rest:
            raise ModelError(f"{key} must be a multiple of moe_intermediate_size.")
    first = config.get("first_k_dense_replace", 0)
    if type(shared) is not int or type(first) is not int or not 0 <= shared < 100 or first < 0:
        raise config.error("has shared experts or dense layers that are not numbers.")
    return Experts(count=count, used=used, size=width, shared=shared, dense_layers=first)


def _latent(config: ConfigJson) -> LatentAttention | None:
    if "kv_lora_rank" not in config:
        return None
    return LatentAttention(
        kv_size=config.size("kv_lora_rank"),
        rope_size=config.size("qk_rope_head_dim"),
        query_size=config.size("q_lora_rank") if "q_lora_rank" in config else None,
        key_size=config.size("qk_nope_head_dim"),
        value_size=config.size("v_head_dim"),
        index_size=config.size("index_head_dim") if "index_n_heads" in config else 0,
        index_heads=config.size("index_n_heads") if "index_n_heads" in config else 0,
    )


def _caches(
    config: ConfigJson, architecture: Architecture, sizes: dict[str, Any], mixed: list[str]
) -> tuple[LayerCache, ...]:
    """Say what each layer keeps."""
    if latent := sizes["latent"]:
        one = LayerCache(kind="latent", key_values=latent.cached)
        return (one,) * sizes["n_layers"]
    beside = 0
    if architecture.state_layers == "beside attention" and architecture.mixer is not None:
        beside = state_cache(architecture.mixer, config, sizes).state_values
    caches = []
    windows = _windows(config, architecture, sizes["n_layers"])
    for mixer, own, (kind, window) in zip(mixed, sizes["by_layer"], windows, strict=True):
        if mixer != "attention":
            caches.append(state_cache(mixer, config, sizes))
            continue
        of_layer = sizes | own
        row = of_layer["n_kv_heads"] * of_layer["head_size"]
        caches.append(
            LayerCache(
                kind=kind, key_values=row, value_values=row, window=window, state_values=beside
            )
        )
    return tuple(caches)


def _sizes_by_layer(config: ConfigJson, n_layers: int) -> list[dict[str, int]]:
    """Sizes of each layer's attention that are not those of all: of Gemma 4's global layers."""
    words = config.by_layer(n_layers, "layer_types") or []
    if "global_head_dim" not in config:
        return [{} for _ in range(n_layers)]
    if not words:
        raise config.error("has a global_head_dim, and no layer_types that say of which layers.")
    own = {"head_size": config.size("global_head_dim")}
    heads = config.get("num_global_key_value_heads")  # counts only beside the other
    if config.flag("attention_k_eq_v"):
        own["values_are_keys"] = True
        if heads is not None:
            own["n_kv_heads"] = config.size("num_global_key_value_heads")
    return [own if word == "full_attention" else {} for word in words]


def _windows(
    config: ConfigJson, architecture: Architecture, n_layers: int
) -> list[tuple[CacheKind, int | None]]:
    """Say of each layer whether it sees everything, a window, or chunks, and how far."""
    chunk = config.get("attention_chunk_size")
    kind: CacheKind = "chunk" if chunk else "window"
    key = "attention_chunk_size" if chunk else "sliding_window"
    words = config.by_layer(n_layers, "layer_types")
    always = architecture.full_every is not None or "sliding_attention" in (words or ())
    used = config.flag("use_sliding_window", always)
    window = config.size(key) if key in config and (chunk or used) else None
    if window is None or window >= config.size("max_position_embeddings", 2048):
        return [("full", None)] * n_layers
    if words:
        sees_all = ["full" in word for word in words]
    elif "max_window_layers" in config and architecture.full_every is None:
        sees_all = [i < config.size("max_window_layers") for i in range(n_layers)]
    else:
        every = config.size("sliding_window_pattern", architecture.full_every or n_layers + 1)
        sees_all = [(i + 1) % every == 0 for i in range(n_layers)]
    return [("full", None) if full else (kind, window) for full in sees_all]
