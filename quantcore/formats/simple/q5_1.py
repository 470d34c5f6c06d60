"""Q5_1: 32 weights share a float16 scale and minimum, with 5-bit codes (6 bits per weight).

restored = scale * code + minimum      code from 0 to 31

    byte  0       2         4                       8                                          24
          | scale | minimum | fifth bits, 32 in all | 16 bytes: weight j low, weight j+16 high |

Bit j of the four bytes is the fifth bit of weight j.
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.format import OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.shared.magnitudes import lowest_and_highest
from quantcore.formats.simple.blocks import BLOCK_SIZE, open_block, scale_factors
from quantcore.formats.simple.codes import fifth_bits, half_at, store_five_bits, store_half_at
from quantcore.formats.simple.weighted import encode_affine

BLOCK_BYTES = 24
HIGHEST = 31


@kernel
def _encode(blocks, packed):
    codes = np.empty(32, np.int32)
    bits = blocks.view(np.int32)
    for b in range(blocks.shape[0]):
        lowest, highest = lowest_and_highest(bits, b, 32)
        if not (abs(lowest) < np.float32(np.inf) and abs(highest) < np.float32(np.inf)):
            return b
        scale = np.float32(np.float32(highest - lowest) / np.float32(31))
        inv_scale = np.float32(1) / scale if scale != np.float32(0) else np.float32(0)
        usable = max(scale, inv_scale) < np.float32(np.inf)  # else ggml's codes come out as 0
        for i in range(32):
            # Adding 0.5 and cutting off rounds half up; each step is rounded by itself.
            code = np.float32(np.float32(blocks[b, i] - lowest) * inv_scale)
            codes[i] = np.int32(code + np.float32(0.5)) if usable else np.int32(0)

        store_half_at(scale, packed, b, 0)
        store_half_at(lowest, packed, b, 2)
        store_five_bits(codes, packed, b, 4)
    return -1


@kernel
def _encode_weighted(blocks, importance, packed):
    return encode_affine(blocks, importance, packed, HIGHEST, store_five_bits)


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        scale = half_at(packed, b, 0)
        minimum = half_at(packed, b, 2)
        high = fifth_bits(packed, b, 4)
        for i in range(16):
            pair = np.uint32(packed[b, 8 + i])
            low = np.int32((pair & 15) | ((high >> i) & 1) << 4)
            up = np.int32((pair >> 4) | ((high >> (16 + i)) & 1) << 4)
            out[b, i] = np.float32(np.float32(low) * scale) + minimum
            out[b, 16 + i] = np.float32(np.float32(up) * scale) + minimum


def _open(packed: Packed) -> OpenedBlock:
    return open_block(packed, code_bits=5, has_minimum=True)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(packed, has_minimum=True)


Q5_1 = BlockFormat(
    name="Q5_1",
    code_bits=5,
    family="offset",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q5_1_ref",
)
