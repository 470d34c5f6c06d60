"""Random models that llama.cpp takes, as config.json would have them, and random set-ups."""

import random

from quantcore.memory.llama_cpp import LlamaCppSetup

KINDS = tuple(
    "llama mixtral qwen2 qwen2_moe qwen3 qwen3_moe gemma gemma2 gemma3_text phi3 deepseek_v2 "
    "deepseek_v3 gpt_oss granite granitemoe olmo2 glm4_moe gpt2 falcon stablelm llama4_text".split()
)
# Their heads together are as wide as the hidden state.
_NARROW = ("gpt2", "falcon", "phi3", "stablelm", "qwen2", "qwen2_moe", "olmo2")
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
        "falcon": {"multi_query": one_of(True, False)},
        "gpt2": {"n_positions": 131_072},
    }.get(kind, {})


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
