"""Rebuild tests/golden/methods_scaling.npz: ``python -m tests.peers.make_methods_scaling hqq``.

Parts, each with the package that it asks in an environment of its own (CPU torch 2.13 in all):

    hqq          hqq 0.2.8.post1: codes, scales and zero points of given weights
    awq=FOLDER   llm-awq d6e797a, unpacked in FOLDER, on transformers 5.23: scales and ranges
    autoround    auto-round 0.15.1: rounding with given shifts and ranges, and slopes through it
    int8=FOLDER  smoothquant c61476d, unpacked in FOLDER, and bitsandbytes 0.50.2: inputs, products

Parts that are not named stay as they are in the file.
"""

import sys

import numpy as np

from tests.support.places import GOLDEN

FILE = GOLDEN / "methods_scaling.npz"


def hqq_part() -> dict[str, np.ndarray]:
    """Quantize rows of several distributions, with hqq's own defaults for each number of bits."""
    import torch
    from hqq.core.quantize import Quantizer

    rng, arrays = np.random.default_rng(31), {}
    cases = {
        "normal": rng.normal(size=(48, 256)) * 0.02,
        "heavy": rng.standard_t(3, (48, 256)) * 0.05,
        "shifted": rng.normal(size=(16, 128)) * 0.1 + 0.3,
        "narrow": rng.normal(size=(8, 128)) * 1e-5 + 0.01,
    }
    for case, weights in cases.items():
        weights = arrays[f"hqq/{case}"] = weights.astype(np.float32)
        for bits, group in ((2, 64), (3, 64), (4, 64), (4, 128), (8, 128)):
            codes, meta = Quantizer.quantize(
                torch.tensor(weights),
                nbits=bits,
                group_size=group,
                round_zero=bits == 4,
                axis=1,
                bitpack=False,
                device="cpu",
            )
            name = f"hqq/{case}/{bits}/{group}"
            arrays[f"{name}/codes"] = codes.numpy().astype(np.uint8).reshape(weights.shape)
            for kind in ("scale", "zero"):
                arrays[f"{name}/{kind}"] = meta[kind].numpy().reshape(len(weights), -1)
    return arrays


AWQ_SHAPES = {"heads": (4, 4), "shared": (4, 2)}  # heads, and those of keys and values


def awq_part(folder: str) -> dict[str, np.ndarray]:
    """Search scales and ranges of a decoder layer, with heads of their own and with shared ones."""
    import torch

    scales_of, clip_of = _llm_awq(folder)
    arrays = {}
    for case, (n_heads, n_kv_heads) in AWQ_SHAPES.items():
        layer, states, rotary = _layer(n_heads, n_kv_heads)
        given = {**layer.state_dict(), "states": states}  # all of them float16 already
        arrays |= {f"awq/{case}/{k}": v.numpy().astype(np.float16) for k, v in given.items()}
        embeddings = rotary(states, torch.arange(states.shape[1])[None])
        inputs = _inputs(layer, states, embeddings)
        settings = {"zero_point": True, "q_group_size": 32}
        found = scales_of(layer, {"position_embeddings": embeddings}, 4, settings, dict(inputs))
        by_name = {name: scales for _, names, scales in found for name in names}
        for name, module in layer.named_modules():
            if not isinstance(module, torch.nn.Linear):
                continue
            scales = by_name.get(name, torch.ones(module.in_features))
            arrays[f"awq/{case}/scales/{name}"] = scales.numpy()
            times = 256 // module.out_features  # it takes whole 256 rows; rows are independent
            weight = (module.weight.data * scales).repeat(times, 1)
            ranges = clip_of(weight, inputs[name] / scales, 4, settings)
            arrays[f"awq/{case}/ranges/{name}"] = ranges[: module.out_features, :, 0].numpy()
    return arrays


def _llm_awq(folder):
    """Its two searches. On a CPU `Tensor.cpu` does not copy, and it counts on a copy."""
    import types

    import torch

    for name, where in (("awq", "awq"), ("awq.quantize", "awq/quantize")):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [f"{folder}/{where}"]
    sys.modules["awq_inference_engine"] = types.ModuleType("awq_inference_engine")  # CUDA's
    torch.Tensor.cpu = lambda self: self.clone()
    from awq.quantize.auto_clip import auto_clip_layer
    from awq.quantize.auto_scale import auto_scale_block

    return auto_scale_block, auto_clip_layer


def _inputs(layer, states, embeddings):
    """Run the layer; returns what each of its matrices is multiplied by."""
    import torch

    inputs, hooks = {}, []
    for name, module in layer.named_modules():
        if isinstance(module, torch.nn.Linear):
            keep = lambda m, x, y, name=name: inputs.update({name: x[0]})  # noqa: E731
            hooks.append(module.register_forward_hook(keep))
    with torch.no_grad():
        layer(states, position_embeddings=embeddings)
    for hook in hooks:
        hook.remove()
    return inputs


