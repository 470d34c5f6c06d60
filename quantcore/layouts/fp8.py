"""FP8: a byte a weight, and scales for the tensor, for rows, for groups, or for blocks of both.

    weight              F8_E4M3 (n_rows, n_cols), or F8_E5M2
    weight_scale        (), (1,), (n_rows, 1), or a grid: a scale for so many rows and columns
    weight_scale_inv    the same, as DeepSeek and transformers call it; it multiplies all the same

The grid of a matrix that blocks do not divide has a last row and column for what is left over.
Scales are floats, or powers of two in a byte (F8_E8M0). `weight_block_size` of the config says how
large blocks are, usually 128 x 128.

Source: transformers, integrations/finegrained_fp8.py; compressed-tensors, naive_quantized;
DeepSeek-V3, inference/fp8_cast_bf16.py.
"""

import numpy as np

from quantcore.format import Weights
from quantcore.formats import OUTSIDE_GGUF
from quantcore.formats.outside_gguf.fp8 import E4M3, E5M2
from quantcore.formats.outside_gguf.scaled import ScaledPacked, StoredScales
from quantcore.io.safetensors import DTYPES, SafetensorsTensor
from quantcore.layouts.parts import FP8_TYPES, Parts, as_floats
from quantcore.layouts.stored_matrix import StoredMatrix

PARTS = (
    *("weight", "weight_scale_inv", "weight_scale"),
    *("activation_scale", "input_scale", "input_scale_ub"),
)
USUAL_BLOCK = 128


def open_matrix(parts: Parts) -> StoredMatrix:
    """Read a matrix by its arrays; a `ModelError` where they do not fit each other."""
    weight = parts.matrix("weight", *FP8_TYPES)
    scale_part = "weight_scale_inv" if "weight_scale_inv" in parts else "weight_scale"
    scales = as_floats(parts.find(scale_part, *DTYPES, "F8_E8M0", "U8"))
    (n_rows, n_cols), kind = weight.shape, weight.dtype.removeprefix("F8_")
    if scales.size == 1:
        return _plain(parts, weight, f"FP8_{kind}_TENSOR", scales.reshape(1, 1))
    if scales.size == n_rows and len(scales) == n_rows:
        return _plain(parts, weight, f"FP8_{kind}_ROW", scales.reshape(n_rows, 1))
    block = _block(parts, (n_rows, n_cols), scales.shape)
    values = E4M3 if kind == "E4M3" else E5M2

    def rows(part: slice) -> Weights:
        restored = values[weight.codes(part)]
        restored *= scales[np.arange(part.start, part.stop) // block[0]].repeat(block[1], axis=1)[
            :, :n_cols
        ]
        return restored

    span = f"G{block[1]}" if block[0] == 1 else f"B{block[0]}X{block[1]}"
    return StoredMatrix(
        path=parts.path,
        dtype=f"FP8_{kind}_{span}",
        layout="FP8",
        shape=weight.shape,
        n_bytes=parts.n_bytes,
        rows=rows,
    )


def _plain(parts: Parts, weight: SafetensorsTensor, name: str, scales: Weights) -> StoredMatrix:
    """One of the lab's formats: a scale for the tensor or for each row."""
    fmt = OUTSIDE_GGUF[name]

    def packed(rows: slice) -> ScaledPacked:
        here = scales if len(scales) == 1 else scales[rows]
        return ScaledPacked(codes=weight.codes(rows), stored=StoredScales(scales=here))

    return StoredMatrix(
        path=parts.path,
        dtype=name,
        layout="FP8",
        shape=weight.shape,
        n_bytes=parts.n_bytes,
        rows=lambda rows: fmt.dequantize(packed(rows)),
        packed=lambda: packed(slice(0, weight.shape[0])),
    )


def _block(parts: Parts, shape: tuple[int, ...], grid: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns that share a scale: as the config says, or as divides the matrix."""
    said = parts.how.get("weight_block_size")
    for group in parts.how.parts("config_groups"):
        weights = group.part("weights")
        said = weights.get("block_structure") if said is None and weights else said
    if said is None and len(grid) == 2 and grid[0] == shape[0] and shape[1] % grid[1] == 0:
        said = [1, shape[1] // grid[1]]
    if said is None:
        said = [USUAL_BLOCK, USUAL_BLOCK]
    if not isinstance(said, list) or [type(n) for n in said] != [int, int] or min(said) < 1:
        raise parts.error("has a weight_block_size that is not two whole numbers.")
    if grid != tuple(-(-n // size) for n, size in zip(shape, said, strict=True)):
        raise parts.error(
            f"has scales of shape {list(grid)}, where {shape[0]:,} x {shape[1]:,} weights in "
            f"blocks of {said[0]:,} x {said[1]:,} need another."
        )
    return said[0], said[1]
