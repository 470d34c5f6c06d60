"""Q4_0: 32 weights share one float16 scale and hold a 4-bit code each (4.5 bits per weight).

    restored = scale * (nibble - 8)      code = nibble - 8, from -8 to 7

    byte  0       2                                          18
          | scale | 16 bytes: weight j low, weight j+16 high |

The scale's sign is chosen so that the largest weight lands on -8, the one code without a mirror
image: 8 does not exist.
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.format import OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.simple.blocks import BLOCK_SIZE, open_block, scale_factors, signed_peak
from quantcore.formats.simple.codes import half_at, store_half_at, store_nibbles
from quantcore.formats.simple.weighted import encode_symmetric

BLOCK_BYTES = 18
N = 8  # codes from -N to N - 1


@kernel
def _encode(blocks, packed):
    bits = blocks.view(np.int32)
    for b in range(blocks.shape[0]):
        peak = signed_peak(bits, b)
        if not abs(peak) < np.float32(np.inf):
            return b
        scale = np.float32(peak / np.float32(-8))
        inv_scale = np.float32(1) / scale if scale != np.float32(0) else np.float32(0)
        shift = np.float32(8.5)
        if abs(inv_scale) == np.float32(np.inf):  # a scale below 3e-39: ggml's codes come out as 0
            inv_scale = np.float32(0)
            shift = np.float32(0)

        store_half_at(scale, packed, b, 0)
        for i in range(16):
            # Adding 8.5 and cutting off rounds half up; product and sum are rounded one by one.
            low = np.int32(np.float32(blocks[b, i] * inv_scale) + shift)
            high = np.int32(np.float32(blocks[b, 16 + i] * inv_scale) + shift)
            packed[b, 2 + i] = min(low, np.int32(15)) | (min(high, np.int32(15)) << 4)
    return -1


@kernel
def _encode_weighted(blocks, importance, packed):
    return encode_symmetric(blocks, importance, packed, N, store_nibbles)


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        scale = half_at(packed, b, 0)
        for i in range(16):
            pair = np.int32(packed[b, 2 + i])
            out[b, i] = np.float32((pair & np.int32(15)) - np.int32(8)) * scale
            out[b, 16 + i] = np.float32((pair >> np.int32(4)) - np.int32(8)) * scale


def _open(packed: Packed) -> OpenedBlock:
    return open_block(packed, code_bits=4, has_minimum=False)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(packed, has_minimum=False)


Q4_0 = BlockFormat(
    name="Q4_0",
    code_bits=4,
    family="plain",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q4_0_ref",
)
