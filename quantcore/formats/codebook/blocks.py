"""The formats with a codebook, seen from outside: scale factors, and a block opened."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import read_only
from quantcore.format import Field, OpenedBlock, Packed, Part, ScaleFactors, Weights, opened
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.codebook.codebooks import codebook, grid
from quantcore.formats.codebook.decode import SIGNS, first_half
from quantcore.formats.shared.lanes import SUPER_BLOCK

NO_IMPORTANCE = read_only(np.empty((1, 0), np.float32))
N_EIGHTS = SUPER_BLOCK // 8
SHIFTED_VALUES = (-1.125, -0.875, -0.125, 0.125, 0.875, 1.125)
SUPER_SCALE = Field(name="scale of scales", kind="scale", where=slice(0, 2), says="")
Reader = Callable[[Packed, int], NDArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockContents:
    """What a format's bytes hold."""

    name: str
    code_bits: int
    book: str  # name of its codebook
    n_shells: int  # distances at which an entry may take the place of a pattern
    levels: tuple[float, ...]  # what they stand for
    values: tuple[float, ...]  # what weights stand for with their signs or shifts, in order
    signed: Callable[[Weights, Packed], Weights]  # gives values of eight their signs or shift
    size: int  # weights of a sub-block
    unit: np.float32  # a sub-scale's code stands for (code + 1/2) * unit scales of scales
    scale_bits: int  # of a sub-scale's code
    half_of: Callable[[Packed], NDArray] = first_half  # readers: see `decode`
    code_of: Reader
    entry_of: Reader
    signs_of: Reader  # of eight weights
    fields: tuple[Field, ...]  # that of the scale need not say its value yet
    code_bytes: Callable[[int], tuple[int, ...]]  # for a weight the bytes with bits of its code

    def read(self, reader: Reader, packed: Packed, n: int) -> NDArray:
        """Numbers 0 to n - 1 of blocks ``(..., block_bytes)``, ``(..., n)``."""
        block = np.moveaxis(packed, -1, 0)
        return np.stack([reader(block, i) for i in range(n)], axis=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodebookFormat(BlockFormat):
    """A block format that chooses runs of weights from a codebook."""

    contents: BlockContents


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """What a format runs; the codebook and its table come from outside, as does the space."""

    encode: Callable  # (blocks, importance, codebook, space, packed) -> first bad block or -1
    decode: Callable  # (packed, table, out)
    new_space: Callable  # () -> space
    needs_importance: bool = False  # ggml demands it


def codebook_format(contents: BlockContents, kernels: Kernels) -> CodebookFormat:
    """Make a format of its kernels and of what its bytes hold."""

    def encode(blocks: Weights, importance: Weights, packed: Packed) -> int:
        book = codebook(contents.book, contents.n_shells)
        return kernels.encode(blocks, importance, book, kernels.new_space(), packed)

    def encode_alone(blocks: Weights, packed: Packed) -> int:
        return encode(blocks, NO_IMPORTANCE, packed)

    def decode(packed: Packed, out: Weights) -> None:
        kernels.decode(packed, grid(contents.book, contents.levels), out)

    return CodebookFormat(
        name=contents.name,
        code_bits=contents.code_bits,
        family="uneven",
        block_size=SUPER_BLOCK,
        block_bytes=max(field.where.stop for field in contents.fields),
        encode=None if kernels.needs_importance else encode_alone,
        encode_weighted=encode,
        decode=decode,
        open=partial(_open, contents),
        factors=partial(_factors, contents),
        source=f"ggml/src/ggml-quants.c, quantize_{contents.name.lower()}",
        contents=contents,
    )


def with_signs(values: Weights, signs: Packed) -> Weights:
    """Give magnitudes ``(n, 8)`` their signs, a byte for eight."""
    return values * SIGNS[signs]


def shifted(values: Weights, down: Packed) -> Weights:
    """Shift levels ``(n, 8)`` up or down by an eighth."""
    return values + np.where(down, np.float32(-0.125), np.float32(0.125))[:, None]


def signed_values(magnitudes: tuple[float, ...]) -> tuple[float, ...]:
    """Say what the codes stand for.

    >>> signed_values((8, 25))
    (-25, -8, 8, 25)
    """
    return (*(-size for size in reversed(magnitudes)), *magnitudes)


def _scales(contents, packed):
    """Scales of scales ``(...)``, codes of sub-scales, and scales as decoding uses them."""
    half = contents.half_of(np.moveaxis(packed, -1, 0))
    super_scales = np.asarray(half, "<u2").view("<f2").astype(np.float32)
    codes = contents.read(contents.code_of, packed, SUPER_BLOCK // contents.size)
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        scales = super_scales[..., None] * (np.float32(0.5) + codes.astype(np.float32))
    return super_scales, codes.astype(np.int16), scales * np.float32(contents.unit)


def _factors(contents: BlockContents, packed: Packed) -> ScaleFactors:
    super_scales, codes, scales = _scales(contents, packed)
    n_rows, _, n_sub_blocks = scales.shape
    return ScaleFactors(
        scales=scales.reshape(n_rows, -1),
        super_scales=super_scales,
        scale_codes=codes.reshape(n_rows, -1),
        weights_per_scale=contents.size,
        overhead_bits=(16 + n_sub_blocks * contents.scale_bits) / SUPER_BLOCK,
        widest_step=float(np.diff(contents.values).max()),
    )


def _open(contents: BlockContents, packed: Packed) -> OpenedBlock:
    super_scale, scale_codes, scales = _scales(contents, packed)
    table = grid(contents.book, contents.levels)
    entries = contents.read(contents.entry_of, packed, SUPER_BLOCK // table.shape[1])
    signs = contents.read(contents.signs_of, packed, N_EIGHTS)
    values = contents.signed(table[entries].reshape(N_EIGHTS, 8), signs).reshape(-1)
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        grids = scales[:, None] * np.array(contents.values, np.float32)
    says = f"{super_scale:.6g}"
    return opened(
        packed,
        fields=tuple(replace(field, says=field.says or says) for field in contents.fields),
        parts=tuple(
            Part(
                weights=slice(contents.size * j, contents.size * (j + 1)),
                scale=float(scales[j]),
                minimum=0.0,
                grid=part,
                scale_code=int(scale_codes[j]),
            )
            for j, part in enumerate(grids)
        ),
        codes=np.searchsorted(np.array(contents.values, np.float32), values).astype(np.int32),
        first_code=0,
        code_bytes=tuple(contents.code_bytes(i) for i in range(SUPER_BLOCK)),
    )


def sign_bytes(start: int, i: int) -> tuple[int, ...]:
    """Bytes with bits of the sign of weight i of 32, in a word of four times seven bits."""
    first = 7 * (i // 8)
    bits = range(first, first + 7) if i % 8 == 7 else (first + i % 8,)
    return tuple(sorted({start + bit // 8 for bit in bits}))
