"""MXFP4: two E2M1 codes a byte, the first in the low half; 32 of them share a power of two.

    gpt-oss              _blocks uint8 (..., n_rows, n_groups, 16), _scales uint8 (..., n_groups)
    compressed-tensors   weight_packed uint8 (n_rows, n_cols / 2), weight_scale uint8 (n_rows, ...)

    restored = 2^(scale - 127) * value of code

Those are the codes and scales of the lab's MXFP4_OCP, and GGUF's MXFP4 has the same in another
order of bytes. gpt-oss's experts come one after the other here, as rows.

Source: transformers, integrations/mxfp4.py; compressed-tensors, compressors/mxfp4.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from quantcore.format import Packed
from quantcore.formats.outside_gguf.mxfp4_ocp import MXFP4_OCP
from quantcore.formats.outside_gguf.scaled import ScaledPacked, StoredScales
from quantcore.layouts.parts import Parts
from quantcore.layouts.stored_matrix import StoredMatrix

PARTS = ("blocks", "scales")
GROUP = 32


def open_matrix(parts: Parts) -> StoredMatrix:
    """Read gpt-oss's blocks and scales; a `ModelError` where they do not fit each other."""
    blocks = parts.find("blocks", "U8")
    if len(blocks.shape) < 3 or blocks.shape[-1] != GROUP // 2 or 0 in blocks.shape:
        raise parts.error(f"has blocks of shape {list(blocks.shape)}; expected 16 bytes in each.")
    scales = parts.shaped("scales", blocks.shape[:-1], "U8")
    n_rows, n_groups = math.prod(blocks.shape[:-2]), blocks.shape[-2]
    read = (
        replace(blocks, shape=(n_rows, n_groups * GROUP // 2)).codes,
        replace(scales, shape=(n_rows, n_groups)).codes,
    )
    return _stored(parts, "MXFP4", (n_rows, n_groups * GROUP), read)


def open_packed(parts: Parts) -> StoredMatrix:
    """Read compressed-tensors' mxfp4-pack-quantized."""
    codes = parts.matrix("weight_packed", "U8")
    n_rows, n_cols = codes.shape[0], codes.shape[1] * 2
    scales = parts.shaped("weight_scale", (n_rows, n_cols // GROUP), "U8", "F8_E8M0")
    if n_cols % GROUP:
        raise parts.error(f"has rows of {n_cols:,} weights, which groups of 32 do not divide.")
    return _stored(parts, "compressed-tensors", (n_rows, n_cols), (codes.codes, scales.codes))


def _stored(
    parts: Parts,
    layout: str,
    shape: tuple[int, int],
    read: tuple[Callable[[slice], Packed], Callable[[slice], Packed]],
) -> StoredMatrix:
    def packed(rows: slice) -> ScaledPacked:
        codes, scales = (one(rows) for one in read)
        return ScaledPacked(codes=codes, stored=StoredScales(scales=scales))

    return StoredMatrix(
        path=parts.path,
        dtype=MXFP4_OCP.name,
        layout=layout,
        shape=shape,
        n_bytes=parts.n_bytes,
        rows=lambda rows: MXFP4_OCP.dequantize(packed(rows)),
        packed=lambda: packed(slice(0, shape[0])),
    )
