"""A super-block of a K-quant taken apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Field, OpenedBlock, Packed, Part, Weights, opened
from quantcore.formats.shared.lanes import SUPER_BLOCK
from quantcore.formats.shared.sub_scales import SubScales, products


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A run of bytes with a few bits of every code; `k/codes.py` draws how they lie."""

    start: int  # first byte
    bits: int  # of each code
    reach: int = 32  # distance of two codes that share a byte
    shift: int = 0  # place of these bits in the code

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each of the 256 weights the byte, and the lowest bit in it."""
        group, i = np.divmod(np.arange(SUPER_BLOCK), self.reach * 8 // self.bits)
        step, i = np.divmod(i, self.reach)
        return self.start + self.reach * group + i, self.bits * step


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
    scales, minimums = products(sub_scales)
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
