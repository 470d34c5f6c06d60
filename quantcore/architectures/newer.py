"""Architectures of 2025 and 2026 of which the lab reads config.json besides GGUF files.

Their mixes and llama.cpp's graphs of them are not covered. Sources: modelling code and
configuration classes of transformers 5.23; tensors' names and load_arch_hparams of llama.cpp.
"""

from dataclasses import replace
from functools import partial

from quantcore.architectures.architecture import Architecture

_newer = partial(Architecture, mix_rules=False, graph_known=False)
_QWEN35 = _newer(
    name="qwen35",
    model_types=("qwen3_5_text",),
    defaults={"full_attention_interval": 4},
    norms=("attn_norm", "post_attention_norm"),
    head_norm="head",
    gated_queries=True,
    state_layers="by interval",
    mixer="delta",
)
_ERNIE = _newer(name="ernie4_5", model_types=("ernie4_5",), tied=True)
_GLM_DSA = _newer(name="glm-dsa", model_types=("glm_moe_dsa",), score_bias=True)
NEWER: tuple[Architecture, ...] = (
    _QWEN35,
    replace(_QWEN35, name="qwen35moe", model_types=("qwen3_5_moe_text",), shared_gate=True),
    _ERNIE,
    replace(_ERNIE, name="ernie4_5-moe", model_types=("ernie4_5_moe",), score_bias=True),
    _GLM_DSA,
    replace(_GLM_DSA, name="deepseek32", model_types=("deepseek_v32",)),
    _newer(
        name="falcon-h1",
        model_types=("falcon_h1",),
        state_layers="beside attention",
        mixer="mamba2",
    ),
    _newer(
        name="nemotron_h_moe",
        model_types=("nemotron_h",),
        norms=("attn_norm",),
        gate="none",
        score_bias=True,
        state_layers="by heads",
        mixer="mamba2",
        feed_forward_layers=True,
    ),
    _newer(
        name="gemma4",
        model_types=("gemma4_text",),
        tied=True,
        norms=("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
        head_norm="head",
        full_every=6,
        windows_in_file=True,
    ),
    _newer(name="smollm3", model_types=("smollm3",), tied=True),
    _newer(
        name="seed_oss",
        model_types=("seed_oss",),
        defaults={"attention_bias": True},
        output_bias=False,
    ),
    _newer(
        name="exaone4",
        model_types=("exaone4",),
        norms=("post_attention_norm", "post_ffw_norm"),
        head_norm="head",
        full_every=4,
        window_layers=64,
    ),
    _newer(
        name="cohere2",
        model_types=("cohere2",),
        tied=True,
        norms=("attn_norm",),
        full_every=4,
        layer_norm=True,
        rotated="windows",
    ),
    _newer(
        name="glm4",
        model_types=("glm4",),
        norms=("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
        output_bias=False,
        gate="fused",
    ),
    _newer(name="hunyuan-dense", model_types=("hunyuan_v1_dense",), head_norm="head"),
    _newer(name="arcee", model_types=("arcee",), gate="none"),
    _newer(name="minimax-m2", model_types=("minimax_m2",), head_norm="width", score_bias=True),
    _newer(name="dots1", model_types=("dots1",), head_norm="head", score_bias=True),
    _newer(name="nemotron", model_types=("nemotron",), norm_bias=True, gate="none"),
)
