"""Q2_K: 256 weights in 16 sub-blocks of 16, 2-bit codes (2.625 bits per weight).

restored = scale * code - minimum          code from 0 to 3

byte  0                           16                         80       82          84
      | 16 bytes: scale of a      | 64 bytes of codes,       | scale  | scale of  |
      | sub-block in the low      | two bits each            | of     | minimums, |
      | nibble, minimum above     |                          | scales | float16   |

Byte 16 + i holds, from its lowest bits up, codes i, 32 + i, 64 + i and 96 + i; byte 48 + i the same
of codes from 128 on.
"""

import numpy as np

from quantcore._jit import inlined, kernel, pasted
from quantcore.bits import half_value, halves, store_half, to_float
from quantcore.format import Field, OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.k.blocks import Plane, open_block
from quantcore.formats.k.codes import lay_crumbs
from quantcore.formats.k.encode import Codes, encode
from quantcore.formats.shared import weighted
from quantcore.formats.shared.affine import find_scale_and_offset, weigh_by_size
from quantcore.formats.shared.lanes import MINIMUM, SCALE, SUPER_BLOCK, TOTAL
from quantcore.formats.shared.scales import divide
from quantcore.formats.shared.sub_scales import SubScales, scale_factors
from quantcore.formats.shared.weighted import (
    divide_weighted,
    sum_importance,
    weigh_super_blocks,
)

BLOCK_BYTES = 84
HIGHEST = 3
HIGHEST_SCALE = 15
SIZE = 16  # weights of a sub-block
N_SUB_BLOCKS = 16
FIRST, STEP, N_STEPS = np.float32(-0.5), np.float32(0.1), 15  # candidates of the search
CODES = Codes(size=SIZE, lowest=0, highest=HIGHEST)
FIELDS = (
    Field(
        name="sub-scales",
        kind="extra",
        where=slice(0, 16),
        says="16 scales and 16 minimums, 4 bits each",
    ),
    Field(name="codes", kind="codes", where=slice(16, 80), says="2 bits each"),
    Field(name="scale of scales", kind="scale", where=slice(80, 82), says=""),
    Field(name="scale of minimums", kind="minimum", where=slice(82, 84), says=""),
)


@kernel
def _encode(blocks, packed):
    return encode(blocks, None, packed, CODES, _search, _store_scales, _pack)


@kernel
def _encode_weighted(blocks, importance, packed):
    return encode(blocks, importance, packed, CODES, _search, _store_scales, _pack)


@pasted
def _search(batch, importance, first, board):
    if importance is None:
        weigh_by_size(board, SIZE)
        find_scale_and_offset(board, SIZE, HIGHEST, FIRST, STEP, N_STEPS, True)
    else:
        weigh_super_blocks(batch, importance, first, SIZE, np.float32(1), board)
        sum_importance(board, SIZE)
        find_scale_and_offset(
            board, SIZE, HIGHEST, weighted.FIRST, weighted.STEP, weighted.N_STEPS, False
        )


@pasted
def _store_scales(board, lane, importance, codes, packed):
    lanes = slice(lane, lane + N_SUB_BLOCKS)
    scales, minimums = board[SCALE, lanes], board[MINIMUM, lanes]
    scale_codes, minimum_codes = codes[:16], codes[16:32]
    if importance is None:
        scale = divide(scales, HIGHEST_SCALE, scale_codes)
        minimum = divide(minimums, HIGHEST_SCALE, minimum_codes)
    else:
        scale = divide_weighted(scales, board[TOTAL, lanes], HIGHEST_SCALE, scale_codes)
        minimum = divide_weighted(minimums, board[TOTAL, lanes], HIGHEST_SCALE, minimum_codes)
    _lay(scale, minimum, scale_codes, minimum_codes, scales, minimums, packed)


@inlined
def _lay(scale, minimum, scale_codes, minimum_codes, scales, minimums, packed):
    scale, minimum = store_half(scale, packed[80:82]), store_half(minimum, packed[82:84])
    for j in range(N_SUB_BLOCKS):
        pair = (scale_codes[j] | minimum_codes[j] << 4) & 255
        packed[j] = pair
        scales[j] = scale * np.float32(pair & 15)
        minimums[j] = minimum * np.float32(pair >> 4)


@pasted
def _pack(codes, packed):
    lay_crumbs(codes, 0, packed[16:])


@kernel
def _decode(packed, out):
    scales = np.empty(N_SUB_BLOCKS, np.float32)
    minimums = np.empty(N_SUB_BLOCKS, np.float32)
    for b in range(packed.shape[0]):
        scale = half_value(packed[b, 80], packed[b, 81])
        minimum = half_value(packed[b, 82], packed[b, 83])
        for j in range(N_SUB_BLOCKS):
            scales[j] = scale * to_float(packed[b, j] & 15)
            minimums[j] = minimum * to_float(packed[b, j] >> 4)
        for half in range(2):
            for i in range(32):
                four = packed[b, 16 + 32 * half + i]
                j, at = 8 * half + i // SIZE, 128 * half + i
                out[b, at] = scales[j] * to_float(four & 3) - minimums[j]
                out[b, at + 32] = scales[j + 2] * to_float(four >> 2 & 3) - minimums[j + 2]
                out[b, at + 64] = scales[j + 4] * to_float(four >> 4 & 3) - minimums[j + 4]
                out[b, at + 96] = scales[j + 6] * to_float(four >> 6) - minimums[j + 6]


def _sub_scales(packed: Packed) -> SubScales:
    pairs = packed[..., :16].astype(np.int16)
    return SubScales(
        super_scales=halves(packed, 80),
        super_minimums=halves(packed, 82),
        scale_codes=pairs & 15,
        minimum_codes=pairs >> 4,
    )


def _open(packed: Packed) -> OpenedBlock:
    return open_block(packed, _sub_scales(packed), (Plane(start=16, bits=2),), 0, FIELDS)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_sub_scales(packed), Q2_K.bits_per_weight, Q2_K.code_bits)


Q2_K = BlockFormat(
    name="Q2_K",
    code_bits=2,
    family="K",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q2_K_ref",
)
