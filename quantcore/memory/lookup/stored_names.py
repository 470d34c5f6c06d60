"""Tensors of a model folder or a repository: what each is, whatever the architecture.

Modules are told by the last parts of their names, which most architectures share. Stored numbers
and weights differ where a folder is quantized: GPTQ and AWQ pack eight 4-bit codes into an int32,
bitsandbytes and MXFP4 two into a byte, and all keep scales beside them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quantcore.io.safetensors import SafetensorsTensor

TensorKind = Literal["language", "vision", "prediction", "duplicate", "constant", "scale"]

_ROLES = {
    "attn_q": "q_proj wq query q_lin",
    "attn_k": "k_proj wk key",
    "attn_v": "v_proj wv value",
    "attn_qkv": "qkv_proj query_key_value c_attn Wqkv qkv",
    "attn_output": "o_proj wo",
    "attn_q_norm": "q_norm q_layernorm",
    "attn_k_norm": "k_norm k_layernorm",
    "attn_q_a": "q_a_proj",
    "attn_q_b": "q_b_proj",
    "attn_q_a_norm": "q_a_layernorm",
    "attn_kv_a_mqa": "kv_a_proj_with_mqa",
    "attn_kv_a_norm": "kv_a_layernorm",
    "attn_kv_b": "kv_b_proj",
    "attn_norm": "input_layernorm ln_1 attention_norm operator_norm",
    "ffn_norm": "post_attention_layernorm ln_2 ffn_norm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "ffn_gate": "gate_proj w1",
    "ffn_up": "up_proj w3 c_fc fc1 dense_h_to_4h gate_up_proj",
    "ffn_down": "down_proj w2 fc2 dense_4h_to_h",
    "ffn_gate_inp": "router gate",
}
_ROLE_OF = {module: role for role, modules in _ROLES.items() for module in modules.split()}
_OUTER = {
    "token_embd": "embed_tokens wte word_embeddings tok_embeddings tokens_embed embed_in embedding "
    "embeddings",
    "position_embd": "wpe position_embeddings",
    "output_norm": "norm ln_f final_layernorm norm_f embedding_norm",
    "output": "lm_head embed_out output",
}
_OUTER_OF = {module: role for role, modules in _OUTER.items() for module in modules.split()}
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,6})\.(.+)")
_VISION = re.compile(
    r"(?:model\.)?(?:vision|visual|vit|image|audio|speech|multi_modal|mm_|multimodal|embed_vision|"
    r"embed_audio|resampler|vpm|apm|aligner|connector)"
)
_CONSTANT = re.compile(r"rotary_emb\.inv_freq$|\.attn\.(?:masked_)?bias$|\.attention\.masked_bias$")
_SCALE = re.compile(
    r"(?:\.(?:qzeros|g_idx|scales|SCB|weight_format|weight_scale(?:_inv|_2)?|input_scale(?:_ub)?|"
    r"(?:weight|input)_global_scale|activation_scale|input_zero_point|"
    r"weight_shape|weight_zero_point|weight_g_idx|[kqv]_scale|weight\.\w*(?:absmax|quant_\w+)(?:\..+)?"
    r")|_scales|_scale_inv)$"
)


@dataclass(frozen=True, slots=True)
class Packing:
    """How a folder is quantized."""

    method: str  # config.json's quant_method: gptq, awq, bitsandbytes, mxfp4, fp8, ...
    bits: int  # of a code, where codes are packed


@dataclass(frozen=True, slots=True)
class FolderTensor:
    """One tensor of a folder: what it is, and the shape that its weights have."""

    kind: TensorKind
    name: str  # GGUF's, as far as it can be told
    layer: int  # -1 outside the layers
    shape: tuple[int, ...]
    n_bytes: int

    @property
    def n_weights(self) -> int:
        """Weights, unpacked."""
        return math.prod(self.shape)


def sort_out(
    stored: Mapping[str, SafetensorsTensor],
    n_layers: int | None,
    tied: bool,
    packing: Packing | None,
) -> list[FolderTensor]:
    """Say what each tensor is.

    Parameters
    ----------
    stored
        As the headers have them.
    n_layers
        Layers of the language model; those beyond predict further tokens. None if unknown.
    tied
        Whether the output is the embedding, so that a stored one repeats it.
    packing
        How the folder is quantized, None where it is not.
    """
    tensors = []
    for name, tensor in stored.items():
        layer, gguf_name = _renamed(name)
        kind: TensorKind = "language"
        if _CONSTANT.search(name):
            kind = "constant"
        elif packing and _SCALE.search(name):
            kind = "scale"
        elif _VISION.match(name):
            kind = "vision"
        elif name.startswith(("mtp.", "model.mtp.")) or (n_layers and layer >= n_layers):
            kind = "prediction"
        elif tied and gguf_name == "output.weight":
            kind = "duplicate"
        shape = _unpacked(name, tensor, packing) if packing else tensor.shape
        tensors.append(FolderTensor(kind, gguf_name, layer, shape, tensor.n_bytes))
    return tensors


def tensors_of(tensors: list[FolderTensor]) -> dict[str, tuple[int, ...]]:
    """Shapes by name, experts that are stored one by one as one stack; none is lost."""
    shapes: dict[str, tuple[int, ...]] = {}
    for one in tensors:
        name = re.sub(r"_exps\.\d+\.", "_exps.", one.name)
        if name != one.name:
            shapes[name] = (shapes.get(name, (0,))[0] + 1, *one.shape)
            continue
        module, _, kind = name.rpartition(".")
        while name in shapes:  # two modules of a layer that look like the same one
            module = f"{module}_too"
            name = f"{module}.{kind}"
        shapes[name] = one.shape
    return shapes


def _renamed(name: str) -> tuple[int, str]:
    """Layer and GGUF's name; what is unknown keeps its own.

    >>> _renamed("model.layers.3.mlp.experts.7.w1.weight")
    (3, 'blk.3.ffn_gate_exps.7.weight')
    >>> _renamed("transformer.wte.weight"), _renamed("model.layers.0.mixer.in_proj.weight")
    ((-1, 'token_embd.weight'), (0, 'blk.0.mixer.in_proj.weight'))
    """
    name = re.sub(r"\.(?:qweight|weight_packed)$|(?<=_proj)(?:_blocks)?$", ".weight", name)
    name = re.sub(r"(?<=_proj)_bias$", ".bias", name)
    module, _, kind = name.rpartition(".")
    match = _LAYER.search(module)
    last = module.rpartition(".")[2]
    if not match:
        role = _OUTER_OF.get(last)
        return -1, f"{role}.{kind}" if role else name
    layer, inner = int(match[1]), match[2]
    role = _role(inner, last)
    expert = re.search(r"experts?\.(\d{1,6})\.", inner + ".")
    if role.startswith("ffn_") and "shared_expert" in inner:
        role += "_shexp"
    elif role.startswith("ffn_") and "expert" in inner and role != "ffn_gate_inp":
        role += f"_exps.{expert[1]}" if expert else "_exps"
    return layer, f"blk.{layer}.{role}.{kind}"


def _role(inner: str, last: str) -> str:
    """Say what a module does, by its name inside the layer."""
    if last in ("c_proj", "dense", "out_proj"):
        return "ffn_down" if "mlp" in inner else "attn_output" if "att" in inner else inner
    return _ROLE_OF.get(last, inner)


def _unpacked(name: str, tensor: SafetensorsTensor, packing: Packing) -> tuple[int, ...]:
    """Shape of the weights that packed codes stand for."""
    shape, bits = tensor.shape, packing.bits
    if name.endswith(".qweight") and len(shape) == 2:
        if packing.method == "awq":  # packs columns of the transposed matrix, GPTQ its rows
            return (shape[1] * 32 // bits, shape[0])
        return (shape[1], shape[0] * 32 // bits)
    if name.endswith(".weight_packed") and len(shape) == 2:
        return (shape[0], shape[1] * (32 if tensor.dtype == "I32" else 8) // bits)
    if name.endswith("_blocks") and len(shape) > 2:
        return (*shape[:-2], shape[-2] * shape[-1] * 2)
    if tensor.dtype == "U8" and name.endswith(".weight"):  # bitsandbytes, NVFP4
        return (math.prod(shape) * 8 // bits,)
    return shape
