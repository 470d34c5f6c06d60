"""Q5_K: 256 weights in 8 sub-blocks of 32, 5-bit codes (5.5 bits per weight).

restored = scale * code - minimum          code from 0 to 31

byte  0                                    16               48                     176
      | two float16, 6-bit scales and      | 32 bytes of    | 4 * 32 bytes of low  |
      | minimums: see k_six_bits           | fifth bits     | bits, a nibble each  |

Bit j of byte 16 + i is the fifth bit of code 32 * j + i. Nibbles lie as in Q4_K.
"""

import numpy as np

from quantcore._jit import kernel, pasted
from quantcore.bits import to_float
from quantcore.format import Field, OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.k.blocks import Plane, open_block
from quantcore.formats.k.codes import lay_bits, lay_nibbles
from quantcore.formats.k.encode import Codes, encode
from quantcore.formats.k.six_bits import (
    FIELDS,
    N_SUB_BLOCKS,
    SIZE,
    read_scales,
    store_scales,
    sub_scales,
)
from quantcore.formats.shared import weighted
from quantcore.formats.shared.affine import find_scale_and_offset, weigh_by_size_and_spread
from quantcore.formats.shared.lanes import SUPER_BLOCK
from quantcore.formats.shared.sub_scales import scale_factors
from quantcore.formats.shared.weighted import sum_importance, weigh_super_blocks

BLOCK_BYTES = 176
HIGHEST = 31
FIRST, STEP, N_STEPS = np.float32(-0.5), np.float32(0.1), 15  # candidates of the search
CODES = Codes(size=SIZE, lowest=0, highest=HIGHEST)


@kernel
def _encode(blocks, packed):
    return encode(blocks, None, packed, CODES, _search, store_scales, _pack)


@kernel
def _encode_weighted(blocks, importance, packed):
    return encode(blocks, importance, packed, CODES, _search, store_scales, _pack)


@pasted
def _search(batch, importance, first, board):
    if importance is None:
        weigh_by_size_and_spread(board, SIZE)
        find_scale_and_offset(board, SIZE, HIGHEST, FIRST, STEP, N_STEPS, False)
    else:
        weigh_super_blocks(batch, importance, first, SIZE, np.float32(2), board)
        sum_importance(board, SIZE)
        find_scale_and_offset(
            board, SIZE, HIGHEST, weighted.FIRST, weighted.STEP, weighted.N_STEPS, False
        )


@pasted
def _pack(codes, packed):
    lay_bits(codes, 4, packed[16:])
    lay_nibbles(codes, 32, packed[48:])


@kernel
def _decode(packed, out):
    scales = np.empty(N_SUB_BLOCKS, np.float32)
    minimums = np.empty(N_SUB_BLOCKS, np.float32)
    for b in range(packed.shape[0]):
        read_scales(packed[b], scales, minimums)
        for j in range(0, N_SUB_BLOCKS, 2):
            for i in range(SIZE):
                pair, fifth = packed[b, 48 + 16 * j + i], packed[b, 16 + i] >> j
                low = to_float(np.uint8(pair & 15 | (fifth & 1) << 4))
                high = to_float(np.uint8(pair >> 4 | (fifth & 2) << 3))
                out[b, 32 * j + i] = scales[j] * low - minimums[j]
                out[b, 32 * j + 32 + i] = scales[j + 1] * high - minimums[j + 1]


def _open(packed: Packed) -> OpenedBlock:
    high = Field(name="high bits", kind="codes", where=slice(16, 48), says="a fifth bit each")
    codes = Field(name="codes", kind="codes", where=slice(48, 176), says="low 4 bits each")
    planes = (Plane(start=48, bits=4), Plane(start=16, bits=1, shift=4))
    return open_block(packed, sub_scales(packed), planes, 0, (*FIELDS, high, codes))


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(sub_scales(packed), Q5_K.bits_per_weight, Q5_K.code_bits)


Q5_K = BlockFormat(
    name="Q5_K",
    code_bits=5,
    family="K",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q5_K_ref",
)
