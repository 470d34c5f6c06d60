"""The tensors that a model has by its sizes, named as in its GGUF file."""

from typing import Any

from quantcore.architectures import Architecture
from quantcore.io.config_json import ConfigJson
from quantcore.shape.hybrid import Shapes, mixer_tensors
from quantcore.shape.model_shape import Experts, LatentAttention


def expected_tensors(
    config: ConfigJson, architecture: Architecture, sizes: dict[str, Any], mixed: list[str]
) -> Shapes:
    """List every tensor with its shape, in the order of the computation."""
    vocabulary = (sizes["vocabulary_size"], sizes["hidden_size"])
    shapes: Shapes = {"token_embd.weight": vocabulary}
    if architecture.positions:
        shapes["position_embd.weight"] = (sizes["context_length"], sizes["hidden_size"])
    parts: dict[tuple[str, bool, tuple[tuple[str, int], ...]], Shapes] = {}  # equal ones, once
    for layer, mixer in enumerate(mixed):
        of_layer = sizes | sizes["by_layer"][layer]
        experts = _has_experts(layer, config, sizes["experts"])
        kind = (mixer, experts, tuple(sizes["by_layer"][layer].items()))
        if kind not in parts:
            parts[kind] = _layer(mixer, experts, config, architecture, of_layer)
        shapes |= {f"blk.{layer}.{role}": shape for role, shape in parts[kind].items()}
    shapes |= _norms(("output_norm",), architecture, sizes["hidden_size"])
    shapes |= _rotary(config, architecture, sizes)
    if not sizes["tied_embedding"]:
        shapes["output.weight"] = vocabulary
    return shapes


def _layer(
    mixer: str, experts: bool, config: ConfigJson, architecture: Architecture, sizes: dict[str, Any]
) -> Shapes:
    hidden = sizes["hidden_size"]
    shapes = _norms(_norm_names(config, architecture), architecture, hidden)
    if architecture.feed_forward_layers:  # a layer is one of its parts
        if mixer == "experts":
            return shapes | _experts(sizes["experts"], architecture, hidden)
        if mixer == "feed forward":
            return shapes | _feed_forward(config, architecture, hidden, sizes["feed_forward_size"])
        if mixer == "attention":
            return shapes | _attention(config, architecture, sizes)
        return shapes | mixer_tensors(mixer, config, architecture, hidden)
    if architecture.state_layers == "beside attention":
        assert architecture.mixer is not None
        shapes |= mixer_tensors(architecture.mixer, config, architecture, hidden)
    if mixer != "attention":
        shapes |= mixer_tensors(mixer, config, architecture, hidden)
    elif sizes["latent"]:
        shapes |= _latent_attention(sizes["latent"], hidden, sizes["n_heads"])
    else:
        shapes |= _attention(config, architecture, sizes)
    if experts:
        shapes |= _experts(sizes["experts"], architecture, hidden)
    elif not architecture.only_states:
        shapes |= _feed_forward(config, architecture, hidden, sizes["feed_forward_size"])
    return shapes


def _norm_names(config: ConfigJson, architecture: Architecture) -> tuple[str, ...]:
    """Names of a layer's norms; Falcon's layers have a second one by their kind."""
    newer = config.flag("new_decoder_architecture")
    two = config.size("num_ln_in_parallel_attn", 2) == 2 if newer else False
    if architecture.multi_query and (two or not config.flag("parallel_attn", True)):
        return (*architecture.norms, "attn_norm_2")
    return architecture.norms


def _norms(names: tuple[str, ...], architecture: Architecture, width: int) -> Shapes:
    kinds = ("weight", "bias") if architecture.norm_bias else ("weight",)
    return {f"{name}.{kind}": (width,) for name in names for kind in kinds}


