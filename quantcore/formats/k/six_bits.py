"""The first 16 bytes of Q4_K and Q5_K: two float16, and eight 6-bit pairs of scale and minimum.

byte 0        2         4                    8                    12                16
     | scale  | scale   | scale 0 to 3,      | minimum 0 to 3,    | low 4 bits of 4   |
     | of     | of      | over it 2 high     | over it 2 high     | to 7: minimum     |
     | scales | minimums| bits of 4 to 7     | bits of 4 to 7     | over scale        |
"""

import numpy as np

from quantcore._jit import inlined, pasted
from quantcore.bits import half_value, halves, store_half, to_float
from quantcore.format import Field, Packed
from quantcore.formats.shared.lanes import MINIMUM, SCALE, TOTAL
from quantcore.formats.shared.scales import divide
from quantcore.formats.shared.sub_scales import SubScales
from quantcore.formats.shared.weighted import divide_weighted

N_SUB_BLOCKS = 8
SIZE = 32  # weights of a sub-block
HIGHEST = 63

FIELDS = (
    Field(name="scale of scales", kind="scale", where=slice(0, 2), says=""),
    Field(name="scale of minimums", kind="minimum", where=slice(2, 4), says=""),
    Field(
        name="sub-scales",
        kind="extra",
        where=slice(4, 16),
        says="8 scales and 8 minimums, 6 bits each",
    ),
)


@pasted
def store_scales(board, lane, importance, codes, packed):
    """Write the 16 bytes, and put what they decode to in place of the 8 scales and minimums."""
    lanes = slice(lane, lane + N_SUB_BLOCKS)
    scales, minimums = board[SCALE, lanes], board[MINIMUM, lanes]
    scale_codes, minimum_codes = codes[:8], codes[8:16]
    if importance is None:
        scale = divide(scales, HIGHEST, scale_codes)
        minimum = divide(minimums, HIGHEST, minimum_codes)
    else:
        scale = divide_weighted(scales, board[TOTAL, lanes], HIGHEST, scale_codes)
        minimum = divide_weighted(minimums, board[TOTAL, lanes], HIGHEST, minimum_codes)
    _lay(scale, minimum, scale_codes, minimum_codes, scales, minimums, packed)


@inlined
def _lay(scale, minimum, scale_codes, minimum_codes, scales, minimums, packed):
    scale, minimum = store_half(scale, packed[0:2]), store_half(minimum, packed[2:4])
    for j in range(N_SUB_BLOCKS):
        s = HIGHEST if scale_codes[j] > HIGHEST else scale_codes[j]
        m = HIGHEST if minimum_codes[j] > HIGHEST else minimum_codes[j]
        scales[j] = scale * np.float32(s)
        minimums[j] = minimum * np.float32(m)
        if j < 4:
            packed[4 + j] = s
            packed[8 + j] = m
        else:
            packed[8 + j] = s & 15 | (m & 15) << 4
            packed[j] |= s >> 4 << 6
            packed[4 + j] |= m >> 4 << 6


@inlined
def read_scales(packed, scales, minimums):
    """Fill 8 scales and 8 minimums from the first 16 bytes of a block."""
    scale, minimum = half_value(packed[0], packed[1]), half_value(packed[2], packed[3])
    for j in range(4):
        s, m, low = packed[4 + j], packed[8 + j], packed[12 + j]
        scales[j] = scale * to_float(s & 63)
        minimums[j] = minimum * to_float(m & 63)
        scales[4 + j] = scale * to_float(low & 15 | s >> 6 << 4)
        minimums[4 + j] = minimum * to_float(low >> 4 | m >> 6 << 4)


def sub_scales(packed: Packed) -> SubScales:
    """Scales and minima of blocks ``(..., block_bytes)``."""
    scales, minimums, low = (packed[..., at : at + 4].astype(np.int16) for at in (4, 8, 12))
    return SubScales(
        super_scales=halves(packed, 0),
        super_minimums=halves(packed, 2),
        scale_codes=np.concatenate([scales & 63, low & 15 | scales >> 6 << 4], axis=-1),
        minimum_codes=np.concatenate([minimums & 63, low >> 4 | minimums >> 6 << 4], axis=-1),
    )
