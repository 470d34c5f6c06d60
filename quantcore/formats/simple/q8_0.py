"""Q8_0: 32 weights share one float16 scale and hold an 8-bit code each (8.5 bits per weight).

restored = scale * code          code from -127 to 127

byte  0       2                              34
      | scale | 32 codes, signed bytes       |
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.format import OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.simple.blocks import BLOCK_SIZE, open_block, scale_factors
from quantcore.formats.simple.codes import half_at, store_half_at
from quantcore.rounding import round_half_away

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
        store_half_at(scale, packed, b, 0)
        for i in range(32):
            packed[b, 2 + i] = round_half_away(np.float32(blocks[b, i] * inv_scale))
    return -1


@kernel
def _decode(packed, out):
    codes = packed.view(np.int8)
    for b in range(packed.shape[0]):
        scale = half_at(packed, b, 0)
        for i in range(32):
            out[b, i] = np.float32(codes[b, 2 + i]) * scale


def _open(packed: Packed) -> OpenedBlock:
    return open_block(packed, code_bits=8, has_minimum=False)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(packed, has_minimum=False)


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
