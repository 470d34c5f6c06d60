"""Random models that llama.cpp takes, as config.json would have them, and random set-ups."""

import random

from quantcore.memory.llama_cpp import LlamaCppSetup

KINDS = tuple(
    "llama mixtral qwen2 qwen2_moe qwen3 qwen3_moe gemma gemma2 gemma3_text phi3 deepseek_v2 "
    "deepseek_v3 gpt_oss granite granitemoe olmo2 glm4_moe gpt2 falcon stablelm llama4_text "
    "mamba mamba2 jamba lfm2 granitemoehybrid qwen3_next".split()
)
# Their heads together are as wide as the hidden state.
_NARROW = ("gpt2", "falcon", "phi3", "stablelm", "qwen2", "qwen2_moe", "olmo2", "jamba", "lfm2")
_UNTIED = ("qwen2_moe", "gpt_oss", "olmo2", "stablelm", "glm4_moe", "phi3", "llama4_text")
_TIED = ("gemma", "gemma2", "gemma3_text", "falcon", "gpt2")


def random_config(kind: str, chance: random.Random) -> dict:
    """Make up a model of that kind."""

    def one_of(*values):
        return chance.choice(values)

    head = 64 if kind == "gpt_oss" else one_of(64, 64, 80, 96, 128, 128, 256)
    heads = one_of(4, 6, 8, 12, 16, 24, 32, 40)
    shared = [n for n in (1, 2, 3, 4, 8, heads) if heads % n == 0]
    hidden = head * heads if kind in _NARROW else one_of(512, 768, 1024, 2048, 3072, 4096, 5120)
    config = {
        "model_type": kind,
        "num_hidden_layers": one_of(2, 3, 5, 8, 12, 17, 24, 30, 48),
        "hidden_size": hidden,
        "intermediate_size": one_of(1, 2, 3, 4) * one_of(hidden, hidden + 256, 1408, 5632),
        "num_attention_heads": heads,
        "num_key_value_heads": heads if kind == "gpt2" else one_of(*shared),
        "head_dim": head,
        "vocab_size": one_of(1_000, 10_000, 32_000, 50_304, 100_352, 128_256, 151_936, 262_144),
        "max_position_embeddings": 131_072,
        "tie_word_embeddings": kind in _TIED or (kind not in _UNTIED and one_of(True, False)),
    }
    if kind in ("gemma2", "gemma3_text", "gpt_oss"):
        config["sliding_window"] = one_of(128, 512, 1024, 4096)
    return config | _particulars(kind, config, one_of)


def _particulars(kind: str, config: dict, one_of) -> dict:
    """Make up what only some kinds have, mostly experts."""
    n_experts, used = one_of(8, 16, 32, 64, 128), one_of(1, 2, 3, 4, 6, 8)
    width = one_of(384, 512, 768, 1408, 2048, 3584)
    local = {"num_local_experts": n_experts, "num_experts_per_tok": used}
    routed = {"n_routed_experts": n_experts, "num_experts_per_tok": used, "n_shared_experts": 1}
    routed |= {"moe_intermediate_size": width, "first_k_dense_replace": 1}
    experts = {"num_experts": n_experts, "num_experts_per_tok": used}
    experts["moe_intermediate_size"] = width
    latent = {
        "kv_lora_rank": one_of(256, 512),
        "qk_rope_head_dim": one_of(32, 64),
        "qk_nope_head_dim": one_of(64, 128),
        "v_head_dim": one_of(64, 128),
        "num_key_value_heads": config["num_attention_heads"],
    }
    return {
        "mixtral": local,
        "granitemoe": local,
        "gpt_oss": local | {"attention_bias": True},
        "qwen3_moe": experts,
        "qwen2_moe": experts | {"shared_expert_intermediate_size": 4 * width},
        "glm4_moe": routed | {"attention_bias": True},
        # llama.cpp knows by the number of layers that V2-Lite has no latent queries.
        "deepseek_v2": routed | latent | {"num_hidden_layers": 27},
        "deepseek_v3": routed
        | latent
        | {"q_lora_rank": one_of(768, 1536), "num_hidden_layers": one_of(2, 5, 12, 30)},
        "llama4_text": {
            "num_local_experts": 16,
            "num_experts_per_tok": 1,
            "intermediate_size_mlp": 2 * config["intermediate_size"],
            "interleave_moe_layer_step": one_of(1, 2),
            "attention_chunk_size": 8192,
        },
        **_recurrent(config, experts, one_of),
        "falcon": {"multi_query": one_of(True, False)},
        "gpt2": {"n_positions": 131_072},
    }.get(kind, {})


def _recurrent(config: dict, experts: dict, one_of) -> dict[str, dict]:
    """Make up what the kinds with states have."""
    hidden, layers = config["hidden_size"], range(config["num_hidden_layers"])
    state, heads = one_of(16, 64, 128), {"mamba_n_heads": hidden // 32, "mamba_d_head": 64}
    mamba = {"state_size": state, "conv_kernel": 4, "expand": 2, "intermediate_size": 2 * hidden}
    return {
        "mamba": mamba,
        "mamba2": mamba | {"n_groups": one_of(1, 8)} | {"head_dim": 64, "num_heads": hidden // 32},
        "jamba": {"num_experts": 8, "num_experts_per_tok": 2, "mamba_dt_rank": 160}
        | {"expert_layer_period": 2, "expert_layer_offset": 1}
        | {"attn_layer_period": 4, "attn_layer_offset": 2},
        "lfm2": {"full_attn_idxs": [i for i in layers if i % 3 == 2], "conv_L_cache": 3}
        | {"block_auto_adjust_ff_dim": False},
        "granitemoehybrid": heads
        | {"layer_types": ["mamba" if i % 5 < 4 else "attention" for i in layers]}
        | {"mamba_d_state": state, "mamba_expand": 2, "mamba_n_groups": 1, "mamba_d_conv": 4}
        | {"num_local_experts": 0, "shared_intermediate_size": 0},
        "qwen3_next": experts
        | {"shared_expert_intermediate_size": experts["moe_intermediate_size"]}
        | {"linear_num_key_heads": 16, "linear_num_value_heads": one_of(16, 32)}
        | {"linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4},
    }


def random_setup(chance: random.Random) -> LlamaCppSetup:
    """Make up what a user may choose, some of it refused."""

    def one_of(*values):
        return chance.choice(values)

    keys = one_of("F16", "F16", "F16", "Q8_0", "Q4_0", "BF16", "F32", "Q5_1", "IQ4_NL")
    values = one_of(keys, keys, "F16", "Q8_0", "Q4_0", "BF16", "F32")
    return LlamaCppSetup(
        context=one_of(512, 1000, 2048, 4096, 5000, 8192, 16384, 32768, 65536, 131072),
        sequences=one_of(1, 1, 1, 2, 3, 4, 8),
        key_type=keys,
        value_type=values,
        batch=one_of(2048, 2048, 512, 4096),
        ubatch=one_of(64, 128, 256, 512, 512, 1024, 2048),
        flash_attention=one_of(True, True, False),
    )
