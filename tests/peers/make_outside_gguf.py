"""Rebuild tests/golden/outside_gguf.npz: ``python -m tests.peers.make_outside_gguf``.

Values and rounding of small floats from ml_dtypes, bytes of NF4 from bitsandbytes; with
requirements-peers.txt.
"""

from dataclasses import asdict

import ml_dtypes
import numpy as np

from tests.peers import bitsandbytes_cpu
from tests.support.places import GOLDEN

FILE = GOLDEN / "outside_gguf.npz"
FLOATS = {
    "E4M3": (ml_dtypes.float8_e4m3fn, 256, 448),
    "E5M2": (ml_dtypes.float8_e5m2, 256, 57344),
    "E2M1": (ml_dtypes.float4_e2m1fn, 16, 6),
    "E8M0": (ml_dtypes.float8_e8m0fnu, 256, None),
}
SHAPES = {"bfloat16": (36, 512), "float32": (16, 384), "small": (3, 64), "zeros": (32, 512)}


def main() -> None:
    """Write the file."""
    rng, arrays = np.random.default_rng(21), {}
    for name, (dtype, n_codes, largest) in FLOATS.items():
        values = np.arange(n_codes, dtype=np.uint8).view(dtype).astype(np.float32)
        arrays[f"values/{name}"] = values
        if largest:
            weights = arrays[f"x/{name}"] = hard_to_round(values, largest, rng)
            arrays[f"codes/{name}"] = weights.astype(dtype).view(np.uint8)
    for case, shape in SHAPES.items():
        weights = (rng.standard_t(4, shape) * 0.02).astype(np.float32)
        if case == "bfloat16":  # sums without rounding, whatever their order
            weights = (weights.view(np.uint32) & 0xFFFF0000).view(np.float32)
        weights *= case != "zeros"
        arrays[f"x/{case}"] = weights
        quantized = asdict(bitsandbytes_cpu.quantize(weights))
        arrays |= {f"{name}/{case}": array for name, array in quantized.items()}
    arrays["dynamic_map"] = bitsandbytes_cpu.dynamic_map()
    np.savez_compressed(FILE, **arrays)


def hard_to_round(values: np.ndarray, largest: float, rng: np.random.Generator) -> np.ndarray:
    """Take every value, every middle between two, the floats around each, and some of any size."""
    finite = np.unique(values[np.isfinite(values)])
    middles = ((finite[:-1].astype(np.float64) + finite[1:]) / 2).astype(np.float32)
    exact = np.concatenate([finite, middles])
    around = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    some = rng.normal(size=1000) * 10.0 ** rng.uniform(-12, 5, 1000)
    tiny = np.float32([0, -0.0, 1e-45, -1e-45, 1e-38])
    return np.concatenate([exact, *around, some.astype(np.float32), tiny]).clip(-largest, largest)


if __name__ == "__main__":
    main()
