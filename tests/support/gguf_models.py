"""GGUF files to look into: of the shipped model, and of an architecture that the lab cannot run."""

import numpy as np

from quantcore import plan
from quantcore.recipe.quantize import quantize
from tests.support.gguf_bytes import gguf_bytes, string

STRANGER = {
    "general.architecture": "mamba",
    "general.file_type": 15,
    "mamba.block_count": 2,
    "tokenizer.ggml.model": "![x](http://example.org/x.png)",
    "tokenizer.ggml.tokens": ["a", "b"],
}


def write(model, path, file_type="Q4_K_M", **options):
    quantize(model, plan(model, file_type, **options), path)
    return path


def stranger_bytes():
    rng = np.random.default_rng(0)
    tensors = {
        "token_embd.weight": ([256, 40], 16, rng.bytes(40 * 66)),  # IQ2_XXS
        "output_norm.weight": ([256], 0, np.ones(256, "<f4").tobytes()),
    }
    for layer in range(2):
        tensors[f"blk.{layer}.ssm_in.weight"] = ([256, 64], 12, rng.bytes(64 * 144))
        tensors[f"blk.{layer}.ssm_x.weight"] = ([96, 64], 6, rng.bytes(64 * 3 * 22))  # Q5_0
    return gguf_bytes(STRANGER, tensors)


def with_type(path, tensor, number, name="strange.gguf"):
    """Write a file again beside itself that says another type of one tensor, bytes as they were."""
    content = path.read_bytes()
    after = content.index(string(tensor)) + len(string(tensor))
    n_axes = int.from_bytes(content[after : after + 4], "little")
    place = after + 4 + 8 * n_axes
    other = path.with_name(name)
    other.write_bytes(content[:place] + number.to_bytes(4, "little") + content[place + 4 :])
    return other
