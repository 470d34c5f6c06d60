"""Super-blocks seen from outside: their scale factors, and one of them opened."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Field, OpenedBlock, Packed, Part, ScaleFactors, Weights, opened
from quantcore.formats.k.lanes import SUPER_BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class SubScales:
    """What a super-block's scales are made of: a float16 times a small integer a sub-block."""

    super_scales: Weights  # (...)
    scale_codes: NDArray[np.int16]  # (..., n_sub_blocks), signed in Q3_K and Q6_K
    super_minimums: Weights | None = None
    minimum_codes: NDArray[np.int16] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A run of bytes with a few bits of every code; `k_codes` draws how they lie."""

    start: int  # first byte
    bits: int  # of each code
    reach: int = 32  # distance of two codes that share a byte
    shift: int = 0  # place of these bits in the code

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each of the 256 weights the byte, and the lowest bit in it."""
        group, i = np.divmod(np.arange(SUPER_BLOCK), self.reach * 8 // self.bits)
        step, i = np.divmod(i, self.reach)
        return self.start + self.reach * group + i, self.bits * step


def scale_factors(sub_scales: SubScales, bits_per_weight: float, code_bits: int) -> ScaleFactors:
    """Scale factors from sub-scales of shape ``(n_rows, n_blocks, n_sub_blocks)``."""
    n_rows, _, n_sub_blocks = sub_scales.scale_codes.shape
    scales, minimums = _products(sub_scales)
    codes = sub_scales.minimum_codes
    return ScaleFactors(
        scales=scales.reshape(n_rows, -1),
        minimums=None if minimums is None else minimums.reshape(n_rows, -1),
        super_scales=sub_scales.super_scales,
        super_minimums=sub_scales.super_minimums,
        scale_codes=sub_scales.scale_codes.reshape(n_rows, -1),
        minimum_codes=None if codes is None else codes.reshape(n_rows, -1),
        weights_per_scale=SUPER_BLOCK // n_sub_blocks,
        overhead_bits=bits_per_weight - code_bits,
    )


def open_block(
    packed: Packed,
    sub_scales: SubScales,
    planes: Sequence[Plane],
    first_code: int,
    fields: Sequence[Field],
) -> OpenedBlock:
    """Take a super-block apart; fields of float16 need not say their value yet."""
    values = {"scale": sub_scales.super_scales, "minimum": sub_scales.super_minimums}
    said = [
        replace(field, says=f"{values[field.kind]:.6g}") if field.kind in values else field
        for field in fields
    ]
    places = [plane.places() for plane in planes]
    codes = np.zeros(SUPER_BLOCK, np.int32)
    for plane, (where, shift) in zip(planes, places, strict=True):
        codes |= (packed[where] >> shift & (1 << plane.bits) - 1).astype(np.int32) << plane.shift
    n_codes = 1 << sum(plane.bits for plane in planes)
    code_bytes = zip(*(where.tolist() for where, _ in places), strict=True)
    return opened(
        packed,
        fields=tuple(said),
        parts=_parts(sub_scales, np.arange(first_code, first_code + n_codes, dtype=np.float32)),
        codes=codes,
        first_code=first_code,
        code_bytes=tuple(code_bytes),
    )


def _parts(sub_scales: SubScales, stored_codes: Weights) -> tuple[Part, ...]:
    scales, minimums = _products(sub_scales)
    minimums = np.zeros_like(scales) if minimums is None else minimums
    minimum_codes = sub_scales.minimum_codes
    size = SUPER_BLOCK // len(scales)
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        grids = scales[:, None] * stored_codes - minimums[:, None]
    return tuple(
        Part(
            weights=slice(size * j, size * (j + 1)),
            scale=float(scales[j]),
            minimum=float(minimums[j]),
            grid=grids[j],
            scale_code=int(sub_scales.scale_codes[j]),
            minimum_code=None if minimum_codes is None else int(minimum_codes[j]),
        )
        for j in range(len(scales))
    )


def _products(sub_scales: SubScales) -> tuple[Weights, Weights | None]:
    """Scales and minima as decoding uses them, ``(..., n_sub_blocks)``."""
    with np.errstate(invalid="ignore"):  # as above
        scales = sub_scales.super_scales[..., None] * sub_scales.scale_codes.astype(np.float32)
        if sub_scales.super_minimums is None:
            return scales, None
        codes = sub_scales.minimum_codes.astype(np.float32)
        return scales, sub_scales.super_minimums[..., None] * codes
