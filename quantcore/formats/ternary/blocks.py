"""What TQ1_0 and TQ2_0 share: one float16 scale for 256 weights that are -1, 0 or 1 times it."""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined
from quantcore.bits import halves
from quantcore.format import Field, OpenedBlock, Packed, Part, ScaleFactors, Weights, opened
from quantcore.formats.shared.lanes import SUPER_BLOCK
from quantcore.rounding import round_half_away


@inlined
def inverse(scale):
    """Return 1 / scale, or 0 where it is beyond float32: ggml's codes are in the middle then."""
    inv_scale = np.float32(1) / scale if scale > np.float32(0) else np.float32(0)
    return inv_scale if inv_scale < np.float32(np.inf) else np.float32(0)


@inlined
def trit(weight, inv_scale):
    """Round a weight to -1, 0 or 1 steps and count from 0."""
    return round_half_away(np.float32(weight * inv_scale)) + np.int32(1)


def open_block(
    packed: Packed,
    scale_byte: int,
    codes: NDArray[np.int32],
    code_bytes: tuple[tuple[int, ...], ...],
    says: str,
) -> OpenedBlock:
    """Take a block apart whose codes, counted from 0, were read already."""
    scale = halves(packed, scale_byte)
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        # Two bits could also say 2: ggml never writes it, but decodes it.
        steps = np.arange(-1, max(2, int(codes.max())), dtype=np.float32)
        grid: Weights = scale * steps
    return opened(
        packed,
        fields=(
            Field(name="codes", kind="codes", where=slice(0, scale_byte), says=says),
            Field(
                name="scale",
                kind="scale",
                where=slice(scale_byte, scale_byte + 2),
                says=f"{scale:.6g}",
            ),
        ),
        parts=(Part(weights=slice(0, SUPER_BLOCK), scale=float(scale), minimum=0.0, grid=grid),),
        codes=codes,
        first_code=-1,
        code_bytes=code_bytes,
    )


def scale_factors(packed: Packed, scale_byte: int) -> ScaleFactors:
    """Scales of blocks ``(n_rows, n_blocks, block_bytes)``."""
    return ScaleFactors(
        scales=halves(packed, scale_byte),
        weights_per_scale=SUPER_BLOCK,
        overhead_bits=16 / SUPER_BLOCK,
    )
