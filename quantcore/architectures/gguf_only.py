"""Architectures that the lab reads from GGUF files only: a header says their sizes and tensors.

What a header does not say is llama.cpp's code; see `quantcore.architectures.table`.
"""

from functools import partial

from quantcore.architectures.architecture import Architecture

_gguf_only = partial(Architecture, mix_rules=False, graph_known=False)
GGUF_ONLY: tuple[Architecture, ...] = (
    # Windows
    _gguf_only(name="gemma3n", full_every=5, own_caches=20),
    _gguf_only(name="cohere2moe", full_every=4, full_first=True),
    _gguf_only(name="exaone-moe", full_every=4, window=128),
    _gguf_only(name="afmoe", full_every=4),
    _gguf_only(name="mellum", full_every=4),
    _gguf_only(name="plamo3", full_every=8),
    _gguf_only(name="smallthinker", full_every=4, full_first=True),
    _gguf_only(name="mimo2", windows_in_file=True),
    _gguf_only(name="step35", windows_in_file=True),
    _gguf_only(name="granite-swa", windows_in_file=True, caches_known=False),
    _gguf_only(name="laguna", windows_in_file=True, caches_known=False),
    # States
    _gguf_only(name="rwkv6", state_layers="all", mixer="wkv"),
    _gguf_only(name="rwkv6qwen2", state_layers="all", mixer="wkv"),
    _gguf_only(name="rwkv7", state_layers="all", mixer="wkv"),
    _gguf_only(name="arwkv7", state_layers="all", mixer="wkv"),
    _gguf_only(name="minimax-01", state_layers="by interval"),
    _gguf_only(name="lfm2moe", state_layers="by heads"),
    _gguf_only(name="plamo2", state_layers="by heads"),
    _gguf_only(name="kimi-linear", state_layers="by heads"),
    _gguf_only(name="nemotron_h", state_layers="by heads", feed_forward_layers=True),
    # Norms and rotation
    _gguf_only(name="bloom", rotated="none"),
    _gguf_only(name="command-r", layer_norm=True),
    _gguf_only(name="dbrx", layer_norm=True),
    _gguf_only(name="mpt", layer_norm=True, rotated="none"),
    _gguf_only(name="olmo", layer_norm=True),
    # Nothing that a header does not say
    *[
        _gguf_only(name=name)
        for name in (
            "apertus arctic baichuan bailingmoe bailingmoe2 bitnet chameleon chatglm "
            "codeshell deci deepseek dream exaone gptj gptneox "
            "grok grovemoe hunyuan-moe internlm2 jais llada llada-moe maincoder "
            "minicpm minicpm3 mistral3 mistral4 olmoe openelm orion phi2 "
            "phimoe plamo plm qwen qwen2vl qwen3vl qwen3vlmoe refact starcoder "
            "starcoder2 xverse"
        ).split()
    ],
)
