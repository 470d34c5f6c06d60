"""NVFP4: two E2M1 codes a byte, the first in the low half; 16 share an E4M3, all share a float32.

    ModelOpt             weight uint8 (n_rows, n_cols / 2), weight_scale F8_E4M3 (n_rows, n_groups),
                         weight_scale_2 float32 ()
    compressed-tensors   weight_packed, weight_scale, and weight_global_scale float32 (1,)

    restored = (scale * weight_scale_2) * value of code
    restored = (scale / weight_global_scale) * value of code

So one is the other's reciprocal. Each is computed as its own loader does, which differs in the last
bit; codes and scales are those of the lab's NVFP4_TENSOR and of GGUF's NVFP4.

Source: NVIDIA Model Optimizer, quantization/qtensor/nvfp4_tensor.py; compressed-tensors,
compressors/nvfp4 and quantization/lifecycle/forward_helpers.py.
"""

from dataclasses import replace

import numpy as np

from quantcore.format import Weights
from quantcore.formats.outside_gguf.fp8 import E4M3
from quantcore.formats.outside_gguf.nvfp4_tensor import NVFP4_TENSOR
from quantcore.formats.outside_gguf.scaled import ScaledFormat, ScaledPacked, StoredScales
from quantcore.layouts import fp8
from quantcore.layouts.parts import FP8_TYPES, Parts
from quantcore.layouts.stored_matrix import Opened, StoredMatrix

PARTS = ("weight", "weight_scale", "weight_scale_2", "input_scale", "weight_scale_inv")
GROUP = 16


def open_matrix(parts: Parts) -> StoredMatrix:
    """Read a matrix of ModelOpt's, which may be FP8; a `ModelError` where arrays do not fit."""
    if parts.find("weight", "U8", *FP8_TYPES).dtype in FP8_TYPES:
        return fp8.open_matrix(parts)
    return _stored(parts, "weight", parts.one("weight_scale_2"), NVFP4_TENSOR, "ModelOpt")


def open_packed(parts: Parts) -> StoredMatrix:
    """Read compressed-tensors' nvfp4-pack-quantized."""
    overall = parts.one("weight_global_scale")
    if not overall > 0:
        raise parts.error(f"has a weight_global_scale of {overall}, by which scales are divided.")
    return _stored(parts, "weight_packed", overall, _DIVIDED, "compressed-tensors")


def _stored(
    parts: Parts, part: str, overall: np.float32, fmt: ScaledFormat, layout: str
) -> StoredMatrix:
    codes = parts.matrix(part, "U8")
    n_rows, n_cols = codes.shape[0], codes.shape[1] * 2
    if n_cols % GROUP:
        raise parts.error(f"has rows of {n_cols:,} weights, which groups of 16 do not divide.")
    scales = parts.shaped("weight_scale", (n_rows, n_cols // GROUP), "F8_E4M3")
    shared = np.array([overall], np.float32)

    def packed(rows: slice) -> ScaledPacked:
        stored = StoredScales(scales=scales.codes(rows), super_scales=shared)
        return ScaledPacked(codes=codes.codes(rows), stored=stored)

    return StoredMatrix(
        path=parts.path,
        dtype=fmt.name,
        layout=layout,
        shape=(n_rows, n_cols),
        n_bytes=parts.n_bytes,
        rows=lambda rows: fmt.dequantize(packed(rows)),
        open=lambda: Opened(format=fmt, packed=packed(slice(0, n_rows))),
    )


def _read_divided(stored: StoredScales) -> Weights:
    assert stored.super_scales is not None  # by `_stored`
    return E4M3[stored.scales] / stored.super_scales


def _say_divided(stored: StoredScales, place: tuple[int, int]) -> str:
    assert stored.super_scales is not None
    scale, overall = E4M3[stored.scales[place]], stored.super_scales[0]
    return f"{scale:g} / {overall:.4g} of the tensor = {scale / overall:.4g}"


_DIVIDED = replace(NVFP4_TENSOR, read=_read_divided, says=_say_divided)
