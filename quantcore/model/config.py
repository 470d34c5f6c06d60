"""The sizes and switches of a Llama-family model, from its config.json."""

from dataclasses import dataclass
from typing import Any

from quantcore.io import ModelError
from quantcore.io.json_fields import flag, real, short, size

# Which biases the code of each architecture adds, unless its config says otherwise.
_ARCHITECTURES = {
    "llama": {},
    "mistral": {},
    "qwen2": {"attention_bias": True, "output_bias": False},
    "qwen3": {"qk_norm": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """How rotary frequencies are stretched for long contexts (transformers' `rope_type`)."""

    kind: str  # "linear", "llama3", or "factors" as a GGUF file holds llama3's
    factor: float
    low_frequency_factor: float = 1.0  # these three for llama3 only
    high_frequency_factor: float = 4.0
    original_context: int = 8192
    factors: tuple[float, ...] = ()  # for factors only: divisor of each pair's frequency


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaConfig:
    """A decoder of the Llama family; sizes in numbers, not bytes."""

    architecture: str  # "llama", "mistral", "qwen2", "qwen3"
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


def read_config(raw: dict[str, Any]) -> LlamaConfig:
    """Check a parsed config.json and name its parts.

    Raises
    ------
    ModelError
        For a missing or absurd value, or an architecture that the lab does not run.
    """
    architecture = raw.get("model_type")
    if not isinstance(architecture, str) or architecture not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise ModelError(f"config.json has model_type {short(architecture)}; the lab runs {known}.")
    _refuse_variants(raw)
    n_heads = size(raw, "num_attention_heads")
    hidden_size = size(raw, "hidden_size")
    n_kv_heads = size(raw, "num_key_value_heads", n_heads)
    head_size = size(raw, "head_dim", hidden_size // n_heads)
    if n_heads % n_kv_heads:
        raise ModelError(
            f"config.json has {n_heads} heads, which {n_kv_heads} KV heads do not divide."
        )
    if head_size % 2:
        raise ModelError(
            f"config.json gives heads of {head_size}, which rotary pairs do not divide."
        )
    theta, scaling = _rope(raw)
    switches = _switches(raw, architecture)
    return LlamaConfig(
        architecture=architecture,
        n_layers=size(raw, "num_hidden_layers"),
        hidden_size=hidden_size,
        feed_forward_size=size(raw, "intermediate_size"),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_size=head_size,
        vocabulary_size=size(raw, "vocab_size"),
        context_length=size(raw, "max_position_embeddings", 2048),
        norm_epsilon=real(raw, "rms_norm_eps", 1e-6, largest=1.0),
        rope_theta=theta,
        rope_scaling=scaling,
        **switches,
    )


def _refuse_variants(raw: dict[str, Any]) -> None:
    if raw.get("hidden_act", "silu") != "silu":
        raise ModelError(
            f"config.json has hidden_act {short(raw['hidden_act'])}; the lab runs silu."
        )
    if raw.get("quantization_config") is not None:
        raise ModelError(
            "config.json has a quantization_config; the lab needs the original weights."
        )
    # Qwen2 writes a window that it does not use; Mistral's first version does use it.
    window = raw.get("sliding_window") if raw.get("use_sliding_window", True) else None
    if window is not None:
        raise ModelError(f"config.json has a sliding_window of {short(window)}; the lab has none.")


def _switches(raw: dict[str, Any], architecture: str) -> dict[str, bool]:
    bias = flag(raw, "attention_bias")
    switches = {
        "tied_embedding": flag(raw, "tie_word_embeddings"),
        "attention_bias": bias,
        "output_bias": bias,
        "mlp_bias": flag(raw, "mlp_bias"),
    }
    return switches | _ARCHITECTURES[architecture]


def _rope(raw: dict[str, Any]) -> tuple[float, RopeScaling | None]:
    """Read what transformers 5 calls `rope_parameters`, and others `rope_theta`, `rope_scaling`."""
    both = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    if not isinstance(both, dict):
        raise ModelError("config.json has rope parameters that are not an object.")
    theta = real(raw | both, "rope_theta", 10_000.0, largest=1e12)
    if real(raw | both, "partial_rotary_factor", 1.0, largest=1.0) != 1.0:
        raise ModelError("config.json rotates only part of each head; the lab rotates all of it.")
    kind = both.get("rope_type", both.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling(kind=kind, factor=real(both, "factor", largest=1e6))
    if kind == "llama3":
        return theta, _llama3(both)
    raise ModelError(f"config.json has rope scaling {short(kind)}; the lab runs linear and llama3.")


def _llama3(both: dict[str, Any]) -> RopeScaling:
    low = real(both, "low_freq_factor", largest=1e6)
    high = real(both, "high_freq_factor", largest=1e6)
    if low >= high:
        raise ModelError("config.json has a low_freq_factor that is not below high_freq_factor.")
    original = both.get("original_max_position_embeddings")
    if type(original) is not int or not 0 < original <= 2**24:
        raise ModelError("config.json lacks original_max_position_embeddings for rope scaling.")
    return RopeScaling(
        kind="llama3",
        factor=real(both, "factor", largest=1e6),
        low_frequency_factor=low,
        high_frequency_factor=high,
        original_context=original,
    )
