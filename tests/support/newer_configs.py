"""Configurations of models of 2025 and 2026, of a published size and random small ones.

Sizes as their config.json on the Hub has them; what decides about no size is left out.
"""

_QWEN35 = {
    "full_attention_interval": 4, "head_dim": 256, "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_value_head_dim": 128,
    "max_position_embeddings": 262_144, "vocab_size": 248_320, "tie_word_embeddings": False,
}  # fmt: skip
_MAMBA = {"mamba_d_conv": 4, "mamba_d_head": 64, "mamba_expand": 2, "mamba_n_groups": 1}


def _every(n, n_layers, often, seldom):
    """Name each n-th layer otherwise."""
    return [seldom if (i + 1) % n == 0 else often for i in range(n_layers)]


FAMILIES = {
    "qwen3_5_text": _QWEN35 | {  # Qwen3.6-27B
        "hidden_size": 5120, "intermediate_size": 17_408, "num_hidden_layers": 64,
        "num_attention_heads": 24, "num_key_value_heads": 4, "linear_num_value_heads": 48,
        "layer_types": _every(4, 64, "linear_attention", "full_attention")},
    "qwen3_5_moe_text": _QWEN35 | {  # Qwen3.6-35B-A3B
        "hidden_size": 2048, "num_hidden_layers": 40, "num_attention_heads": 16,
        "num_key_value_heads": 2, "linear_num_value_heads": 32, "num_experts": 256,
        "num_experts_per_tok": 8, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
        "layer_types": _every(4, 40, "linear_attention", "full_attention")},
    "gemma4_text": {  # Gemma-4-31B
        "hidden_size": 5376, "intermediate_size": 21_504, "num_hidden_layers": 60,
        "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 256,
        "global_head_dim": 512, "num_global_key_value_heads": 4, "attention_k_eq_v": True,
        "layer_types": _every(6, 60, "sliding_attention", "full_attention"),
        "sliding_window": 1024, "max_position_embeddings": 262_144, "vocab_size": 262_144,
        "num_kv_shared_layers": 0, "hidden_size_per_layer_input": 0, "enable_moe_block": False,
        "tie_word_embeddings": True},
    "glm_moe_dsa": {  # GLM-5
        "first_k_dense_replace": 3, "hidden_size": 6144, "head_dim": 64, "index_head_dim": 128,
        "index_n_heads": 32, "index_topk": 2048, "intermediate_size": 12_288,
        "kv_lora_rank": 512, "max_position_embeddings": 202_752, "moe_intermediate_size": 2048,
        "n_group": 1, "n_routed_experts": 256, "n_shared_experts": 1, "num_attention_heads": 64,
        "num_experts_per_tok": 8, "num_hidden_layers": 78, "num_key_value_heads": 64,
        "q_lora_rank": 2048, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
        "vocab_size": 154_880, "tie_word_embeddings": False},
    "glm4_moe_lite": {  # GLM-4.7-Flash
        "first_k_dense_replace": 1, "hidden_size": 2048, "intermediate_size": 10_240,
        "kv_lora_rank": 512, "max_position_embeddings": 202_752, "moe_intermediate_size": 1536,
        "n_routed_experts": 64, "n_shared_experts": 1, "num_attention_heads": 20,
        "num_experts_per_tok": 4, "num_hidden_layers": 47, "num_key_value_heads": 20,
        "q_lora_rank": 768, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
        "vocab_size": 154_880, "tie_word_embeddings": False},
    "nemotron_h": {  # Nemotron-3-Nano-30B
        "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        "hidden_size": 2688, "intermediate_size": 1856, "num_hidden_layers": 52,
        "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128,
        "mamba_num_heads": 64, "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8,
        "conv_kernel": 4, "expand": 2, "n_routed_experts": 128, "n_shared_experts": 1,
        "num_experts_per_tok": 6, "moe_intermediate_size": 1856,
        "moe_shared_expert_intermediate_size": 3712, "max_position_embeddings": 262_144,
        "vocab_size": 131_072, "tie_word_embeddings": False},
    "falcon": {  # Falcon-7B; its num_kv_heads counts for nothing beside multi_query
        "hidden_size": 4544, "multi_query": True, "new_decoder_architecture": False,
        "num_attention_heads": 71, "num_hidden_layers": 32, "num_kv_heads": 71,
        "parallel_attn": True, "bias": False, "alibi": False, "vocab_size": 65_024},
    "falcon_h1": _MAMBA | {  # Falcon-H1-7B
        "hidden_size": 3072, "intermediate_size": 12_288, "num_hidden_layers": 44,
        "num_attention_heads": 12, "num_key_value_heads": 2, "head_dim": 128,
        "mamba_d_ssm": 3072, "mamba_n_heads": 24, "mamba_d_head": 128, "mamba_d_state": 256,
        "max_position_embeddings": 262_144, "vocab_size": 130_049, "tie_word_embeddings": False},
    "ernie4_5_moe": {  # ERNIE-4.5-21B-A3B
        "hidden_size": 2560, "intermediate_size": 12_288, "max_position_embeddings": 131_072,
        "num_attention_heads": 20, "num_key_value_heads": 4, "num_hidden_layers": 28,
        "moe_num_experts": 64, "moe_num_shared_experts": 2, "moe_k": 6,
        "moe_intermediate_size": 1536, "moe_layer_start_index": 1, "moe_layer_interval": 1,
        "tie_word_embeddings": True, "use_bias": False, "vocab_size": 103_424, "head_dim": 128},
    "granitemoehybrid": _MAMBA | {  # Granite-4.0-H-Tiny
        "attention_bias": False, "hidden_size": 1536, "intermediate_size": 512,
        "layer_types": ["attention" if i in (5, 15, 25, 35) else "mamba" for i in range(40)],
        "mamba_d_state": 128, "mamba_n_heads": 48, "max_position_embeddings": 131_072,
        "num_attention_heads": 12, "num_experts_per_tok": 6, "num_hidden_layers": 40,
        "num_key_value_heads": 4, "num_local_experts": 64, "shared_intermediate_size": 1024,
        "tie_word_embeddings": True, "vocab_size": 100_352},
    "olmo3": {  # Olmo-3-7B, and so on with those that only random ones are made of
        "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 100_278,
        "tie_word_embeddings": False, "max_position_embeddings": 65_536,
        "layer_types": _every(4, 32, "sliding_attention", "full_attention"),
        "sliding_window": 4096},
    "smollm3": {  # SmolLM3-3B
        "hidden_size": 2048, "intermediate_size": 11_008, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 128_256,
        "tie_word_embeddings": True, "max_position_embeddings": 65_536},
    "seed_oss": {  # Seed-OSS-36B
        "hidden_size": 5120, "intermediate_size": 27_648, "num_hidden_layers": 64,
        "num_attention_heads": 80, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 155_136, "tie_word_embeddings": False, "attention_bias": True,
        "attention_out_bias": False, "max_position_embeddings": 524_288},
    "exaone4": {  # EXAONE-4.0-32B
        "hidden_size": 5120, "intermediate_size": 27_392, "num_hidden_layers": 64,
        "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 102_400, "tie_word_embeddings": False, "sliding_window": 4096,
        "max_position_embeddings": 131_072,
        "layer_types": _every(4, 64, "sliding_attention", "full_attention")},
    "cohere2": {  # Command R7B
        "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 256_000, "tie_word_embeddings": True, "sliding_window": 4096,
        "max_position_embeddings": 132_096,
        "layer_types": _every(4, 32, "sliding_attention", "full_attention")},
    "glm4": {  # GLM-4-9B
        "hidden_size": 4096, "intermediate_size": 13_696, "num_hidden_layers": 40,
        "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128,
        "vocab_size": 151_552, "tie_word_embeddings": False, "attention_bias": True,
        "max_position_embeddings": 32_768},
    "hunyuan_v1_dense": {  # Hunyuan-7B
        "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 128_167, "tie_word_embeddings": True, "max_position_embeddings": 32_768},
    "arcee": {  # AFM-4.5B
        "hidden_size": 2560, "intermediate_size": 18_432, "num_hidden_layers": 36,
        "num_attention_heads": 20, "num_key_value_heads": 4, "head_dim": 128,
        "vocab_size": 128_004, "tie_word_embeddings": False, "max_position_embeddings": 65_536},
    "minimax_m2": {  # MiniMax-M2
        "hidden_size": 3072, "intermediate_size": 1536, "num_hidden_layers": 62,
        "num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 200_064, "tie_word_embeddings": False, "num_local_experts": 256,
        "num_experts_per_tok": 8, "max_position_embeddings": 196_608},
    "dots1": {  # dots.llm1
        "hidden_size": 4096, "intermediate_size": 10_944, "num_hidden_layers": 62,
        "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128,
        "vocab_size": 152_064, "tie_word_embeddings": False, "n_routed_experts": 128,
        "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1,
        "moe_intermediate_size": 1408, "max_position_embeddings": 32_768},
    "nemotron": {  # Minitron-4B
        "hidden_size": 3072, "intermediate_size": 9216, "num_hidden_layers": 32,
        "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 256_000, "tie_word_embeddings": False, "max_position_embeddings": 4096},
}  # fmt: skip
FAMILIES = {kind: {"model_type": kind} | config for kind, config in FAMILIES.items()}


def random_config(kind, draw):
    """Make a small configuration of a family: other sizes, other counts, other switches."""
    n_layers = 4 * draw.randint(1, 3)
    kv_heads = draw.choice((1, 2, 4))
    heads = kv_heads * draw.choice((1, 2, 3))
    head = draw.choice((32, 64, 96))
    own = FAMILIES[kind]
    config = own | {
        "num_hidden_layers": n_layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "head_dim": head, "hidden_size": 192,
        "vocab_size": draw.randint(300, 900), "tie_word_embeddings": draw.random() < 0.5,
    }  # fmt: skip
    for key in ("intermediate_size", "moe_intermediate_size"):
        if key in own:
            config[key] = 32 * draw.randint(2, 9)
    for key in ("num_experts", "n_routed_experts", "moe_num_experts", "num_local_experts"):
        if key in own:
            config[key] = draw.choice((8, 16))
    for key in ("num_experts_per_tok", "moe_k"):
        if key in own:
            config[key] = 2
    for key in ("n_shared_experts", "moe_num_shared_experts"):
        if key in own:
            config[key] = draw.choice((1, 2))
    for key in ("first_k_dense_replace", "moe_layer_start_index"):
        if key in own:
            config[key] = draw.randint(0, 2)
    if kind == "glm4_moe_lite":
        config["first_k_dense_replace"] = 1  # transformers' class does not look at it
    if kind == "nemotron_h":
        config["tie_word_embeddings"] = False  # nor at that
    if "layer_types" in own:
        kinds = sorted(set(own["layer_types"]))
        config["layer_types"] = [draw.choice(kinds) for _ in range(n_layers - 1)] + [kinds[0]]
    own_sizes = _OWN.get(kind)
    config |= own_sizes(draw, config) if own_sizes else {}
    return {key: value for key, value in config.items() if value is not None}


def _delta(draw, config):
    keys = draw.choice((1, 2))
    return {
        "linear_num_key_heads": keys, "linear_num_value_heads": keys * draw.choice((1, 2)),
        "linear_key_head_dim": 32, "linear_value_head_dim": draw.choice((32, 64)),
        "linear_conv_kernel_dim": draw.choice((2, 4)),
    }  # fmt: skip


def _latent(draw, config):
    return {
        "num_key_value_heads": config["num_attention_heads"], "kv_lora_rank": 48,
        "q_lora_rank": draw.choice((64, 80)), "qk_nope_head_dim": 32, "qk_rope_head_dim": 16,
        "v_head_dim": draw.choice((24, 32)), "head_dim": 16,
    } | ({"index_head_dim": 32, "index_n_heads": draw.choice((2, 4))} if "index_topk" in config
         else {})  # fmt: skip


def _nemotron(draw, config):
    n = config["num_hidden_layers"]
    return {
        "hybrid_override_pattern": "".join(draw.choice("ME*-") for _ in range(n - 2)) + "M*",
        "mamba_num_heads": 4, "mamba_head_dim": 32, "ssm_state_size": 32, "n_groups": 2,
        "n_shared_experts": 1, "moe_shared_expert_intermediate_size": 2 * config[
            "moe_intermediate_size"],
    }  # fmt: skip


def _falcon(draw, config):
    newer = draw.random() < 0.5
    return {
        "new_decoder_architecture": newer, "multi_query": newer or draw.random() < 0.5,
        "num_attention_heads": 6, "hidden_size": 192, "num_kv_heads": 2 if newer else 6,
        "parallel_attn": newer or draw.random() < 0.5,
        "head_dim": None, "num_key_value_heads": None, "tie_word_embeddings": True,
    }  # fmt: skip


def _mamba(draw, config):
    state = {"mamba_d_state": draw.choice((16, 32)), "mamba_d_head": 32}
    if config["model_type"] == "falcon_h1":
        return state | {"mamba_d_ssm": 256, "mamba_n_heads": 8}
    return state | {
        "mamba_n_heads": 12, "shared_intermediate_size": 2 * config["intermediate_size"],
        "head_dim": None, "num_attention_heads": 4, "num_key_value_heads": 2,
    }  # fmt: skip


def _gemma4(draw, config):
    return {
        "global_head_dim": draw.choice((64, 128)), "num_global_key_value_heads": 1,
        "attention_k_eq_v": draw.random() < 0.5, "tie_word_embeddings": True,
        "layer_types": [*config["layer_types"][:-1], "full_attention"],
    }  # fmt: skip


_OWN = {
    "qwen3_5_text": _delta,
    "qwen3_5_moe_text": lambda draw, config: (
        _delta(draw, config) | {"shared_expert_intermediate_size": config["moe_intermediate_size"]}
    ),
    "gemma4_text": _gemma4,
    "glm_moe_dsa": _latent,
    "glm4_moe_lite": _latent,
    "nemotron_h": _nemotron,
    "falcon": _falcon,
    "falcon_h1": _mamba,
    "ernie4_5_moe": lambda draw, config: {"moe_layer_interval": draw.choice((1, 2))},
    "granitemoehybrid": _mamba,
}
