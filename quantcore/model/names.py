"""Tensor names: the lab speaks GGUF's (`blk.0.attn_q.weight`), model folders Hugging Face's."""

import re

from quantcore.io import ModelError
from quantcore.model.config import LlamaConfig

# Roles inside a layer, in the order of the computation, with Hugging Face's name of the module.
LAYER_ROLES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER_ROLES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_LAYER_BY_MODULE = {module: role for role, module in LAYER_ROLES.items()}
_OUTER_BY_MODULE = {module: role for role, module in OUTER_ROLES.items()}


def to_gguf(name: str) -> str | None:
    """GGUF's name of a Hugging Face tensor, None for one that Llama models don't have.

    >>> to_gguf("model.layers.3.self_attn.q_proj.weight")
    'blk.3.attn_q.weight'
    """
    module, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        return None
    if module in _OUTER_BY_MODULE:
        return f"{_OUTER_BY_MODULE[module]}.{kind}"
    match = re.fullmatch(r"model\.layers\.(0|[1-9][0-9]{0,5})\.(.+)", module)
    if not match or match[2] not in _LAYER_BY_MODULE:
        return None
    return f"blk.{match[1]}.{_LAYER_BY_MODULE[match[2]]}.{kind}"


def to_hugging_face(name: str) -> str:
    """Undo `to_gguf`.

    >>> to_hugging_face("token_embd.weight")
    'model.embed_tokens.weight'
    """
    layer, role = layer_and_role(name)
    kind = name.rpartition(".")[2]
    if layer is None:
        return f"{OUTER_ROLES[role]}.{kind}"
    return f"model.layers.{layer}.{LAYER_ROLES[role]}.{kind}"


def layer_and_role(name: str) -> tuple[int | None, str]:
    """Take a GGUF name apart; the layer is None for embedding, output and the last norm.

    >>> layer_and_role("blk.12.ffn_down.weight")
    (12, 'ffn_down')
    """
    if match := re.fullmatch(r"blk\.(\d+)\.(\w+)\.(?:weight|bias)", name):
        layer, role = int(match[1]), match[2]
        if role in LAYER_ROLES:
            return layer, role
    elif (role := name.rpartition(".")[0]) in OUTER_ROLES:
        return None, role
    raise ModelError(f"There is no tensor {name[:80]!r} in a model of the Llama family.")


def expected_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor that a model of this config has, in order, with its shape."""
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (config.vocabulary_size, config.hidden_size)
    }
    for layer in range(config.n_layers):
        for name, shape in _layer_shapes(config).items():
            shapes[f"blk.{layer}.{name}"] = shape
    shapes["output_norm.weight"] = (config.hidden_size,)
    if not config.tied_embedding:
        shapes["output.weight"] = (config.vocabulary_size, config.hidden_size)
    return shapes


def _layer_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    hidden, inner = config.hidden_size, config.feed_forward_size
    queries, keys = config.n_heads * config.head_size, config.n_kv_heads * config.head_size
    shapes: dict[str, tuple[int, ...]] = {"attn_norm.weight": (hidden,)}
    for role, n_rows in (("attn_q", queries), ("attn_k", keys), ("attn_v", keys)):
        shapes[f"{role}.weight"] = (n_rows, hidden)
        if config.attention_bias:
            shapes[f"{role}.bias"] = (n_rows,)
    if config.qk_norm:
        shapes["attn_q_norm.weight"] = shapes["attn_k_norm.weight"] = (config.head_size,)
    shapes["attn_output.weight"] = (hidden, queries)
    if config.output_bias:
        shapes["attn_output.bias"] = (hidden,)
    shapes["ffn_norm.weight"] = (hidden,)
    for role, shape in (
        ("ffn_gate", (inner, hidden)),
        ("ffn_up", (inner, hidden)),
        ("ffn_down", (hidden, inner)),
    ):
        shapes[f"{role}.weight"] = shape
        if config.mlp_bias:
            shapes[f"{role}.bias"] = shape[:1]
    return shapes
