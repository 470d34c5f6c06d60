"""Rebuild tests/golden/four_over_six.npz: ``python -m tests.peers.make_four_over_six FOLDER``.

FOLDER holds fouroversix (dadfad6), unpacked. Only its reference in PyTorch is loaded, by file:
the package itself asks for triton and a GPU. With requirements-peers.txt.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from tests.support.places import GOLDEN

FILE = GOLDEN / "four_over_six.npz"
PACKAGES = ("", ".kernels", ".quantize", ".quantize.pytorch")  # whose own __init__ is left out


def main(folder: str) -> None:
    """Write the file."""
    for name in PACKAGES:
        package = ModuleType(f"fouroversix{name}")
        package.__path__ = [str(Path(folder, "src", "fouroversix", *name.split(".")[1:]))]
        sys.modules[package.__name__] = package
    reference = importlib.import_module("fouroversix.quantize.pytorch.reference")
    rng, arrays = np.random.default_rng(46), {}
    cases = {
        "normal": rng.normal(0, 0.02, (16, 256)),
        "laplace": rng.laplace(0, 0.02, (16, 256)),
        "t4": rng.standard_t(4, (16, 256)) * 0.02,
    }
    for case, weights in cases.items():
        weights = arrays[f"x/{case}"] = weights.astype(np.float32)
        values, scales = chosen(reference, torch.tensor(weights.reshape(-1, 16)))
        arrays[f"values/{case}"] = values.numpy().astype(np.float32).reshape(weights.shape)
        arrays[f"scales/{case}"] = scales.view(torch.uint8).numpy().reshape(len(weights), -1)
    np.savez_compressed(FILE, **arrays)


def chosen(reference, blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose E2M1 values and E4M3 scales of blocks (n, 16), by its rule of the mean square."""
    largest = blocks.abs().max()
    how = {"scale_rule": reference.ScaleRule.mse, "round_style": reference.RoundStyle.nearest}
    six = reference.quantize_to_nvfp4(blocks, largest, **how)
    four = reference.quantize_to_nvfp4(blocks, largest, scale_expansion_factor=1.5, **how)
    return reference.select_fouroversix(blocks, *six, *four, largest, **how)


if __name__ == "__main__":
    main(sys.argv[1])
