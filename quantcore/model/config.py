"""The sizes and switches of a Llama-family model, from its config.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantcore.architectures import RUNNABLE, Architecture
from quantcore.io import ModelError, short
from quantcore.io.config_json import ConfigJson


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """How rotary frequencies are stretched for long contexts (transformers' `rope_type`)."""

    kind: str  # "linear", "llama3", or "factors" as a GGUF file holds llama3's
    factor: float
    low_frequency_factor: float = 1.0  # these three for llama3 only
    high_frequency_factor: float = 4.0
    original_context: int = 8192
    factors: tuple[float, ...] = ()  # for factors only: of each pair's frequency, beside `factor`


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaConfig:
    """A decoder of the Llama family; sizes in numbers, not bytes."""

    model_type: str  # of config.json, one of `quantcore.architectures.RUNNABLE`
    n_layers: int
    hidden_size: int
    feed_forward_size: int
    n_heads: int
    n_kv_heads: int  # fewer than n_heads in grouped-query attention
    head_size: int
    vocabulary_size: int
    context_length: int
    norm_epsilon: float
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    rope_interleaved: bool = False  # GGUF files rotate neighbours, Hugging Face's halves
    tied_embedding: bool = False
    attention_bias: bool = False  # on query, key and value
    output_bias: bool = False  # on the attention's output
    mlp_bias: bool = False
    qk_norm: bool = False


def read_config(raw: Mapping[str, Any], source: str = "config.json") -> LlamaConfig:
    """Check a parsed config.json and name its parts.

    Parameters
    ----------
    raw
        The parsed object.
    source
        What errors call it.

    Raises
    ------
    ModelError
        For a missing or absurd value, or an architecture that the lab does not run.
    """
    config = ConfigJson(raw, source)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in RUNNABLE:
        known = ", ".join(RUNNABLE)
        raise config.error(f"has model_type {short(model_type)}; the lab runs {known}.")
    architecture = RUNNABLE[model_type]
    config = config.with_defaults(architecture.defaults)
    _refuse_variants(config, architecture)
    n_heads = config.size("num_attention_heads")
    hidden_size = config.size("hidden_size")
    n_kv_heads = config.size("num_key_value_heads", n_heads)
    head_size = config.size("head_dim", hidden_size // n_heads)
    if n_heads % n_kv_heads:
        raise config.error(f"has {n_heads} heads, which {n_kv_heads} KV heads do not divide.")
    if head_size % 2:
        raise config.error(f"gives heads of {head_size}, which rotary pairs do not divide.")
    theta, scaling = _rope(config)
    switches = _switches(config, architecture)
    return LlamaConfig(
        model_type=model_type,
        n_layers=config.size("num_hidden_layers"),
        hidden_size=hidden_size,
        feed_forward_size=config.size("intermediate_size"),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_size=head_size,
        vocabulary_size=config.size("vocab_size"),
        context_length=config.size("max_position_embeddings", 2048),
        norm_epsilon=config.real("rms_norm_eps", 1e-6, largest=1.0),
        rope_theta=theta,
        rope_scaling=scaling,
        **switches,
    )


def runs(raw: Mapping[str, Any]) -> bool:
    """Whether the lab has a forward pass for the model of a parsed config.json."""
    try:
        read_config(raw)
    except ModelError:
        return False
    return True


def _refuse_variants(config: ConfigJson, architecture: Architecture) -> None:
    """Refuse what other members of the family have and the lab's forward pass has not."""
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        raise config.error(f"has hidden_act {short(activation)}; the lab runs silu.")
    both_ways = config.get("use_bidirectional_attention", False)
    if both_ways or config.get("is_causal", True) is False:
        raise config.error("is of a model whose tokens see those behind them; the lab runs none.")
    if (window := _window(config, architecture)) is not None:
        raise config.error(f"has a sliding_window of {short(window)}; the lab has none.")


def _window(config: ConfigJson, architecture: Architecture) -> Any:
    """Tokens that a layer looks back, None where all layers see the whole context.

    Qwen's configs write a window that they do not use, in all or in the first layers; Mistral's
    first version does use it, also where its config does not say so. One as long as the context
    cuts nothing off.
    """
    if not config.get("use_sliding_window", True):
        return None
    window = config.get("sliding_window", architecture.window or None)
    kinds, first = config.get("layer_types"), config.get("max_window_layers")
    if isinstance(kinds, list) and kinds:
        return window if "sliding_attention" in kinds else None
    if type(first) is int and first >= config.size("num_hidden_layers"):
        return None
    if type(window) is int and window >= config.size("max_position_embeddings", 2048):
        return None
    return window


def _switches(config: ConfigJson, architecture: Architecture) -> dict[str, bool]:
    """Say which biases and norms there are: the architecture's code adds some by itself."""
    bias = config.flag("attention_bias")
    switches = {
        "tied_embedding": config.flag("tie_word_embeddings"),
        "attention_bias": bias,
        "output_bias": bias,
        "mlp_bias": config.flag("mlp_bias"),
        "qk_norm": architecture.head_norm == "head",
    }
    if architecture.qkv_bias is not None:
        switches["attention_bias"] = architecture.qkv_bias
    if architecture.output_bias is not None:
        switches["output_bias"] = architecture.output_bias
    return switches


def _rope(config: ConfigJson) -> tuple[float, RopeScaling | None]:
    """Read the base of rotary frequencies, and how they are stretched."""
    rope = config.rope()
    theta = rope.real("rope_theta", 10_000.0, largest=1e12)
    if rope.real("partial_rotary_factor", 1.0, largest=1.0) != 1.0:
        raise rope.error("rotates only part of each head; the lab rotates all of it.")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling(kind=kind, factor=rope.real("factor", largest=1e6))
    if kind == "llama3":
        return theta, _llama3(rope)
    raise rope.error(f"has rope scaling {short(kind)}; the lab runs linear and llama3.")


def _llama3(rope: ConfigJson) -> RopeScaling:
    low = rope.real("low_freq_factor", largest=1e6)
    high = rope.real("high_freq_factor", largest=1e6)
    if low >= high:
        raise rope.error("has a low_freq_factor that is not below high_freq_factor.")
    original = rope.get("original_max_position_embeddings")
    if type(original) is not int or not 0 < original <= 2**24:
        raise rope.error("lacks original_max_position_embeddings for rope scaling.")
    return RopeScaling(
        kind="llama3",
        factor=rope.real("factor", largest=1e6),
        low_frequency_factor=low,
        high_frequency_factor=high,
        original_context=original,
    )
