"""NVFP4: two E2M1 codes a byte, the first in the low half; 16 share an E4M3, all share a float32.

    ModelOpt             weight uint8 (n_rows, n_cols / 2), weight_scale F8_E4M3 (n_rows, n_groups),
                         weight_scale_2 float32 ()
    compressed-tensors   weight_packed, weight_scale, and weight_global_scale float32 (1,)

    restored = (scale * weight_scale_2) * value of code
    restored = (scale / weight_global_scale) * value of code

So one is the other's reciprocal. Each is computed as its own loader does; the codes and scales are
those of the lab's NVFP4_TENSOR, which multiplies, and of GGUF's NVFP4.

Source: NVIDIA Model Optimizer, quantization/qtensor/nvfp4_tensor.py; compressed-tensors,
compressors/nvfp4 and quantization/lifecycle/forward_helpers.py.
"""

from dataclasses import replace

import numpy as np

from quantcore.format import Weights
from quantcore.formats.outside_gguf.fp8 import E4M3
from quantcore.formats.outside_gguf.nvfp4_tensor import NVFP4_TENSOR
from quantcore.formats.outside_gguf.scaled import ScaledPacked, StoredScales
from quantcore.layouts import fp8
from quantcore.layouts.parts import FP8_TYPES, Parts
from quantcore.layouts.stored_matrix import StoredMatrix

PARTS = ("weight", "weight_scale", "weight_scale_2", "input_scale", "weight_scale_inv")
GROUP = 16


def open_matrix(parts: Parts) -> StoredMatrix:
    """Read a matrix of ModelOpt's, which may be FP8; a `ModelError` where arrays do not fit."""
    if parts.find("weight", "U8", *FP8_TYPES).dtype in FP8_TYPES:
        return fp8.open_matrix(parts)
    return _stored(parts, "ModelOpt", "weight", parts.one("weight_scale_2"), divides=False)


def open_packed(parts: Parts) -> StoredMatrix:
    """Read compressed-tensors' nvfp4-pack-quantized."""
    overall = parts.one("weight_global_scale")
    if not overall > 0:
        raise parts.error(f"has a weight_global_scale of {overall}, by which scales are divided.")
    return _stored(parts, "compressed-tensors", "weight_packed", overall, divides=True)


def _stored(
    parts: Parts, layout: str, part: str, overall: np.float32, *, divides: bool
) -> StoredMatrix:
    codes = parts.matrix(part, "U8")
    n_rows, n_cols = codes.shape[0], codes.shape[1] * 2
    if n_cols % GROUP:
        raise parts.error(f"has rows of {n_cols:,} weights, which groups of 16 do not divide.")
    scales = parts.shaped("weight_scale", (n_rows, n_cols // GROUP), "F8_E4M3")
    fmt = _DIVIDED if divides else NVFP4_TENSOR

    def packed(rows: slice, shared: np.float32) -> ScaledPacked:
        stored = StoredScales(
            scales=scales.codes(rows), super_scales=np.array([shared], np.float32)
        )
        return ScaledPacked(codes=codes.codes(rows), stored=stored)

    factor = np.float32(1) / overall if divides else overall
    return StoredMatrix(
        path=parts.path,
        dtype=NVFP4_TENSOR.name,
        layout=layout,
        shape=(n_rows, n_cols),
        n_bytes=parts.n_bytes,
        rows=lambda rows: fmt.dequantize(packed(rows, overall)),
        packed=lambda: packed(slice(0, n_rows), factor),
    )


def _read_divided(stored: StoredScales) -> Weights:
    assert stored.super_scales is not None  # by `_stored`
    return E4M3[stored.scales] / stored.super_scales


_DIVIDED = replace(NVFP4_TENSOR, read=_read_divided)
