"""Small model folders with random weights, written without the lab's own code."""

import json
import struct
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 260,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LAYER = {
    "input_layernorm": ("hidden",),
    "self_attn.q_proj": ("heads", "hidden"),
    "self_attn.k_proj": ("keys", "hidden"),
    "self_attn.v_proj": ("keys", "hidden"),
    "self_attn.o_proj": ("hidden", "heads"),
    "post_attention_layernorm": ("hidden",),
    "mlp.gate_proj": ("inner", "hidden"),
    "mlp.up_proj": ("inner", "hidden"),
    "mlp.down_proj": ("hidden", "inner"),
}


def tensors(config=CONFIG, seed=0):
    """Random float32 weights by Hugging Face name."""
    rng = np.random.default_rng(seed)
    head = config["hidden_size"] // config["num_attention_heads"]
    size = {
        "hidden": config["hidden_size"],
        "inner": config["intermediate_size"],
        "heads": config["num_attention_heads"] * head,
        "keys": config["num_key_value_heads"] * head,
    }
    shapes = {"model.embed_tokens": (config["vocab_size"], size["hidden"])}
    for layer in range(config["num_hidden_layers"]):
        for module, axes in LAYER.items():
            shapes[f"model.layers.{layer}.{module}"] = tuple(size[axis] for axis in axes)
    shapes["model.norm"] = (size["hidden"],)
    if not config["tie_word_embeddings"]:
        shapes["lm_head"] = (config["vocab_size"], size["hidden"])
    return {
        f"{name}.weight": (
            rng.normal(0, 0.2, shape) if len(shape) == 2 else rng.uniform(0.5, 1.5, shape)
        ).astype(np.float32)
        for name, shape in shapes.items()
    }


def write_safetensors(path, arrays, dtype="F32"):
    """Write a file by hand, in F32, F16 or BF16 (float32 cut to its upper half)."""
    header, parts, offset = {}, [], 0
    for name, array in arrays.items():
        if dtype == "BF16":
            data = (array.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        else:
            data = array.astype({"F32": np.float32, "F16": np.float16}[dtype]).tobytes()
        span = [offset, offset + len(data)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": span}
        parts.append(data)
        offset += len(data)
    write_raw(path, json.dumps(header).encode(), b"".join(parts))


def write_raw(path, header, data=b"", length=None):
    """Header and data as given; `length` is what the file claims of its header."""
    claimed = struct.pack("<Q", len(header) if length is None else length)
    Path(path).write_bytes(claimed + header + data)


def write_tokenizer(folder, n_tokens=260, adds_bos=True):
    """Byte by byte, with three tokens besides: begin, end and one merge."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate([*letters, "Ġt", "<s>", "</s>"])}
    for i in range(len(vocabulary), n_tokens):
        vocabulary[f"unused{i}"] = i
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "t")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    settings = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": adds_bos}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_folder(folder, config=CONFIG, dtype="F32", seed=0):
    """Write a whole model folder."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(folder / "model.safetensors", tensors(config, seed), dtype)
    write_tokenizer(folder)
    return folder


def write_with_biases(folder, config=CONFIG):
    """Write a model folder with biases on queries, keys, values and the attention's output."""
    config = config | {"attention_bias": True}
    write_folder(folder, config)
    arrays, rng = tensors(config), np.random.default_rng(1)
    for layer in range(config["num_hidden_layers"]):
        for part, size in (("q", 64), ("k", 32), ("v", 32), ("o", 64)):
            name = f"model.layers.{layer}.self_attn.{part}_proj.bias"
            arrays[name] = rng.normal(size=size).astype(np.float32)
    write_safetensors(folder / "model.safetensors", arrays)
    return folder
