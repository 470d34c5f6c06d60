"""ggml's own quantizers through ctypes, from the library inside the pywhispercpp wheel."""

import ctypes
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# ggml_type, weights per block, bytes per block (ggml/include/ggml.h, ggml/src/ggml-common.h)
TYPES = {
    "F16": (1, 1, 2),
    "BF16": (30, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q4_1": (3, 32, 20),
    "Q5_0": (6, 32, 22),
    "Q5_1": (7, 32, 24),
    "Q8_0": (8, 32, 34),
    "Q2_K": (10, 256, 84),
    "Q3_K": (11, 256, 110),
    "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176),
    "Q6_K": (14, 256, 210),
}


@cache
def library() -> ctypes.CDLL | None:
    """Load libggml-base, or return None where pywhispercpp is not installed."""
    spec = importlib.util.find_spec("pywhispercpp")
    if spec is None:
        return None
    folder = Path(spec.origin).parent.parent / "pywhispercpp.libs"
    for openmp in folder.glob("libgomp*"):
        ctypes.CDLL(str(openmp), mode=ctypes.RTLD_GLOBAL)
    ggml = ctypes.CDLL(str(next(folder.glob("libggml-base*"))))
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [
        *(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
        *(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p),
    ]
    return ggml


def quantize(name: str, weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bytes of weights (n_rows, n_cols), without importance matrix; one core."""
    kind, block_size, block_bytes = TYPES[name]
    n_rows, n_cols = weights.shape
    out = np.empty((n_rows, n_cols // block_size * block_bytes), np.uint8)
    pointers = weights.ctypes.data, out.ctypes.data
    library().ggml_quantize_chunk(kind, *pointers, 0, n_rows, n_cols, None)
    return out


def dequantize(
    name: str, packed: NDArray[np.uint8], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Weights of bytes (n_rows, row_bytes); one core."""
    _, block_size, block_bytes = TYPES[name]
    if out is None:
        out = np.empty((len(packed), packed.shape[1] // block_bytes * block_size), np.float32)
    decode = library()[_decoder(name)]
    decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    decode.restype = None
    decode(packed.ctypes.data, out.ctypes.data, out.size)
    return out


def _decoder(name: str) -> str:
    floats = {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}
    return floats.get(name) or f"dequantize_row_{name.lower().replace('_k', '_K')}"
