"""The architectures that the lab knows, one entry each: what is unlike a Llama.

A name that has several entries has several `model_types` that differ in config.json only; the first
entry is what a GGUF file of that name holds. Sources: the modelling code and configuration classes
of transformers; the tensors' names that llama.cpp's converter writes; load_arch_hparams and the
graphs in src/models/*.cpp of llama.cpp at commit 0c1e57098.
"""

from dataclasses import replace

from quantcore.architectures.architecture import Architecture
from quantcore.architectures.gguf_only import GGUF_ONLY
from quantcore.architectures.newer import NEWER

_LLAMA = Architecture(
    name="llama",
    model_types=("llama",),
    runs=True,
    rotates_neighbours=True,
    is_70b="grouped",
)
_QWEN_DEFAULTS = {"num_key_value_heads": 32, "use_sliding_window": False}
_QWEN2 = Architecture(
    name="qwen2",
    model_types=("qwen2",),
    runs=True,
    defaults=_QWEN_DEFAULTS,
    not_loaded=("rope_freqs.weight",),
    hidden_wide=True,
    qkv_bias=True,
    output_bias=False,
    is_70b="always",
)
_GEMMA2 = Architecture(
    name="gemma2",
    model_types=("gemma2",),
    defaults={
        "vocab_size": 256_000, "hidden_size": 2304, "intermediate_size": 9216, "head_dim": 256,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
        "max_position_embeddings": 8192, "sliding_window": 4096,
    },
    tied=True,
    norms=("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
    full_every=2,
    window=4096,
)  # fmt: skip
_DEEPSEEK2 = Architecture(
    name="deepseek2",
    model_types=("deepseek_v2",),
    expert_weights="plain",
)
_OLMO3 = Architecture(
    name="olmo2",
    model_types=("olmo3",),
    norms=("post_attention_norm", "post_ffw_norm"),
    head_norm="width",
    full_every=4,
)
_MAMBA = Architecture(
    name="mamba",
    model_types=("mamba",),
    tied=True,
    norms=("attn_norm",),
    state_layers="all",
    mixer="mamba",
)

ARCHITECTURES: tuple[Architecture, ...] = (
    _LLAMA,
    replace(
        _LLAMA,
        model_types=("mistral",),
        defaults={"num_key_value_heads": 8},
        full_every=0,
        window=4096,
    ),
    replace(
        _LLAMA,
        model_types=("mixtral",),
        runs=False,
        defaults={"num_experts_per_tok": 2},
        full_every=0,
    ),
    Architecture(name="granite", model_types=("granite",)),
    Architecture(name="granitemoe", model_types=("granitemoe",)),
    Architecture(
        name="granitehybrid",
        model_types=("granitemoehybrid",),
        state_layers="by heads",
        mixer="mamba2",
    ),
    _QWEN2,
    replace(_QWEN2, model_types=("qwen2_vl_text", "qwen2_5_vl_text"), runs=False),
    Architecture(
        name="qwen2moe",
        model_types=("qwen2_moe",),
        qkv_bias=True,
        output_bias=False,
        shared_gate=True,
        expert_weights="plain",
    ),
    Architecture(
        name="qwen3",
        model_types=("qwen3",),
        runs=True,
        defaults=_QWEN_DEFAULTS | {"head_dim": 128},
        not_loaded=("rope_freqs.weight", "attn_output.bias"),
        head_norm="head",
    ),
    Architecture(name="qwen3moe", model_types=("qwen3_moe",), head_norm="head"),
    Architecture(
        name="qwen3next",
        model_types=("qwen3_next",),
        defaults={"full_attention_interval": 4},
        norms=("attn_norm", "post_attention_norm"),
        head_norm="head",
        gated_queries=True,
        shared_gate=True,
        state_layers="by interval",
        mixer="delta",
        rows_chosen="after last norm",
    ),
    Architecture(name="gemma", model_types=("gemma",), tied=True),
    _GEMMA2,
    replace(
        _GEMMA2,
        name="gemma3",
        model_types=("gemma3_text",),
        defaults=dict(_GEMMA2.defaults)
        | {"vocab_size": 262_208, "max_position_embeddings": 131_072},
        head_norm="head",
        full_every=6,
        window=0,
    ),
    Architecture(
        name="phi3",
        model_types=("phi3",),
        fused_qkv=True,
        gate="fused",
        rope_factors=True,
        full_every=0,
        residual_first="feed-forward",
    ),
    _DEEPSEEK2,
    replace(_DEEPSEEK2, model_types=("deepseek_v3", "kimi_k2", "glm4_moe_lite"), score_bias=True),
    Architecture(
        name="glm4moe",
        model_types=("glm4_moe",),
        norms=("attn_norm", "post_attention_norm"),
        output_bias=False,
        score_bias=True,
    ),
    Architecture(
        name="gpt-oss",
        model_types=("gpt_oss",),
        norms=("attn_norm", "post_attention_norm"),
        sinks=True,
        expert_bias=True,
        full_every=2,
        rows_chosen="before last norm",
    ),
    Architecture(
        name="llama4",
        model_types=("llama4_text",),
        shared_experts=1,
        full_every=4,
        window=8192,
        chunked=True,
        rotated="windows",
        scaled_queries=True,
        expert_weights="on input",
    ),
    _OLMO3,
    replace(_OLMO3, model_types=("olmo2",), full_every=None),
    Architecture(name="stablelm", model_types=("stablelm",), norm_bias=True),
    Architecture(
        name="falcon",
        model_types=("falcon",),
        mix_rules=False,
        defaults={"multi_query": True},
        tied=True,
        multi_query=True,
        norms=("attn_norm",),
        norm_bias=True,
        fused_qkv=True,
        gate="none",
    ),
    Architecture(
        name="gpt2",
        model_types=("gpt2",),
        tied=True,
        norm_bias=True,
        fused_qkv=True,
        qkv_bias=True,
        output_bias=True,
        gate="none",
        mlp_bias=True,
        positions=True,
        rotated="none",
    ),
    _MAMBA,
    replace(_MAMBA, model_types=("falcon_mamba",), tied=False),
    replace(_MAMBA, name="mamba2", model_types=("mamba2",), mixer="mamba2"),
    Architecture(
        name="jamba",
        model_types=("jamba",),
        defaults={"attn_layer_period": 8, "attn_layer_offset": 4},
        state_norms=True,
        state_layers="by heads",
        mixer="mamba",
        rotated="none",
        expert_weights="plain",
        residual_first="both",
    ),
    Architecture(
        name="lfm2",
        model_types=("lfm2",),
        tied=True,
        head_norm="head",
        state_layers="by heads",
        mixer="conv",
        residual_first="both",
    ),
    *NEWER,
    *GGUF_ONLY,
)
