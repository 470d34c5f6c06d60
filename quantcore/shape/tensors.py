"""The tensors that a model has by its sizes, named as in its GGUF file."""

from typing import Any

from quantcore.io.json_fields import flag, size
from quantcore.shape.families import Family
from quantcore.shape.hybrid import Shapes, mixer_tensors
from quantcore.shape.model_shape import Experts, LatentAttention


def expected_tensors(
    config: dict[str, Any], family: Family, sizes: dict[str, Any], mixed: list[str]
) -> Shapes:
    """List every tensor with its shape, in the order of the computation."""
    vocabulary = (sizes["vocabulary_size"], sizes["hidden_size"])
    found: Shapes = {"token_embd.weight": vocabulary}
    if family.positions:
        found["position_embd.weight"] = (sizes["context_length"], sizes["hidden_size"])
    parts: dict[tuple[str, bool], Shapes] = {}  # equal layers are made once
    for layer, mixer in enumerate(mixed):
        kind = (mixer, _has_experts(layer, config, sizes["experts"]))
        if kind not in parts:
            parts[kind] = _layer(*kind, config, family, sizes)
        found |= {f"blk.{layer}.{role}": shape for role, shape in parts[kind].items()}
    found |= _norms(("output_norm",), family, sizes["hidden_size"])
    found |= _rotary(config, sizes)
    if not sizes["tied_embedding"]:
        found["output.weight"] = vocabulary
    return found


def _layer(
    mixer: str, experts: bool, config: dict[str, Any], family: Family, sizes: dict[str, Any]
) -> Shapes:
    hidden = sizes["hidden_size"]
    found = _norms(family.norms, family, hidden)
    if mixer != "attention":
        found |= mixer_tensors(mixer, config, hidden)
    elif sizes["latent"]:
        found |= _latent_attention(sizes["latent"], hidden, sizes["n_heads"])
    else:
        found |= _attention(config, family, sizes)
    if experts:
        found |= _experts(sizes["experts"], family, hidden)
    elif family.architecture not in ("mamba", "mamba2"):
        found |= _feed_forward(config, family, hidden, sizes["feed_forward_size"])
    return found


def _norms(names: tuple[str, ...], family: Family, width: int) -> Shapes:
    kinds = ("weight", "bias") if family.norm_bias else ("weight",)
    return {f"{name}.{kind}": (width,) for name in names for kind in kinds}


def _rotary(config: dict[str, Any], sizes: dict[str, Any]) -> Shapes:
    """Frequencies that the converter writes for Llama 3 and for Phi's long contexts."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type")) if isinstance(scaling, dict) else None
    half = (int(sizes["head_size"] * config.get("partial_rotary_factor", 1.0)) // 2,)
    if kind == "llama3":
        return {"rope_freqs.weight": half}
    if kind in ("longrope", "su", "yarn") and config["model_type"] == "phi3":
        return {"rope_factors_long.weight": half, "rope_factors_short.weight": half}
    return {}


def _attention(config: dict[str, Any], family: Family, sizes: dict[str, Any]) -> Shapes:
    hidden, head = sizes["hidden_size"], sizes["head_size"]
    query, row = sizes["n_heads"] * head, sizes["n_kv_heads"] * head
    gated = 2 if family.architecture == "qwen3next" else 1  # a gate beside each query
    rows = {"attn_q": gated * query, "attn_k": row, "attn_v": row}
    if family.fused_qkv:
        rows = {"attn_qkv": query + 2 * row}
    bias = flag(config, "attention_bias") if family.qkv_bias is None else family.qkv_bias
    bias = bias or flag(config, "use_qkv_bias")
    after = bias if family.output_bias is None else family.output_bias
    found: Shapes = {}
    for role, n_rows in rows.items():
        found |= _matrix(role, n_rows, hidden, bias)
    found |= _matrix("attn_output", hidden, query, after)
    normed = family.head_norm or ("head" if family.score_bias and _has_norm(config) else "")
    if normed:
        wide = (head, head) if normed == "head" else (query, row)
        found |= {"attn_q_norm.weight": wide[:1], "attn_k_norm.weight": wide[1:]}
    if family.sinks:
        found["attn_sinks.weight"] = (sizes["n_heads"],)
    return found


def _has_norm(config: dict[str, Any]) -> bool:
    return flag(config, "use_qk_norm")


def _latent_attention(a: LatentAttention, hidden: int, n_heads: int) -> Shapes:
    query = n_heads * (a.key_size + a.rope_size)
    found: Shapes = {}
    if a.query_size:
        found["attn_q_a.weight"] = (a.query_size, hidden)
        found["attn_q_a_norm.weight"] = (a.query_size,)
        found["attn_q_b.weight"] = (query, a.query_size)
    else:
        found["attn_q.weight"] = (query, hidden)
    return found | {
        "attn_kv_a_mqa.weight": (a.kv_size + a.rope_size, hidden),
        "attn_kv_a_norm.weight": (a.kv_size,),
        # The converter splits kv_b in two, the keys' part turned round.
        "attn_k_b.weight": (n_heads, a.kv_size, a.key_size),
        "attn_v_b.weight": (n_heads, a.value_size, a.kv_size),
        "attn_output.weight": (hidden, n_heads * a.value_size),
    }


def _feed_forward(config: dict[str, Any], family: Family, hidden: int, width: int) -> Shapes:
    bias = flag(config, "mlp_bias") if family.mlp_bias is None else family.mlp_bias
    return _projections("", hidden, width, family, bias)


def _projections(suffix: str, hidden: int, width: int, family: Family, bias: bool) -> Shapes:
    up = 2 * width if family.gate == "fused" else width
    found = _matrix(f"ffn_gate{suffix}", width, hidden, bias) if family.gate == "split" else {}
    found |= _matrix(f"ffn_up{suffix}", up, hidden, bias)
    return found | _matrix(f"ffn_down{suffix}", hidden, width, bias)


def _experts(e: Experts, family: Family, hidden: int) -> Shapes:
    found = _matrix("ffn_gate_inp", e.count, hidden, family.expert_bias)
    if family.score_bias:
        found["exp_probs_b.bias"] = (e.count,)
    stacked = _projections("_exps", hidden, e.size, family, family.expert_bias)
    found |= {role: (e.count, *shape) for role, shape in stacked.items()}
    if e.shared:
        found |= _projections("_shexp", hidden, e.shared * e.size, family, bias=False)
        if family.shared_gate:
            found["ffn_gate_inp_shexp.weight"] = (hidden,)
    return found


def _has_experts(layer: int, config: dict[str, Any], experts: Experts | None) -> bool:
    if experts is None or layer < experts.dense_layers:
        return False
    if layer in config.get("mlp_only_layers", ()):
        return False
    if "expert_layer_period" in config:  # Jamba
        return layer % size(config, "expert_layer_period") == config.get("expert_layer_offset", 1)
    step = size(config, "decoder_sparse_step", size(config, "interleave_moe_layer_step", 1))
    return (layer + 1) % step == 0


def _matrix(role: str, n_rows: int, n_cols: int, bias: bool) -> Shapes:
    found: Shapes = {f"{role}.weight": (n_rows, n_cols)}
    if bias:
        found[f"{role}.bias"] = (n_rows,)
    return found
