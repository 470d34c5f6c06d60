"""Q8_0: 32 weights share one float16 scale and hold an 8-bit code each (8.5 bits per weight).

restored = scale * code          code from -127 to 127

byte  0       2                              34
      | scale | 32 codes, signed bytes       |
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.bits import half_bits, half_value, halves
from quantcore.format import BlockFormat, Field, OpenedBlock, Packed, Part, ScaleFactors, opened
from quantcore.rounding import round_half_away

BLOCK_SIZE = 32
BLOCK_BYTES = 34


@kernel
def _encode(blocks, packed):
    bits = blocks.view(np.int32)
    for b in range(blocks.shape[0]):
        # Positive floats sort like their bits, and integer maxima vectorize.
        peak = np.int32(0)
        for i in range(32):
            peak = max(peak, np.int32(bits[b, i] & np.int32(0x7FFFFFFF)))
        if peak >= np.int32(0x7F800000):
            return b

        scale = np.float32(np.int32(peak).view(np.float32) / np.float32(127))
        inv_scale = np.float32(1) / scale if scale > np.float32(0) else np.float32(0)
        if inv_scale == np.float32(np.inf):  # a scale below 3e-39: ggml's codes come out as 0
            inv_scale = np.float32(0)
        half = half_bits(scale)
        packed[b, 0] = half & 0xFF
        packed[b, 1] = half >> 8
        for i in range(32):
            packed[b, 2 + i] = round_half_away(np.float32(blocks[b, i] * inv_scale))
    return -1


@kernel
def _decode(packed, out):
    codes = packed.view(np.int8)
    for b in range(packed.shape[0]):
        scale = half_value(packed[b, 0], packed[b, 1])
        for i in range(32):
            out[b, i] = np.float32(codes[b, 2 + i]) * scale


def _open(packed: Packed) -> OpenedBlock:
    scale = halves(packed, 0)
    grid = scale * np.arange(-128, 128, dtype=np.float32)
    return opened(
        packed,
        fields=(
            Field(name="scale", kind="scale", where=slice(0, 2), says=f"{scale:.6g}"),
            Field(name="codes", kind="codes", where=slice(2, 34), says="32 signed bytes"),
        ),
        parts=(Part(weights=slice(0, BLOCK_SIZE), scale=float(scale), minimum=0.0, grid=grid),),
        codes=packed[2:].view(np.int8).astype(np.int32) + 128,
        first_code=-128,
        code_bytes=tuple((2 + i,) for i in range(BLOCK_SIZE)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return ScaleFactors(
        scales=halves(packed, 0),
        minimums=None,
        super_scales=None,
        super_minimums=None,
        scale_codes=None,
        minimum_codes=None,
        weights_per_scale=BLOCK_SIZE,
        overhead_bits=16 / BLOCK_SIZE,
    )


Q8_0 = BlockFormat(
    name="Q8_0",
    code_bits=8,
    family="plain",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q8_0_ref",
)
