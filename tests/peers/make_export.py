"""Rebuild tests/golden/export.npz: ``python -m tests.peers.make_export gptq awq=FOLDER``.

Parts, each with the package that it asks (CPU torch 2.13 in all):

    gptq          auto-round 0.15.1, whose kernels transformers loads GPTQ's files into on a CPU
    compressed    compressed-tensors 0.20.1
    awq=FOLDER    AutoAWQ 88e4c76, unpacked in FOLDER

Each packs weights that lie on a grid, ``scale * (code - zero point)``, and finds the codes again.
Parts that are not named stay as they are in the file.
"""

import sys
import types

import numpy as np

from tests.support.places import GOLDEN

FILE = GOLDEN / "export.npz"
N_ROWS, N_COLS, GROUP = 32, 64, 32
BITS = (2, 3, 4, 8)


def grid(bits: int, *, symmetric: bool) -> dict[str, np.ndarray]:
    """Codes from 0, scales and zero points, every code of a symmetric format but the least."""
    rng = np.random.default_rng(bits + 10 * symmetric)
    middle, shape = 2 ** (bits - 1), (N_ROWS, N_COLS // GROUP)
    zeros = rng.integers(1, 2**bits, shape)  # 0 is what GPTQ's first version has no word for
    return {
        "codes": rng.integers(int(symmetric), 2**bits, (N_ROWS, N_COLS)).astype(np.uint8),
        "scales": rng.uniform(0.001, 0.02, shape).astype(np.float16),
        "zeros": (np.full(shape, middle) if symmetric else zeros).astype(np.uint8),
    }


def linear(given: dict[str, np.ndarray]):
    """Make a layer with weights on the grid."""
    import torch

    layer = torch.nn.Linear(N_COLS, N_ROWS, bias=False)
    steps = given["codes"].astype(np.float32) - given["zeros"].repeat(GROUP, axis=1)
    weights = given["scales"].astype(np.float32).repeat(GROUP, axis=1) * steps
    layer.weight.data = torch.from_numpy(weights)
    return layer


def gptq_part() -> dict[str, np.ndarray]:
    """Pack symmetric codes by the first version, others by the second."""
    import torch
    from auto_round_extension.torch import qlinear_torch, qlinear_torch_zp

    arrays = {}
    for bits in BITS:
        for symmetric in (True, False):
            given = grid(bits, symmetric=symmetric)
            home = qlinear_torch_zp if symmetric else qlinear_torch
            packed = home.QuantLinear(bits, GROUP, N_COLS, N_ROWS, bias=False)
            packed.device = torch.device("cpu")  # which the second asks itself for, and lacks
            scales = torch.from_numpy(given["scales"].astype(np.float32))
            zeros = torch.from_numpy(given["zeros"].astype(np.int32))
            packed.pack(linear(given), scales, zeros, device="cpu")
            case = f"gptq/{bits}/{'sym' if symmetric else 'asym'}"
            arrays |= {f"{case}/{key}": value for key, value in given.items()}
            for key in ("qweight", "qzeros"):
                arrays[f"{case}/{key}"] = getattr(packed, key).numpy()
    return arrays


def compressed_part() -> dict[str, np.ndarray]:
    """Pack by compressed-tensors' own compressor."""
    import torch
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    arrays = {}
    for bits in (4, 8):
        for symmetric in (True, False):
            given = grid(bits, symmetric=symmetric)
            how = QuantizationArgs(
                num_bits=bits, symmetric=symmetric, strategy="group", group_size=GROUP
            )
            signed = given["zeros"].astype(np.int16) - 2 ** (bits - 1)
            state = {
                "weight": linear(given).weight.data,
                "weight_scale": torch.from_numpy(given["scales"].astype(np.float32)),
                "weight_zero_point": torch.from_numpy(signed.astype(np.int8)),
            }
            scheme = QuantizationScheme(targets=["Linear"], weights=how)
            packed = PackedQuantizationCompressor.compress(state, scheme)
            case = f"compressed-tensors/{bits}/{'sym' if symmetric else 'asym'}"
            arrays |= {f"{case}/{key}": value for key, value in given.items()}
            for key in packed.keys() - {"weight_scale"}:
                arrays[f"{case}/{key}"] = packed[key].numpy()
    return arrays


def awq_part(folder: str) -> dict[str, np.ndarray]:
    """Pack by AutoAWQ's GEMM layer, without the rest of the package, which needs a GPU."""
    import torch

    for name in ("awq", "awq.modules", "awq.modules.linear", "awq.utils"):
        package = sys.modules[name] = types.ModuleType(name)
        package.__path__ = [f"{folder}/{name.replace('.', '/')}"]
    from awq.modules.linear.gemm import WQLinear_GEMM

    given = grid(4, symmetric=False)
    scales = torch.from_numpy(given["scales"].T.astype(np.float32))
    zeros = torch.from_numpy(given["zeros"].T.astype(np.int32))
    packed = WQLinear_GEMM.from_linear(linear(given), 4, GROUP, scales=scales, zeros=zeros)
    arrays = {f"awq/4/asym/{key}": value for key, value in given.items()}
    for key in ("qweight", "qzeros"):
        arrays[f"awq/4/asym/{key}"] = getattr(packed, key).numpy()
    return arrays


if __name__ == "__main__":
    made = dict(np.load(FILE)) if FILE.exists() else {}
    for part in sys.argv[1:]:
        name, _, place = part.partition("=")
        makers = {"gptq": gptq_part, "compressed": compressed_part, "awq": awq_part}
        made |= makers[name](*([place] if place else []))
    np.savez_compressed(FILE, **dict(sorted(made.items())))
