"""Q4_1: 32 weights share a float16 scale and minimum, with 4-bit codes (5 bits per weight).

restored = scale * code + minimum      code from 0 to 15

    byte  0       2         4                                          20
          | scale | minimum | 16 bytes: weight j low, weight j+16 high |
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.format import OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.shared.magnitudes import lowest_and_highest
from quantcore.formats.simple.blocks import BLOCK_SIZE, open_block, scale_factors
from quantcore.formats.simple.codes import half_at, store_half_at, store_nibbles
from quantcore.formats.simple.weighted import encode_affine

BLOCK_BYTES = 20
HIGHEST = 15


@kernel
def _encode(blocks, packed):
    bits = blocks.view(np.int32)
    for b in range(blocks.shape[0]):
        lowest, highest = lowest_and_highest(bits, b, 32)
        if not (abs(lowest) < np.float32(np.inf) and abs(highest) < np.float32(np.inf)):
            return b
        scale = np.float32(np.float32(highest - lowest) / np.float32(15))
        inv_scale = np.float32(1) / scale if scale != np.float32(0) else np.float32(0)
        store_half_at(scale, packed, b, 0)
        store_half_at(lowest, packed, b, 2)
        if max(scale, inv_scale) == np.float32(
            np.inf
        ):  # beyond float32: ggml's codes come out as 0
            for i in range(16):
                packed[b, 4 + i] = 0
            continue
        for i in range(16):
            # Adding 0.5 and cutting off rounds half up; each step is rounded by itself.
            low = np.float32(np.float32(blocks[b, i] - lowest) * inv_scale)
            high = np.float32(np.float32(blocks[b, 16 + i] - lowest) * inv_scale)
            low_code = min(np.int32(low + np.float32(0.5)), np.int32(15))
            high_code = min(np.int32(high + np.float32(0.5)), np.int32(15))
            packed[b, 4 + i] = low_code | high_code << 4
    return -1


@kernel
def _encode_weighted(blocks, importance, packed):
    return encode_affine(blocks, importance, packed, HIGHEST, store_nibbles)


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        scale = half_at(packed, b, 0)
        minimum = half_at(packed, b, 2)
        for i in range(16):
            pair = np.int32(packed[b, 4 + i])
            low = np.float32(np.float32(pair & np.int32(15)) * scale)
            high = np.float32(np.float32(pair >> np.int32(4)) * scale)
            out[b, i] = low + minimum
            out[b, 16 + i] = high + minimum


def _open(packed: Packed) -> OpenedBlock:
    return open_block(packed, code_bits=4, has_minimum=True)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(packed, has_minimum=True)


Q4_1 = BlockFormat(
    name="Q4_1",
    code_bits=4,
    family="offset",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q4_1_ref",
)
