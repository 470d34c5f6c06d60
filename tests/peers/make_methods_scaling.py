"""Rebuild tests/golden/methods_scaling.npz: ``python -m tests.peers.make_methods_scaling hqq``.

Parts, each with the package that it asks in an environment of its own (CPU torch 2.13 in all):

    hqq          hqq 0.2.8.post1: codes, scales and zero points of given weights

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


PARTS = {"hqq": hqq_part}


def main(parts: list[str]) -> None:
    """Write the file."""
    arrays = dict(np.load(FILE)) if FILE.exists() else {}
    for part in parts:
        arrays = {name: array for name, array in arrays.items() if name.split("/")[0] != part}
        arrays |= PARTS[part]()
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
