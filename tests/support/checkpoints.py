"""Reading what an export wrote, by the safetensors package and the twins."""

import json

import numpy as np
from safetensors.numpy import load_file

from quantcore.model.names import to_gguf
from tests.twins import naive_checkpoint

PACKED = ("qweight", "weight_packed")


def arrays_of(stored, module):
    """Arrays of one module, by the last part of their names."""
    start = f"{module}."
    return {name.removeprefix(start): a for name, a in stored.items() if name.startswith(start)}


def modules_of(stored):
    """Modules that are packed, as transformers calls them."""
    return [n.rpartition(".")[0] for n in stored if n.rpartition(".")[2] in PACKED]


def decoded(stored, module, settings):
    """Weights of a packed module as its quantization_config says."""
    arrays = arrays_of(stored, module)
    if settings["quant_method"] == "gptq":
        return naive_checkpoint.gptq(arrays, settings["bits"], settings["checkpoint_format"])
    if settings["quant_method"] == "awq":
        return naive_checkpoint.awq(arrays)
    (group,) = settings["config_groups"].values()
    return naive_checkpoint.compressed_tensors(arrays, group["weights"]["num_bits"])


def read_back(folder):
    """Weights of a whole folder by the lab's names, as float32."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stored = load_file(folder / "model.safetensors")
    modules = modules_of(stored)
    weights = {
        to_gguf(f"{module}.weight"): decoded(stored, module, config["quantization_config"])
        for module in modules
    }
    for name, values in stored.items():
        if name.rpartition(".")[0] not in modules or name.endswith(".bias"):
            weights[to_gguf(name)] = values.astype(np.float32)
    return weights
