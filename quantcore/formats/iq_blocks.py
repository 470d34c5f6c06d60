"""Blocks of IQ2 and IQ3 seen from outside: signs, scale factors, and one of them opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import read_only
from quantcore.format import Field, OpenedBlock, Packed, Part, ScaleFactors, Weights, opened
from quantcore.formats.k_lanes import SUPER_BLOCK

NO_IMPORTANCE = read_only(np.empty((1, 0), np.float32))

# Bit i of a byte is the sign of weight i; of seven bits, the eighth makes their number even.
SIGNS = np.where(np.arange(256)[:, None] >> np.arange(8) & 1, -1, 1).astype(np.float32)
EVEN = np.uint8([bits | (bits.bit_count() & 1) << 7 for bits in range(128)])
EVEN_SIGNS = SIGNS[EVEN]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What blocks ``(..., block_bytes)`` hold."""

    super_scales: Weights  # (...)
    scale_codes: NDArray[np.int16]  # (..., n_sub_blocks)
    scales: Weights  # likewise, as decoding uses them
    entries: NDArray[np.int64]  # (..., n_runs), numbers in the codebook
    signs: NDArray[np.uint8]  # (..., 32), a byte for eight weights


def scale_factors(contents: Contents, overhead_bits: float) -> ScaleFactors:
    """Scale factors of blocks ``(n_rows, n_blocks, block_bytes)``."""
    n_rows, _, n_sub_blocks = contents.scales.shape
    return ScaleFactors(
        scales=contents.scales.reshape(n_rows, -1),
        minimums=None,
        super_scales=contents.super_scales,
        super_minimums=None,
        scale_codes=contents.scale_codes.reshape(n_rows, -1),
        minimum_codes=None,
        weights_per_scale=SUPER_BLOCK // n_sub_blocks,
        overhead_bits=overhead_bits,
    )


def open_block(
    packed: Packed,
    contents: Contents,
    levels: NDArray[np.uint8],
    magnitudes: Sequence[int],
    fields: Sequence[Field],
    code_bytes: Callable[[int], tuple[int, ...]],
) -> OpenedBlock:
    """Take a super-block apart.

    Parameters
    ----------
    packed
        Its bytes.
    contents
        What they hold.
    levels
        Of each entry of the codebook.
    magnitudes
        What each level stands for; a code counts them from the negative ones up.
    fields
        Runs of bytes, the first of them the scale of scales.
    code_bytes
        For each weight the bytes that hold bits of its entry and its sign.
    """
    middle = len(magnitudes)
    level = levels[contents.entries].reshape(-1).astype(np.int32)
    minus = np.unpackbits(contents.signs, bitorder="little").astype(bool)
    values = np.float32([-size for size in magnitudes[::-1]] + list(magnitudes))
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        grids = contents.scales[:, None] * values
    size = SUPER_BLOCK // len(grids)
    first = Field(
        name="scale of scales",
        kind="scale",
        where=slice(0, 2),
        says=f"{contents.super_scales:.6g}",
    )
    return opened(
        packed,
        fields=(first, *fields),
        parts=tuple(
            Part(
                weights=slice(size * j, size * (j + 1)),
                scale=float(contents.scales[j]),
                minimum=0.0,
                grid=grid,
                scale_code=int(contents.scale_codes[j]),
            )
            for j, grid in enumerate(grids)
        ),
        codes=np.where(minus, middle - 1 - level, middle + level),
        first_code=0,
        code_bytes=tuple(code_bytes(i) for i in range(SUPER_BLOCK)),
    )


def in_order(packed: Packed) -> Packed:
    """Take nibbles apart where neighbours share a byte, the first one low."""
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)


def sign_bytes(start: int, i: int) -> tuple[int, ...]:
    """Bytes with bits of the sign of weight i of 32, in a word of four times seven bits."""
    first = 7 * (i // 8)
    bits = range(first, first + 7) if i % 8 == 7 else (first + i % 8,)
    return tuple(sorted({start + bit // 8 for bit in bits}))
