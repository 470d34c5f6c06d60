"""Blocks of the formats with a codebook, seen from outside: scale factors, and one opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
SUPER_SCALE = Field(name="scale of scales", kind="scale", where=slice(0, 2), says="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Scales of blocks ``(..., block_bytes)``."""

    super_scales: Weights  # (...)
    codes: NDArray[np.int16]  # (..., n_sub_blocks), as stored
    scales: Weights  # likewise, as decoding uses them


def scales_of(super_scales: Weights, codes: Packed, offset: float, times: float) -> Scales:
    """Work out sub-scales: ``times * (offset + code)`` super-scales."""
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        scales = super_scales[..., None] * (np.float32(offset) + codes.astype(np.float32))
        scales = scales * np.float32(times)
    return Scales(super_scales=super_scales, codes=codes.astype(np.int16), scales=scales)


def scale_factors(found: Scales, values: Sequence[float], overhead_bits: int) -> ScaleFactors:
    """Scale factors of blocks ``(n_rows, n_blocks, ...)`` with so many bits of scales a block."""
    n_rows, _, n_sub_blocks = found.scales.shape
    return ScaleFactors(
        scales=found.scales.reshape(n_rows, -1),
        super_scales=found.super_scales,
        scale_codes=found.codes.reshape(n_rows, -1),
        weights_per_scale=SUPER_BLOCK // n_sub_blocks,
        overhead_bits=overhead_bits / SUPER_BLOCK,
        widest_step=float(np.diff(values).max()),
    )


def signed_codes(levels: NDArray[np.uint8], n_levels: int, signs: Packed) -> NDArray[np.int32]:
    """Count codes of 256 weights from the negative magnitudes up; `signs` are 32 bytes."""
    level = levels.reshape(-1).astype(np.int32)
    minus = np.unpackbits(signs.reshape(-1), bitorder="little").astype(bool)
    return np.where(minus, n_levels - 1 - level, n_levels + level)


def signed_values(magnitudes: Sequence[int]) -> tuple[int, ...]:
    """Say what the codes stand for.

    >>> signed_values((8, 25))
    (-25, -8, 8, 25)
    """
    return (*(-size for size in reversed(magnitudes)), *magnitudes)


def open_block(
    packed: Packed,
    found: Scales,
    codes: NDArray[np.int32],
    values: Sequence[float],
    fields: Sequence[Field],
    code_bytes: Callable[[int], tuple[int, ...]],
) -> OpenedBlock:
    """Take a super-block apart.

    Parameters
    ----------
    packed
        Its bytes.
    found
        Its scales.
    codes
        Of its 256 weights.
    values
        What the codes stand for, in units of the scale.
    fields
        Runs of bytes; that of the scale need not say its value yet.
    code_bytes
        For each weight the bytes that hold bits of its code.
    """
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        grids = found.scales[:, None] * np.float32(values)
    size = SUPER_BLOCK // len(grids)
    says = f"{found.super_scales:.6g}"
    return opened(
        packed,
        fields=tuple(replace(field, says=field.says or says) for field in fields),
        parts=tuple(
            Part(
                weights=slice(size * j, size * (j + 1)),
                scale=float(found.scales[j]),
                minimum=0.0,
                grid=grid,
                scale_code=int(found.codes[j]),
            )
            for j, grid in enumerate(grids)
        ),
        codes=codes,
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