def _rotary(config: ConfigJson, architecture: Architecture, sizes: dict[str, Any]) -> Shapes:
    """Factors of frequencies that the converter writes for Llama 3 and for Phi's long contexts."""
    rope = config.rope()
    kind = rope.get("rope_type", rope.get("type"))
    if kind == "llama3":
        names: tuple[str, ...] = ("rope_freqs.weight",)
    elif kind in ("longrope", "su", "yarn") and architecture.rope_factors:
        names = ("rope_factors_long.weight", "rope_factors_short.weight")
    else:
        return {}
    n_rotated = int(sizes["head_size"] * rope.real("partial_rotary_factor", 1.0, largest=1.0))
    return dict.fromkeys(names, (n_rotated // 2,))


def _attention(config: ConfigJson, architecture: Architecture, sizes: dict[str, Any]) -> Shapes:
    hidden, head = sizes["hidden_size"], sizes["head_size"]
    query, row = sizes["n_heads"] * head, sizes["n_kv_heads"] * head
    rows = {"attn_q": query, "attn_k": row, "attn_v": row}
    if sizes.get("values_are_keys"):
        del rows["attn_v"]
    if architecture.gated_queries:
        rows["attn_q"] *= 2
    if architecture.fused_qkv:
        rows = {"attn_qkv": query + 2 * row}
    bias = architecture.qkv_bias
    if bias is None:
        bias = config.flag("attention_bias")
    bias = bias or config.flag("use_qkv_bias")
    after = bias if architecture.output_bias is None else architecture.output_bias
    shapes: Shapes = {}
    for role, n_rows in rows.items():
        shapes |= _matrix(role, n_rows, hidden, bias)
    shapes |= _matrix("attn_output", hidden, query, after)
    normed = architecture.head_norm
    if not normed and architecture.score_bias and config.flag("use_qk_norm"):
        normed = "head"
    if normed:
        wide = (head, head) if normed == "head" else (query, row)
        shapes |= {"attn_q_norm.weight": wide[:1], "attn_k_norm.weight": wide[1:]}
    if architecture.sinks:
        shapes["attn_sinks.weight"] = (sizes["n_heads"],)
    return shapes


def _latent_attention(a: LatentAttention, hidden: int, n_heads: int) -> Shapes:
    query = n_heads * (a.key_size + a.rope_size)
    shapes: Shapes = {}
    if a.query_size:
        shapes["attn_q_a.weight"] = (a.query_size, hidden)
        shapes["attn_q_a_norm.weight"] = (a.query_size,)
        shapes["attn_q_b.weight"] = (query, a.query_size)
    else:
        shapes["attn_q.weight"] = (query, hidden)
    if a.index_size:
        assert a.query_size is not None
        shapes |= {
            "indexer.attn_q_b.weight": (a.index_heads * a.index_size, a.query_size),
            "indexer.attn_k.weight": (a.index_size, hidden),
            "indexer.k_norm.weight": (a.index_size,),
            "indexer.k_norm.bias": (a.index_size,),
            "indexer.proj.weight": (a.index_heads, hidden),
        }
    return shapes | {
        "attn_kv_a_mqa.weight": (a.kv_size + a.rope_size, hidden),
        "attn_kv_a_norm.weight": (a.kv_size,),
        # The converter splits kv_b in two, the keys' part turned round.
        "attn_k_b.weight": (n_heads, a.kv_size, a.key_size),
        "attn_v_b.weight": (n_heads, a.value_size, a.kv_size),
        "attn_output.weight": (hidden, n_heads * a.value_size),
    }


def _feed_forward(
    config: ConfigJson, architecture: Architecture, hidden: int, width: int
) -> Shapes:
    bias = config.flag("mlp_bias") if architecture.mlp_bias is None else architecture.mlp_bias
    return _projections("", hidden, width, architecture, bias)


def _projections(
    suffix: str, hidden: int, width: int, architecture: Architecture, bias: bool
) -> Shapes:
    up = 2 * width if architecture.gate == "fused" else width
    shapes: Shapes = {}
    if architecture.gate == "split":
        shapes |= _matrix(f"ffn_gate{suffix}", width, hidden, bias)
    shapes |= _matrix(f"ffn_up{suffix}", up, hidden, bias)
    return shapes | _matrix(f"ffn_down{suffix}", hidden, width, bias)


def _experts(e: Experts, architecture: Architecture, hidden: int) -> Shapes:
    shapes = _matrix("ffn_gate_inp", e.count, hidden, architecture.expert_bias)
    if architecture.score_bias:
        shapes["exp_probs_b.bias"] = (e.count,)
    stacked = _projections("_exps", hidden, e.size, architecture, architecture.expert_bias)
    shapes |= {role: (e.count, *shape) for role, shape in stacked.items()}
    if e.shared:
        shapes |= _projections("_shexp", hidden, e.shared * e.size, architecture, bias=False)
        if architecture.shared_gate:
            shapes["ffn_gate_inp_shexp.weight"] = (hidden,)
    return shapes


def _has_experts(layer: int, config: ConfigJson, experts: Experts | None) -> bool:
    if experts is None:
        return False
    if words := config.by_layer(config.size("num_hidden_layers"), "mlp_layer_types"):
        return words[layer] == "sparse"
    if "moe_layers" in config:  # Llama 4
        return layer in config.layers("moe_layers")
    last = config.get("moe_layer_end_index", -1)  # ERNIE
    if layer < experts.dense_layers or (type(last) is int and 0 <= last < layer):
        return False
    if layer in config.layers("mlp_only_layers"):
        return False
    if "expert_layer_period" in config:  # Jamba
        offset = config.size("expert_layer_offset", 1, least=0)
        return layer % config.size("expert_layer_period") == offset
    step = config.size("decoder_sparse_step", config.size("interleave_moe_layer_step", 1))
    return (layer + 1) % step == 0


def _matrix(role: str, n_rows: int, n_cols: int, bias: bool) -> Shapes:
    shapes: Shapes = {f"{role}.weight": (n_rows, n_cols)}
    if bias:
        shapes[f"{role}.bias"] = (n_rows,)
    return shapes
