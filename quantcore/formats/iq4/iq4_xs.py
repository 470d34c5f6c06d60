"""IQ4_XS: 256 weights in 8 sub-blocks of 32, one of 16 uneven values each (4.25 bits per weight).

restored = scale of scales * sub-scale * value of code          sub-scale from -32 to 31

byte  0         2                4                 8                        136
      | scale   | high two bits  | low four bits   | 8 * 16 bytes of codes  |
      | of      | of the         | of the          | weight j low,          |
      | scales  | sub-scales     | sub-scales      | weight j+16 high       |

Sub-scales are stored 32 too high: that of sub-block j in nibble j of bytes 4 to 7 and in bits 2 * j
and 2 * j + 1 of bytes 2 and 3.
"""

from dataclasses import replace

import numpy as np

from quantcore._jit import inlined, kernel, pasted
from quantcore.bits import half_value, halves, store_half, unpack_nibbles
from quantcore.format import Field, OpenedBlock, Packed, Part, ScaleFactors, opened
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.iq4.search import (
    SIZE,
    VALUES,
    WIDEST_STEP,
    find_scale,
    nearest_index,
)
from quantcore.formats.shared.lanes import LANES, SCALE, SUPER_BLOCK, load, new_board
from quantcore.formats.shared.scales import signed_largest
from quantcore.formats.shared.sub_scales import SubScales, scale_factors
from quantcore.formats.shared.symmetric import weigh_by_square
from quantcore.formats.shared.weighted import weigh_super_blocks
from quantcore.rounding import nearest_int

BLOCK_BYTES = 136
N_SUB_BLOCKS = 8
BATCH = LANES // N_SUB_BLOCKS
N = 32  # sub-scales from -N to N - 1


@kernel
def _encode(blocks, packed):
    return _encode_either(blocks, None, packed)


@kernel
def _encode_weighted(blocks, importance, packed):
    return _encode_either(blocks, importance, packed)


@pasted
def _encode_either(blocks, importance, packed):
    board = new_board()
    for start in range(0, blocks.shape[0], BATCH):
        batch = blocks[start : start + BATCH]
        bad = load(batch, SIZE, board)
        if bad >= 0:
            return start + bad
        if importance is None:
            weigh_by_square(board, SIZE)
        else:
            weigh_super_blocks(batch, importance, start, SIZE, np.float32(2), board)
        find_scale(board)
        for b in range(batch.shape[0]):
            lanes = slice(N_SUB_BLOCKS * b, N_SUB_BLOCKS * (b + 1))
            _store(board[SCALE, lanes], batch[b], packed[start + b])
    return -1


@inlined
def _store(scales, weights, packed):
    """Store scales and codes; codes are chosen by the scales before they go into float16."""
    scale = np.float32(-signed_largest(scales) / np.float32(N))
    store_half(scale, packed)
    inv_scale = np.float32(1) / scale if scale != np.float32(0) else np.float32(0)
    packed[2:8] = 0
    for j in range(N_SUB_BLOCKS):
        code = nearest_int(np.float32(inv_scale * scales[j]))
        code = max(np.int32(-N), min(np.int32(N - 1), code))
        own = np.float32(scale * np.float32(code))
        inv_own = np.float32(1) / own if own != np.float32(0) else np.float32(0)
        stored = code + np.int32(N)
        packed[4 + j // 2] |= (stored & 15) << 4 * (j % 2)
        packed[2 + j // 4] |= (stored >> 4) << 2 * (j % 4)
        for i in range(16):
            low = nearest_index(np.float32(inv_own * weights[SIZE * j + i]))
            high = nearest_index(np.float32(inv_own * weights[SIZE * j + 16 + i]))
            packed[8 + 16 * j + i] = low | high << 4


@kernel
def _decode(packed, out):
    scales = np.empty(N_SUB_BLOCKS, np.float32)
    for b in range(packed.shape[0]):
        scale = half_value(packed[b, 0], packed[b, 1])
        for j in range(N_SUB_BLOCKS):
            low = np.int32(packed[b, 4 + j // 2]) >> 4 * (j % 2) & 15
            high = np.int32(packed[b, 2 + j // 4]) >> 2 * (j % 4) & 3
            scales[j] = scale * np.float32(np.int32(low | high << 4) - np.int32(N))
        for j in range(N_SUB_BLOCKS):
            bytes_here, here = packed[b, 8 + 16 * j :], out[b, SIZE * j :]
            for i in range(16):
                here[i] = scales[j] * VALUES[bytes_here[i] & 15]
                here[16 + i] = scales[j] * VALUES[bytes_here[i] >> 4]


def _sub_scales(packed: Packed) -> SubScales:
    j = np.arange(N_SUB_BLOCKS)
    low = packed[..., 4 + j // 2] >> (4 * (j % 2)).astype(np.uint8) & 15
    high = packed[..., 2 + j // 4] >> (2 * (j % 4)).astype(np.uint8) & 3
    codes = (low | high << 4).astype(np.int16) - N
    return SubScales(super_scales=halves(packed, 0), scale_codes=codes)


def _open(packed: Packed) -> OpenedBlock:
    sub_scales = _sub_scales(packed)
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        scales = sub_scales.super_scales * sub_scales.scale_codes.astype(np.float32)
        grids = scales[:, None] * VALUES
    nibbles = packed[8:].reshape(N_SUB_BLOCKS, 16)
    return opened(
        packed,
        fields=(
            Field(
                name="scale of scales",
                kind="scale",
                where=slice(0, 2),
                says=f"{sub_scales.super_scales:.6g}",
            ),
            Field(name="sub-scales", kind="extra", where=slice(2, 8), says="8 scales, 6 bits each"),
            Field(name="codes", kind="codes", where=slice(8, 136), says="16 uneven values"),
        ),
        parts=tuple(
            Part(
                weights=slice(SIZE * j, SIZE * (j + 1)),
                scale=float(scales[j]),
                minimum=0.0,
                grid=grids[j],
                scale_code=int(sub_scales.scale_codes[j]),
            )
            for j in range(N_SUB_BLOCKS)
        ),
        codes=unpack_nibbles(nibbles).astype(np.int32).reshape(-1),
        first_code=0,
        code_bytes=tuple((8 + 16 * (i // SIZE) + i % 16,) for i in range(SUPER_BLOCK)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    factors = scale_factors(_sub_scales(packed), IQ4_XS.bits_per_weight, IQ4_XS.code_bits)
    return replace(factors, widest_step=WIDEST_STEP)


IQ4_XS = BlockFormat(
    name="IQ4_XS",
    code_bits=4,
    family="uneven",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_iq4_xs",
)
