"""bitsandbytes' NF4 and INT8.

    NF4    weight uint8 (n_weights / 2, 1), the first of two codes in the high half
           weight.absmax float32 (n_blocks,), or uint8 with what follows
           weight.nested_absmax float32 (n_blocks / 256,), weight.nested_quant_map
           weight.quant_state.bitsandbytes__nf4, uint8: JSON with blocksize, shape, nested_offset
    INT8   weight int8 (n_rows, n_cols), SCB float32 (n_rows,): the largest magnitude of each row

Blocks of NF4 run on over the ends of rows. INT8 is restored as ``(code * SCB) * (1 / 127)``, each
product rounded to float32, NF4 as in `quantcore.formats.outside_gguf.nf4`.

Source: bitsandbytes 0.50.2, functional.py (QuantState, int8_vectorwise_dequant).
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Packed, Weights
from quantcore.formats.integers.integer import IntegerPacked
from quantcore.formats.outside_gguf import nf4
from quantcore.formats.outside_gguf.dynamic_map import DYNAMIC_MAP
from quantcore.formats.outside_gguf.scaled import ScaledPacked, StoredScales
from quantcore.io.config_json import ConfigJson
from quantcore.io.strict_json import parse_json_object
from quantcore.layouts.parts import Parts
from quantcore.layouts.stored_matrix import StoredMatrix

STATE = "weight.quant_state.bitsandbytes__"
PARTS = (
    *("weight", "weight.absmax", "weight.quant_map", "weight.nested_absmax"),
    *("weight.nested_quant_map", f"{STATE}nf4", f"{STATE}fp4", "SCB", "weight_format"),
)
PER_127 = np.float32(7.874015718698502e-3)
LAYOUT = "bitsandbytes"


def open_matrix(parts: Parts) -> StoredMatrix:
    """Read a matrix by its arrays; a `ModelError` where they do not fit each other."""
    if "SCB" in parts or parts.find("weight", "I8", "U8").dtype == "I8":
        return _int8(parts)
    if f"{STATE}fp4" in parts:
        raise parts.error("is stored as bitsandbytes' FP4; the lab reads its NF4 and INT8.")
    return _nf4(parts)


def _int8(parts: Parts) -> StoredMatrix:
    weight = parts.matrix("weight", "I8")
    peaks = parts.shaped("SCB", weight.shape[:1], "F32").read()
    if "weight_format" in parts and parts.tensors["weight_format"].codes().any():
        raise parts.error("has a weight_format other than rows (0).")

    def rows(part: slice) -> Weights:
        values = weight.codes(part).astype(np.float32)
        values *= peaks[part, None]
        values *= PER_127
        return values

    def packed() -> IntegerPacked:
        scales = (peaks * PER_127)[:, None]
        return IntegerPacked(codes=weight.codes(), scales=scales, zero_points=None)

    return StoredMatrix(
        path=parts.path,
        dtype="INT8_ROW",
        layout=LAYOUT,
        shape=weight.shape,
        n_bytes=parts.n_bytes,
        rows=rows,
        packed=packed,
    )


class _Nf4:
    """One matrix in NF4: which bytes and which blocks its rows need."""

    def __init__(self, parts: Parts) -> None:
        state = parts.find(f"{STATE}nf4", "U8").codes().tobytes()
        said = ConfigJson(parse_json_object(state, f"The quant_state of {parts.module[:80]}"))
        self.shape, self.block = _checked_shape(parts, said), said.get("blocksize")
        if type(self.block) is not int or not 2 <= self.block <= 2**16 or self.block % 2:
            raise parts.error("has a quant_state without a blocksize.")
        n_weights = math.prod(self.shape)
        n_blocks = -(-n_weights // self.block)
        self.codes = parts.find("weight", "U8")
        if math.prod(self.codes.shape) * 2 != n_weights or self.shape[1] % 2:
            raise parts.error(f"has {math.prod(self.codes.shape):,} bytes for {self.shape}.")
        self.nested = "weight.nested_absmax" in parts
        kinds = ("U8",) if self.nested else ("F32",)
        self.absmax = parts.shaped("weight.absmax", (n_blocks,), *kinds)
        _check_table(parts, "weight.quant_map", nf4.VALUES)
        if self.nested:
            _check_table(parts, "weight.nested_quant_map", DYNAMIC_MAP)
            n_super = -(-n_blocks // nf4.SUPER_BLOCK)
            self.super_scales = parts.shaped("weight.nested_absmax", (n_super,), "F32").read()
            offset = said.get("nested_offset")
            ours = said.get("nested_blocksize", nf4.SUPER_BLOCK) == nf4.SUPER_BLOCK
            if type(offset) not in (int, float) or not ours:
                raise parts.error("has a quant_state without nested_offset or of other blocks.")
            self.offset = np.float32(offset)

    @property
    def is_ours(self) -> bool:
        """Whether blocks are those of the lab's NF4: 64 weights of a row."""
        return self.block == nf4.BLOCK_SIZE and self.shape[1] % self.block == 0

    def scales(self, first: int, last: int) -> Weights:
        """Scales of some blocks."""
        stored = self.absmax.codes(slice(first, last))
        if not self.nested:
            return stored.astype(np.float32, copy=False)
        values: Weights = DYNAMIC_MAP[stored]
        values *= self.super_scales[np.arange(first, last) // nf4.SUPER_BLOCK]
        values += self.offset
        return values

    def bytes_of(self, rows: slice) -> Packed:
        """Bytes of rows, (n, n_cols / 2)."""
        width = self.shape[1] // 2
        flat = self.codes.codes(slice(rows.start * width, rows.stop * width))
        return flat.reshape(-1, width)

    def rows(self, rows: slice) -> Weights:
        """Decode rows, by the lab's format where blocks are the same."""
        first, last = rows.start * self.shape[1], rows.stop * self.shape[1]
        scales = self.scales(first // self.block, -(-last // self.block))
        if self.is_ours:
            stored = StoredScales(scales=scales.reshape(rows.stop - rows.start, -1))
            return nf4.NF4.dequantize(ScaledPacked(codes=self.bytes_of(rows), stored=stored))
        packed = self.bytes_of(rows)
        values = nf4.VALUES[np.stack([packed >> 4, packed & 15], axis=-1).reshape(len(packed), -1)]
        blocks = np.arange(first, last) // self.block - first // self.block
        values *= scales[blocks].reshape(values.shape)
        return values

    def packed(self) -> ScaledPacked | None:
        """Pack it as the lab's NF4 or NF4_DQ."""
        if not self.is_ours:
            return None
        scales = self.absmax.codes().reshape(self.shape[0], -1)
        stored = StoredScales(scales=scales)
        if self.nested:
            stored = replace(stored, super_scales=self.super_scales, offset=self.offset)
        return ScaledPacked(codes=self.bytes_of(slice(0, self.shape[0])), stored=stored)


def _nf4(parts: Parts) -> StoredMatrix:
    matrix = _Nf4(parts)
    name = "NF4_DQ" if matrix.nested else "NF4"
    return StoredMatrix(
        path=parts.path,
        dtype=name if matrix.is_ours else f"{name}_B{matrix.block}",
        layout=LAYOUT,
        shape=matrix.shape,
        n_bytes=parts.n_bytes,
        rows=matrix.rows,
        packed=matrix.packed,
    )


def _checked_shape(parts: Parts, said: ConfigJson) -> tuple[int, int]:
    shape = said.get("shape")
    if not isinstance(shape, list) or len(shape) != 2:
        raise parts.error("has a quant_state without the shape of its weights.")
    if any(type(n) is not int or not 0 < n < 2**31 for n in shape):
        raise parts.error("has a quant_state with a shape that makes no sense.")
    return shape[0], shape[1]


def _check_table(parts: Parts, part: str, known: NDArray[np.float32]) -> None:
    if not np.array_equal(parts.shaped(part, known.shape, "F32").read(), known):
        raise parts.error(f"has a {part} of its own; the lab knows bitsandbytes' table.")
