"""GGUF files of any shape that hold a header and no data, for llama.cpp to measure.

They are sparse: as long as the real file, but of a few kilobytes on the disk.
"""

from pathlib import Path

import numpy as np

from quantcore.architectures import by_name
from quantcore.io.gguf_writer import OutgoingTensor, data_bytes, header_of
from quantcore.memory import stored_weights
from quantcore.shape import ModelShape

# Numbers without which llama.cpp refuses an architecture, or leaves a part of its graph out. They
# change no size, so the lab's own table of architectures does not know them.
_SCALES = dict.fromkeys(
    ("logit_scale", "residual_scale", "embedding_scale", "attention.scale"), np.float32(0.5)
)
OWN_NUMBERS = {
    "gemma2": {
        "attn_logit_softcapping": np.float32(50),
        "final_logit_softcapping": np.float32(30),
    },
    "granite": _SCALES,
    "granitemoe": _SCALES,
    "granitehybrid": _SCALES,
}
OWN_NAMES = {"lfm2": {"output_norm": "token_embd_norm"}}  # of tensors
EXPERTS_AS_FEED_FORWARD = ("llama",)  # one key says the width of experts and of a plain part
EXPERTS_BY_STEP = ("llama4",)  # a key says which layers have experts


def write(path: Path, shape: ModelShape, type_name: str = "F16") -> None:
    """Write `shape` as a file of that type; the vocabulary is made of nameless stand-ins."""
    tensors = [
        OutgoingTensor(name=_named(t.name, shape), type=t.format, shape=t.shape, make=lambda: None)
        for t in stored_weights(shape, type_name).tensors
    ]
    header = header_of(metadata(shape), tensors)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + data_bytes(tensors))


def _named(name: str, shape: ModelShape) -> str:
    for ours, theirs in OWN_NAMES.get(shape.architecture, {}).items():
        name = name.replace(ours, theirs)
    return name


def metadata(shape: ModelShape) -> dict:
    """Say what llama.cpp must know of an architecture."""
    sizes = {
        "context_length": shape.context_length,
        "embedding_length": shape.hidden_size,
        "block_count": shape.n_layers,
        "feed_forward_length": shape.feed_forward_size,
        "vocab_size": shape.vocabulary_size,
        "attention.head_count": shape.n_heads,
        "attention.head_count_kv": 1 if shape.latent else shape.n_kv_heads,
        **(_latent(shape) if shape.latent else _heads(shape)),
        **_experts(shape),
    }
    if shape.window:
        sizes["attention.sliding_window"] = shape.window
    numbers = {key: np.uint32(n) for key, n in sizes.items()}
    if any(cache.kind == "state" for cache in shape.caches):
        numbers |= _recurrent(shape)
    for key in ("layer_norm_rms_epsilon", "layer_norm_epsilon"):
        numbers[f"attention.{key}"] = np.float32(1e-6)
    numbers |= OWN_NUMBERS.get(shape.architecture, {})
    return {
        "general.architecture": shape.architecture,
        "general.name": shape.name,
        "tokenizer.ggml.model": "no_vocab",
        **{f"{shape.architecture}.{key}": number for key, number in numbers.items()},
    }


def _heads(shape: ModelShape) -> dict[str, int]:
    rotated = shape.tensors.get("rope_factors_long.weight")
    return {
        "attention.key_length": shape.head_size,
        "attention.value_length": shape.head_size,
        "rope.dimension_count": 2 * rotated[0] if rotated else shape.head_size,
    }


def _latent(shape: ModelShape) -> dict[str, int]:
    latent = shape.latent
    sizes = {
        "attention.kv_lora_rank": latent.kv_size,
        "attention.key_length": latent.kv_size + latent.rope_size,
        "attention.value_length": latent.kv_size,
        "attention.key_length_mla": latent.key_size + latent.rope_size,
        "attention.value_length_mla": latent.value_size,
        "rope.dimension_count": latent.rope_size,
    }
    if latent.query_size:
        sizes["attention.q_lora_rank"] = latent.query_size
    return sizes


def _recurrent(shape: ModelShape) -> dict:
    """Read a state space's sizes off its tensors; layers without heads are the recurrent ones."""
    layer = next(i for i, cache in enumerate(shape.caches) if cache.kind == "state")
    tensors = {
        name.split(".")[2]: size
        for name, size in reversed(shape.tensors.items())  # of a matrix and its bias the matrix
        if name.startswith(f"blk.{layer}.")
    }
    heads = [cache.key_values // shape.head_size for cache in shape.caches]
    metadata = {}
    if by_name(shape.architecture).state_layers == "by heads":
        metadata["attention.head_count_kv"] = np.array(heads, np.uint32)
    if "shortconv" in tensors:
        n_kept = shape.caches[layer].state_values // shape.hidden_size + 1
        return metadata | {"shortconv.l_cache": np.uint32(n_kept)}
    (channels, kernel), inner = tensors["ssm_conv1d"], tensors["ssm_out"][1]
    states = (channels - inner) // 2
    rank, n_state = tensors["ssm_a"][0], tensors["ssm_a"][-1]
    groups = 0
    if "ssm_x" in tensors:
        rank = tensors["ssm_dt"][-1]
    elif "ssm_ba" in tensors:
        n_state = tensors["ssm_norm"][0]
        groups = states // n_state
    else:
        groups = tensors["ssm_norm"][0]
        n_state = states // groups
    sizes = {"conv_kernel": kernel, "inner_size": inner, "state_size": n_state}
    sizes |= {"time_step_rank": rank, "group_count": groups}
    return metadata | {f"ssm.{key}": np.uint32(n) for key, n in sizes.items()}


def _experts(shape: ModelShape) -> dict[str, int]:
    if (experts := shape.experts) is None:
        return {}
    sizes = {
        "expert_count": experts.count,
        "expert_used_count": experts.used,
        "expert_feed_forward_length": experts.size,
        "leading_dense_block_count": experts.dense_layers,
        "expert_shared_count": experts.shared,
    }
    if shape.architecture in EXPERTS_AS_FEED_FORWARD:
        sizes["feed_forward_length"] = experts.size
    if experts.shared:
        sizes["expert_shared_feed_forward_length"] = experts.shared * experts.size
    if shape.architecture in EXPERTS_BY_STEP:
        moe = [i for i in range(shape.n_layers) if f"blk.{i}.ffn_gate_inp.weight" in shape.tensors]
        sizes["interleave_moe_layer_step"] = moe[0] + 1
    return sizes
