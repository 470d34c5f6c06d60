"""The scale factors of a super-block: a float16 times a small integer for each sub-block."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.format import ScaleFactors, Weights
from quantcore.formats.shared.lanes import SUPER_BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class SubScales:
    """What a super-block's scales are made of: a float16 times a small integer a sub-block."""

    super_scales: Weights  # (...)
    scale_codes: NDArray[np.int16]  # (..., n_sub_blocks), signed in Q3_K and Q6_K
    super_minimums: Weights | None = None
    minimum_codes: NDArray[np.int16] | None = None


def scale_factors(sub_scales: SubScales, bits_per_weight: float, code_bits: int) -> ScaleFactors:
    """Scale factors from sub-scales of shape ``(n_rows, n_blocks, n_sub_blocks)``."""
    n_rows, _, n_sub_blocks = sub_scales.scale_codes.shape
    scales, minimums = products(sub_scales)
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


def products(sub_scales: SubScales) -> tuple[Weights, Weights | None]:
    """Scales and minima as decoding uses them, ``(..., n_sub_blocks)``."""
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        scales = sub_scales.super_scales[..., None] * sub_scales.scale_codes.astype(np.float32)
        if sub_scales.super_minimums is None or sub_scales.minimum_codes is None:
            return scales, None
        codes = sub_scales.minimum_codes.astype(np.float32)
        return scales, sub_scales.super_minimums[..., None] * codes
