"""TQ2_0: 256 weights share one float16 scale and are -1, 0 or 1 times it (2.0625 bits per weight).

    restored = scale * code          code from -1 to 1, stored as 0 to 2 in two bits

    byte  0                      32                       64      66
          | codes 0 to 127, four | codes 128 to 255, four | scale |
          | in each of 32 bytes  | in each of 32 bytes    |       |

Code i of a half lies in byte i mod 32, bits 2 * (i div 32) on. The scale is the largest magnitude:
made for models that were trained with three values, and bad for all others.
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.bits import half_value, store_half, to_float
from quantcore.format import OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.shared.lanes import SUPER_BLOCK
from quantcore.formats.shared.magnitudes import largest_magnitude
from quantcore.formats.ternary.blocks import inverse, open_block, scale_factors, trit

BLOCK_BYTES = 66
SCALE = 64  # first byte


@kernel
def _encode(blocks, packed):
    for b in range(blocks.shape[0]):
        scale = largest_magnitude(blocks[b])
        if not scale < np.float32(np.inf):
            return b
        inv_scale = inverse(scale)
        store_half(scale, packed[b, SCALE:])
        for half in range(2):
            for i in range(32):
                byte = np.int32(0)
                for n in range(4):
                    weight = blocks[b, 128 * half + 32 * n + i]
                    byte |= (trit(weight, inv_scale) & 3) << (2 * n)
                packed[b, 32 * half + i] = byte & 255
    return -1


@kernel
def _decode(packed, out):
    one = np.float32(1)
    for b in range(packed.shape[0]):
        scale = half_value(packed[b, SCALE], packed[b, SCALE + 1])
        for half in range(2):
            for i in range(32):
                byte = packed[b, 32 * half + i]
                for n in range(4):
                    code = to_float(np.uint8(byte >> np.uint8(2 * n) & 3))
                    out[b, 128 * half + 32 * n + i] = (code - one) * scale


def _code_places() -> tuple[tuple[int, ...], ...]:
    return tuple((32 * (i // 128) + i % 32,) for i in range(SUPER_BLOCK))


def _open(packed: Packed) -> OpenedBlock:
    places = np.array(_code_places())[:, 0]
    codes = packed[places].astype(np.int32) >> 2 * (np.arange(SUPER_BLOCK) // 32 % 4) & 3
    return open_block(packed, SCALE, codes, _code_places(), "four codes a byte, 2 bits each")


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(packed, SCALE)


TQ2_0 = BlockFormat(
    name="TQ2_0",
    code_bits=2,
    family="ternary",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_tq2_0_ref",
)
