"""Q6_K: 256 weights in 16 sub-blocks of 16, 6-bit codes (6.5625 bits per weight).

restored = scale * code          code from -32 to 31, stored as 0 to 63

byte  0                     128                  192                    208      210
      | 128 bytes of low    | 64 bytes of high   | 16 scales, signed    | scale  |
      | bits, 4 each        | bits, two each     | bytes                | of     |
      |                     |                    |                      | scales |

Codes 0 to 63 are low nibbles of bytes 0 to 63, codes 64 to 127 their high nibbles; codes from 128
on lie in bytes 64 to 127 in the same way. High bits lie as the codes of Q2_K.
"""

import numpy as np

from quantcore._jit import kernel, pasted
from quantcore.bits import half_value, halves, store_half, to_float
from quantcore.format import Field, OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.k.blocks import Plane, open_block
from quantcore.formats.k.codes import lay_crumbs, lay_nibbles
from quantcore.formats.k.encode import Codes, encode
from quantcore.formats.shared.lanes import CODE, SCALE, SUPER_BLOCK
from quantcore.formats.shared.scales import divide_signed, signed_largest
from quantcore.formats.shared.sub_scales import SubScales, scale_factors
from quantcore.formats.shared.symmetric import TINY, find_scale, weigh_by_square
from quantcore.formats.shared.weighted import take_importance

BLOCK_BYTES = 210
N = 32  # codes from -N to N - 1
N_SCALE = 128
SIZE = 16  # weights of a sub-block
N_SUB_BLOCKS = 16
CODES = Codes(size=SIZE, lowest=-N, highest=N - 1)
FIELDS = (
    Field(name="codes", kind="codes", where=slice(0, 128), says="low 4 bits each"),
    Field(name="high bits", kind="codes", where=slice(128, 192), says="2 high bits each"),
    Field(name="sub-scales", kind="extra", where=slice(192, 208), says="16 scales, signed bytes"),
    Field(name="scale of scales", kind="scale", where=slice(208, 210), says=""),
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
    else:
        take_importance(batch, importance, first, SIZE, board)
    find_scale(board, SIZE, N)


@pasted
def _store_scales(board, lane, importance, codes, packed):
    lanes = slice(lane, lane + N_SUB_BLOCKS)
    scales = board[SCALE, lanes]
    largest = signed_largest(scales)
    if abs(largest) < TINY:  # ggml stores 210 zero bytes
        packed[192:210] = 0
        scales[:] = 0
        board[CODE : CODE + SIZE, lanes] = -N
        return
    scale = store_half(divide_signed(scales, largest, N_SCALE, codes), packed[208:210])
    for j in range(N_SUB_BLOCKS):
        scales[j] = scale * np.float32(codes[j])
        packed[192 + j] = codes[j] & 255


@pasted
def _pack(codes, packed):
    lay_nibbles(codes, 64, packed)
    lay_crumbs(codes, 4, packed[128:])


@kernel
def _decode(packed, out):
    scales = np.empty(N_SUB_BLOCKS, np.float32)
    middle = np.float32(N)
    for b in range(packed.shape[0]):
        scale = half_value(packed[b, 208], packed[b, 209])
        for j in range(N_SUB_BLOCKS):
            scales[j] = scale * (to_float(packed[b, 192 + j] ^ 128) - np.float32(N_SCALE))
        for half in range(2):
            for i in range(32):
                high = packed[b, 128 + 32 * half + i]
                u, v = packed[b, 64 * half + i], packed[b, 64 * half + 32 + i]
                j, at = 8 * half + i // SIZE, 128 * half + i
                first = np.uint8(u & 15 | (high & 3) << 4)
                second = np.uint8(v & 15 | (high >> 2 & 3) << 4)
                third = np.uint8(u >> 4 | (high >> 4 & 3) << 4)
                fourth = np.uint8(v >> 4 | high >> 6 << 4)
                out[b, at] = scales[j] * (to_float(first) - middle)
                out[b, at + 32] = scales[j + 2] * (to_float(second) - middle)
                out[b, at + 64] = scales[j + 4] * (to_float(third) - middle)
                out[b, at + 96] = scales[j + 6] * (to_float(fourth) - middle)


def _sub_scales(packed: Packed) -> SubScales:
    codes = np.ascontiguousarray(packed[..., 192:208]).view(np.int8).astype(np.int16)
    return SubScales(super_scales=halves(packed, 208), scale_codes=codes)


def _open(packed: Packed) -> OpenedBlock:
    planes = (Plane(start=0, bits=4, reach=64), Plane(start=128, bits=2, shift=4))
    return open_block(packed, _sub_scales(packed), planes, -N, FIELDS)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_sub_scales(packed), Q6_K.bits_per_weight, Q6_K.code_bits)


Q6_K = BlockFormat(
    name="Q6_K",
    code_bits=6,
    family="K",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q6_K_ref",
)
