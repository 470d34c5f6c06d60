"""Q3_K: 256 weights in 16 sub-blocks of 16, 3-bit codes (3.4375 bits per weight).

restored = scale * code          code from -4 to 3, stored as 0 to 7

byte  0               32                   96                               108      110
      | 32 bytes of   | 64 bytes of low    | 16 scales of 6 bits, -32 to    | scale  |
      | high bits     | bits, two each     | 31 stored as 0 to 63           | of     |
      |               |                    |                                | scales |

Bit j of byte i is the third bit of code 32 * j + i. Low bits lie as in Q2_K. Bytes 96 to 103 hold
the low nibbles of scales 0 to 7, those of 8 to 15 above; byte 104 + j holds, from its lowest bits
up, the high two bits of scales j, 4 + j, 8 + j and 12 + j.
"""

import numpy as np

from quantcore._jit import inlined, kernel, pasted
from quantcore.bits import half_value, halves, store_half, to_float
from quantcore.format import Field, OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.k.blocks import Plane, open_block
from quantcore.formats.k.codes import lay_bits, lay_crumbs
from quantcore.formats.k.encode import Codes, encode
from quantcore.formats.shared.lanes import SCALE, SUPER_BLOCK, TOTAL
from quantcore.formats.shared.scales import divide_signed, signed_largest
from quantcore.formats.shared.sub_scales import SubScales, scale_factors
from quantcore.formats.shared.symmetric import find_scale, improve_codes, weigh_by_square
from quantcore.formats.shared.weighted import (
    divide_signed_weighted,
    sum_importance,
    weigh_super_blocks,
)

BLOCK_BYTES = 110
N = 4  # codes from -N to N - 1
N_SCALE = 32
SIZE = 16  # weights of a sub-block
N_SUB_BLOCKS = 16
CODES = Codes(size=SIZE, lowest=-N, highest=N - 1)
FIELDS = (
    Field(name="high bits", kind="codes", where=slice(0, 32), says="a third bit each"),
    Field(name="codes", kind="codes", where=slice(32, 96), says="low 2 bits each"),
    Field(name="sub-scales", kind="extra", where=slice(96, 108), says="16 scales, 6 bits each"),
    Field(name="scale of scales", kind="scale", where=slice(108, 110), says=""),
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
        weigh_by_square(board, SIZE)
        improve_codes(board, SIZE, N)
    else:
        weigh_super_blocks(batch, importance, first, SIZE, np.float32(2), board)
        sum_importance(board, SIZE)
        find_scale(board, SIZE, N)


@pasted
def _store_scales(board, lane, importance, codes, packed):
    lanes = slice(lane, lane + N_SUB_BLOCKS)
    scales = board[SCALE, lanes]
    if importance is None:
        largest = signed_largest(scales)
        if largest == np.float32(0):  # all zero, or no number after an overflow in the search
            packed[96:110] = 0
            scales[:] = 0
            return
        scale = divide_signed(scales, largest, N_SCALE, codes)
    else:
        scale = divide_signed_weighted(scales, board[TOTAL, lanes], N_SCALE, codes)
    _lay(scale, codes, scales, packed)


@inlined
def _lay(scale, codes, scales, packed):
    scale = store_half(scale, packed[108:110])
    packed[96:108] = 0
    for j in range(N_SUB_BLOCKS):
        scales[j] = scale * np.float32(codes[j])
        code = codes[j] + N_SCALE
        packed[96 + j % 8] |= (code & 15) << 4 * (j // 8)
        packed[104 + j % 4] |= code >> 4 << 2 * (j // 4)


@pasted
def _pack(codes, packed):
    lay_bits(codes, 2, packed)
    lay_crumbs(codes, 0, packed[32:])


@kernel
def _decode(packed, out):
    scales = np.empty(N_SUB_BLOCKS, np.float32)
    middle = np.float32(N)
    for b in range(packed.shape[0]):
        _read_scales(packed[b], scales)
        for half in range(2):
            for i in range(32):
                four, high = packed[b, 32 + 32 * half + i], packed[b, i] >> 4 * half
                j, at = 8 * half + i // SIZE, 128 * half + i
                first = np.uint8(four & 3 | (high & 1) << 2)
                second = np.uint8(four >> 2 & 3 | (high & 2) << 1)
                third = np.uint8(four >> 4 & 3 | high & 4)
                fourth = np.uint8(four >> 6 | (high & 8) >> 1)
                out[b, at] = scales[j] * (to_float(first) - middle)
                out[b, at + 32] = scales[j + 2] * (to_float(second) - middle)
                out[b, at + 64] = scales[j + 4] * (to_float(third) - middle)
                out[b, at + 96] = scales[j + 6] * (to_float(fourth) - middle)


@inlined
def _read_scales(packed, scales):
    scale, middle = half_value(packed[108], packed[109]), np.float32(N_SCALE)
    for j in range(4):
        a, b, high = packed[96 + j], packed[100 + j], packed[104 + j]
        scales[j] = scale * (to_float(a & 15 | (high & 3) << 4) - middle)
        scales[4 + j] = scale * (to_float(b & 15 | (high >> 2 & 3) << 4) - middle)
        scales[8 + j] = scale * (to_float(a >> 4 | (high >> 4 & 3) << 4) - middle)
        scales[12 + j] = scale * (to_float(b >> 4 | high >> 6 << 4) - middle)


def _sub_scales(packed: Packed) -> SubScales:
    low, high = packed[..., 96:104].astype(np.int16), packed[..., 104:108].astype(np.int16)
    low = np.concatenate([low & 15, low >> 4], axis=-1)
    high = np.concatenate([high >> shift & 3 for shift in (0, 2, 4, 6)], axis=-1)
    return SubScales(
        super_scales=halves(packed, 108), scale_codes=(low | high << 4) - np.int16(N_SCALE)
    )


def _open(packed: Packed) -> OpenedBlock:
    planes = (Plane(start=32, bits=2), Plane(start=0, bits=1, shift=2))
    return open_block(packed, _sub_scales(packed), planes, -N, FIELDS)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_sub_scales(packed), Q3_K.bits_per_weight, Q3_K.code_bits)


Q3_K = BlockFormat(
    name="Q3_K",
    code_bits=3,
    family="K",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q3_K_ref",
)
