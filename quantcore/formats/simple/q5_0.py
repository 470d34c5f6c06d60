"""Q5_0: 32 weights share one float16 scale and hold a 5-bit code each (5.5 bits per weight).

restored = scale * (stored code - 16)      code from -16 to 15

    byte  0       2                       6                                          22
          | scale | fifth bits, 32 in all | 16 bytes: weight j low, weight j+16 high |

Bit j of the four bytes is the fifth bit of weight j. As in Q4_0, the scale's sign puts the largest
weight on -16.
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.format import OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.simple.blocks import BLOCK_SIZE, open_block, scale_factors, signed_peak
from quantcore.formats.simple.codes import fifth_bits, half_at, store_five_bits, store_half_at
from quantcore.formats.simple.weighted import encode_symmetric

BLOCK_BYTES = 22
N = 16  # codes from -N to N - 1


@kernel
def _encode(blocks, packed):
    codes = np.empty(32, np.int32)
    bits = blocks.view(np.int32)
    for b in range(blocks.shape[0]):
        peak = signed_peak(bits, b)
        if not abs(peak) < np.float32(np.inf):
            return b
        scale = np.float32(peak / np.float32(-16))
        inv_scale = np.float32(1) / scale if scale != np.float32(0) else np.float32(0)
        shift = np.float32(16.5)
        if abs(inv_scale) == np.float32(np.inf):  # a scale below 3e-39: ggml's codes come out as 0
            inv_scale = np.float32(0)
            shift = np.float32(0)
        for i in range(32):
            code = np.int32(np.float32(blocks[b, i] * inv_scale) + shift)
            codes[i] = min(code, np.int32(31))

        store_half_at(scale, packed, b, 0)
        store_five_bits(codes, packed, b, 2)
    return -1


@kernel
def _encode_weighted(blocks, importance, packed):
    return encode_symmetric(blocks, importance, packed, N, store_five_bits)


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        scale = half_at(packed, b, 0)
        high = fifth_bits(packed, b, 2)
        for i in range(16):
            pair = np.uint32(packed[b, 6 + i])
            low = np.int32((pair & 15) | ((high >> i) & 1) << 4)
            up = np.int32((pair >> 4) | ((high >> (16 + i)) & 1) << 4)
            out[b, i] = np.float32(low - np.int32(16)) * scale
            out[b, 16 + i] = np.float32(up - np.int32(16)) * scale


def _open(packed: Packed) -> OpenedBlock:
    return open_block(packed, code_bits=5, has_minimum=False)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(packed, has_minimum=False)


Q5_0 = BlockFormat(
    name="Q5_0",
    code_bits=5,
    family="plain",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q5_0_ref",
)
