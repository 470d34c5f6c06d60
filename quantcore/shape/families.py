"""What the code of each architecture adds to its config.json: tensors, biases, windows, defaults.

Keys are Hugging Face's `model_type`. Source: the modelling code and configuration classes of
transformers, and the names that llama.cpp's converter gives the tensors (gguf's constants).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One architecture. Where a switch is None, config.json decides."""

    architecture: str  # GGUF's
    norms: tuple[str, ...] = ("attn_norm", "ffn_norm")  # of each layer
    norm_bias: bool = False
    head_norm: Literal["", "head", "width"] = ""  # norms of queries and keys: of a head, or of all
    fused_qkv: bool = False
    qkv_bias: bool | None = None
    output_bias: bool | None = None  # on the attention's output
    gate: Literal["split", "fused", "none"] = "split"
    mlp_bias: bool | None = None
    positions: bool = False  # a learned embedding of positions
    sinks: bool = False  # one number a head
    expert_bias: bool = False  # on the router and on every projection
    score_bias: bool = False  # DeepSeek-V3's correction, one number an expert
    shared_gate: bool = False  # Qwen's shared expert has a gate of its own
    tied: bool = False  # where config.json does not say
    full_every: int | None = None  # each so many layers one sees everything; 0: none does
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of keys that a file may omit
    rules: bool = True  # whether the lab's mix rules cover it


_LLAMA = Family(architecture="llama")
_QWEN2 = Family(architecture="qwen2", qkv_bias=True, output_bias=False)
_QWEN3 = Family(architecture="qwen3", head_norm="head")
_GEMMA2 = Family(
    architecture="gemma2",
    norms=("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
    tied=True,
    full_every=2,
    defaults={
        "vocab_size": 256_000, "hidden_size": 2304, "intermediate_size": 9216, "head_dim": 256,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
        "max_position_embeddings": 8192, "sliding_window": 4096,
    },
)  # fmt: skip
_GEMMA3 = replace(
    _GEMMA2,
    architecture="gemma3",
    head_norm="head",
    full_every=6,
    defaults=_GEMMA2.defaults
    | {"vocab_size": 262_208, "max_position_embeddings": 131_072, "sliding_window": 4096},
)
_DEEPSEEK = Family(architecture="deepseek2")
_MAMBA2 = Family(architecture="mamba2", norms=("attn_norm",), tied=True)

FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "mistral": replace(_LLAMA, full_every=0),
    "mixtral": replace(_LLAMA, full_every=0, defaults={"num_experts_per_tok": 2}),
    "granite": replace(_LLAMA, architecture="granite"),
    "granitemoe": replace(_LLAMA, architecture="granitemoe"),
    "granitemoehybrid": replace(_LLAMA, architecture="granitehybrid"),
    "qwen2": _QWEN2,
    "qwen2_vl_text": _QWEN2,
    "qwen2_5_vl_text": _QWEN2,
    "qwen2_moe": replace(_QWEN2, architecture="qwen2moe", shared_gate=True),
    "qwen3": _QWEN3,
    "qwen3_moe": replace(_QWEN3, architecture="qwen3moe"),
    "qwen3_next": replace(
        _QWEN3,
        architecture="qwen3next",
        norms=("attn_norm", "post_attention_norm"),
        shared_gate=True,
        defaults={"full_attention_interval": 4},
    ),
    "gemma": Family(architecture="gemma", tied=True),
    "gemma2": _GEMMA2,
    "gemma3_text": _GEMMA3,
    "phi3": Family(architecture="phi3", fused_qkv=True, gate="fused", full_every=0),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": replace(_DEEPSEEK, score_bias=True),
    "kimi_k2": replace(_DEEPSEEK, score_bias=True),
    "glm4_moe": Family(
        architecture="glm4moe",
        norms=("attn_norm", "post_attention_norm"),
        output_bias=False,
        score_bias=True,
    ),
    "gpt_oss": Family(
        architecture="gpt-oss",
        norms=("attn_norm", "post_attention_norm"),
        sinks=True,
        expert_bias=True,
        full_every=2,
    ),
    "llama4_text": replace(_LLAMA, architecture="llama4", full_every=4),
    "olmo2": Family(
        architecture="olmo2", norms=("post_attention_norm", "post_ffw_norm"), head_norm="width"
    ),
    "stablelm": Family(architecture="stablelm", norm_bias=True),
    "falcon": Family(
        architecture="falcon",
        norms=("attn_norm",),
        norm_bias=True,
        fused_qkv=True,
        gate="none",
        tied=True,
        rules=False,
    ),
    "gpt2": Family(
        architecture="gpt2",
        norm_bias=True,
        fused_qkv=True,
        qkv_bias=True,
        output_bias=True,
        gate="none",
        mlp_bias=True,
        positions=True,
        tied=True,
    ),
    "mamba": replace(_MAMBA2, architecture="mamba"),
    "falcon_mamba": replace(_MAMBA2, architecture="mamba", tied=False),
    "mamba2": _MAMBA2,
    "jamba": replace(_LLAMA, architecture="jamba"),
    "lfm2": replace(_LLAMA, architecture="lfm2", head_norm="head", tied=True),
}
