"""ggml's own quantizers through ctypes, from the library inside the pywhispercpp wheel."""

import ctypes
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantcore.formats.ggml_types import GGML_TYPES

TYPES = (
    *("F16", "BF16", "Q8_0", "Q6_K", "Q5_1", "Q5_0", "Q5_K", "Q4_1", "Q4_0", "Q4_K", "Q3_K"),
    *("Q2_K", "IQ4_NL", "IQ4_XS", "MXFP4", "NVFP4", "TQ2_0", "TQ1_0"),
    *("IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"),
)


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


def quantize(
    name: str, weights: NDArray[np.float32], importance: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """Bytes of weights (n_rows, n_cols), with or without importance (n_cols,); one core."""
    sizes = GGML_TYPES[name]
    n_rows, n_cols = weights.shape
    out = np.empty((n_rows, n_cols // sizes.block_size * sizes.block_bytes), np.uint8)
    pointers = weights.ctypes.data, out.ctypes.data
    matrix = None if importance is None else importance.ctypes.data
    library().ggml_quantize_chunk(sizes.number, *pointers, 0, n_rows, n_cols, matrix)
    return out


def dequantize(
    name: str, packed: NDArray[np.uint8], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Weights of bytes (n_rows, row_bytes); one core."""
    sizes = GGML_TYPES[name]
    if out is None:
        n_cols = packed.shape[1] // sizes.block_bytes * sizes.block_size
        out = np.empty((len(packed), n_cols), np.float32)
    decode = library()[_decoder(name)]
    decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    decode.restype = None
    decode(packed.ctypes.data, out.ctypes.data, out.size)
    return out


def _decoder(name: str) -> str:
    floats = {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}
    return floats.get(name) or f"dequantize_row_{name.lower().replace('_k', '_K')}"