def _layer(n_heads, n_kv_heads):
    """Make a random layer whose numbers float16 holds, and states with large and small columns."""
    import torch
    from transformers.models.llama.modeling_llama import (
        LlamaConfig,
        LlamaDecoderLayer,
        LlamaRotaryEmbedding,
    )

    rng = np.random.default_rng(32)
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=n_heads,
        num_key_value_heads=n_kv_heads,
        max_position_embeddings=256,
        attn_implementation="sdpa",
    )
    layer = LlamaDecoderLayer(config, 0).eval()
    for parameter in layer.parameters():
        values = rng.normal(0, 0.1, parameter.shape) + (parameter.ndim == 1)
        parameter.data = torch.tensor(values.astype(np.float16).astype(np.float32))
    states = rng.normal(size=(2, 256, 64)) * np.exp(rng.normal(size=64))
    states = torch.tensor(states.astype(np.float16).astype(np.float32))
    return layer, states, LlamaRotaryEmbedding(config)


def int8_part(folder: str) -> dict[str, np.ndarray]:
    """Round inputs with outlier columns, and multiply: SmoothQuant's way, and bitsandbytes'."""
    import bitsandbytes.functional as bnb
    import torch
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    sys.path.insert(0, folder)
    from smoothquant import fake_quant, smooth

    rng = np.random.default_rng(33)
    rows = rng.normal(size=(40, 128)) * np.where(np.arange(128) % 31 == 5, 20, 1)
    weights = rng.normal(size=(2, 24, 128)) * 0.05
    rows[3] = 0
    arrays = {"rows": rows.astype(np.float32), "weights": weights.astype(np.float32)}
    x, w = torch.tensor(arrays["rows"]), torch.tensor(arrays["weights"])
    norm, linears = LlamaRMSNorm(128), [torch.nn.Linear(128, 24, bias=False) for _ in range(2)]
    for linear, given in zip(linears, w, strict=True):
        linear.weight.data = given.clone()
    for alpha in (0.5, 0.85):
        smooth.smooth_ln_fcs_llama_like(norm, linears, x.abs().amax(0), alpha)
        arrays[f"scales/{alpha}"] = (1 / norm.weight.data).numpy()
        norm.weight.data.fill_(1)
        for linear, given in zip(linears, w, strict=True):
            linear.weight.data = given.clone()
    arrays["rounded/token"] = fake_quant.quantize_activation_per_token_absmax(x.clone()).numpy()
    codes, peaks, _ = bnb.int8_vectorwise_quant(w[0].half())
    restored, products = [], []
    for row in x.half().split(1):  # one token at a time
        row_codes, row_peak, columns = bnb.int8_vectorwise_quant(row, threshold=6.0)
        whole = row_codes.float() * row_peak[:, None] / 127
        whole[:, columns] = row[:, columns].float()
        restored.append(whole.numpy())
        mixed = torch.ops.bitsandbytes.int8_mixed_scaled_mm
        products.append(mixed(row, row_codes, codes, row_peak, peaks, columns)[0].float().numpy())
    arrays["rounded/outliers"] = np.concatenate(restored)
    arrays["products/outliers"] = np.concatenate(products)
    return {f"int8/{name}": array for name, array in arrays.items()}


def autoround_part() -> dict[str, np.ndarray]:
    """Round with random shifts and ranges, and take random slopes backward through it."""
    import torch
    from auto_round.data_type.int import quant_tensor_asym, quant_tensor_sym

    rng = np.random.default_rng(34)
    n_rows, n_cols, group = 12, 128, 32
    given = {
        "weights": rng.standard_t(4, (n_rows, n_cols)) * 0.05,
        "shifts": rng.uniform(-0.5, 0.5, (n_rows, n_cols)),
        "low": rng.uniform(0.7, 1, n_rows * n_cols // group),
        "high": rng.uniform(0.7, 1, n_rows * n_cols // group),
        "slope": rng.normal(size=(n_rows, n_cols)),
    }
    arrays = {name: each.astype(np.float32) for name, each in given.items()}
    for kind, function in (("sym", quant_tensor_sym), ("asym", quant_tensor_asym)):
        for bits in (2, 3, 4, 8):
            tensors = {name: torch.tensor(each) for name, each in arrays.items() if name in given}
            trained = [tensors[name].requires_grad_() for name in ("shifts", "low", "high")]
            shifts = tensors["shifts"].reshape(-1, group)
            restored, scale, zero = function(
                tensors["weights"],
                bits=bits,
                group_size=group,
                v=shifts,
                min_scale=tensors["low"],
                max_scale=tensors["high"],
            )
            (restored * tensors["slope"]).sum().backward()
            name = f"{kind}/{bits}"
            arrays[f"{name}/restored"] = restored.detach().numpy()
            arrays[f"{name}/scale"] = scale.detach().numpy().reshape(n_rows, -1)
            if kind == "asym":
                arrays[f"{name}/zero"] = zero.detach().numpy().reshape(n_rows, -1)
            for what, tensor in zip(("shifts", "low", "high"), trained, strict=True):
                arrays[f"{name}/by_{what}"] = tensor.grad.numpy()
    return {f"autoround/{name}": array for name, array in arrays.items()}


PARTS = {"hqq": hqq_part, "awq": awq_part, "autoround": autoround_part, "int8": int8_part}


def main(parts: list[str]) -> None:
    """Write the file."""
    arrays = dict(np.load(FILE)) if FILE.exists() else {}
    for part in parts:
        name, *folder = part.split("=")
        arrays = {key: array for key, array in arrays.items() if key.split("/")[0] != name}
        arrays |= PARTS[name](*folder)
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
