"""IQ4_NL: 32 weights share one float16 scale and are one of 16 uneven values times it.

restored = scale * value of code          4.5 bits per weight; values from -127 to 113

byte  0       2                                          18
      | scale | 16 bytes: weight j low, weight j+16 high |
"""

import numpy as np

from quantcore._jit import kernel, pasted
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
from quantcore.formats.shared.lanes import LANES, SCALE, new_board
from quantcore.formats.shared.magnitudes import holds_nan_or_inf
from quantcore.formats.shared.symmetric import weigh_by_square
from quantcore.formats.shared.weighted import weigh_blocks

BLOCK_SIZE, BLOCK_BYTES = SIZE, 18


@kernel
def _encode(blocks, packed):
    return _encode_either(blocks, None, packed)


@kernel
def _encode_weighted(blocks, importance, packed):
    return _encode_either(blocks, importance, packed)


@pasted
def _encode_either(blocks, importance, packed):
    board = new_board()
    for start in range(0, blocks.shape[0], LANES):
        batch = blocks[start : start + LANES]
        for b in range(batch.shape[0]):
            if holds_nan_or_inf(batch[b]):
                return start + b
            for i in range(SIZE):
                board[i, b] = batch[b, i]
        if importance is None:
            weigh_by_square(board, SIZE)
        else:
            weigh_blocks(board, importance, start, np.float32(2))
        find_scale(board)
        for b in range(batch.shape[0]):
            scale = board[SCALE, b]
            store_half(scale, packed[start + b])
            inv_scale = np.float32(1) / scale if scale != np.float32(0) else np.float32(0)
            for i in range(16):
                low = nearest_index(np.float32(inv_scale * batch[b, i]))
                high = nearest_index(np.float32(inv_scale * batch[b, 16 + i]))
                packed[start + b, 2 + i] = low | high << 4
    return -1


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        scale = half_value(packed[b, 0], packed[b, 1])
        for i in range(16):
            byte = packed[b, 2 + i]
            out[b, i] = scale * VALUES[byte & 15]
            out[b, 16 + i] = scale * VALUES[byte >> 4]


def _open(packed: Packed) -> OpenedBlock:
    scale = halves(packed, 0)
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        grid = scale * VALUES
    return opened(
        packed,
        fields=(
            Field(name="scale", kind="scale", where=slice(0, 2), says=f"{scale:.6g}"),
            Field(name="codes", kind="codes", where=slice(2, 18), says="16 uneven values"),
        ),
        parts=(Part(weights=slice(0, SIZE), scale=float(scale), minimum=0.0, grid=grid),),
        codes=unpack_nibbles(packed[2:]).astype(np.int32),
        first_code=0,
        code_bytes=tuple((2 + i % 16,) for i in range(SIZE)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return ScaleFactors(
        scales=halves(packed, 0),
        weights_per_scale=SIZE,
        overhead_bits=16 / SIZE,
        widest_step=WIDEST_STEP,
    )


IQ4_NL = BlockFormat(
    name="IQ4_NL",
    code_bits=4,
    family="uneven",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_iq4_nl",
)
