"""IQ3_S: 256 weights, by fours one of 512 patterns of magnitudes (3.4375 bits per weight).

restored = scale of scales * (2 * sub-scale + 1) * magnitude * sign    magnitude odd, from 1 to 15

byte  0         2                66              74             106              110
      | scale   | 64 bytes: low  | 8 bytes: the  | 32 bytes of  | 8 scales of 4  |
      | of      | bits of the    | ninth bit of  | signs, bit i | bits, one of a |
      | scales  | patterns       | eight each    | of weight i  | sub-block of 32|
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined, kernel
from quantcore.bits import half_value, halves
from quantcore.format import BlockFormat, Field, OpenedBlock, Packed, ScaleFactors, Weights
from quantcore.formats.codebooks import Codebook, codebook, grid, levels_of
from quantcore.formats.iq_blocks import (
    NO_IMPORTANCE,
    SIGNS,
    SUPER_SCALE,
    Scales,
    in_order,
    open_block,
    scale_factors,
    scales_of,
    signed_codes,
    signed_values,
)
from quantcore.formats.iq_search import MISSED_AND_OTHERS, ONE, ZERO, Search
from quantcore.formats.iq_super_block import (
    encode_super_block,
    largest_of,
    new_result,
    new_space,
    scale_code,
)
from quantcore.formats.k_lanes import SUPER_BLOCK, holds_nan_or_inf
from quantcore.formats.k_scales import store_half

BLOCK_BYTES = 110
HIGH, SIGN_BITS, SUB_SCALES = 66, 74, 106  # first bytes
MAGNITUDES = (1, 3, 5, 7, 9, 11, 13, 15)
SEARCH = Search(
    size=32,
    run=4,
    n_levels=8,
    n_tries=19,
    step=np.float32(0.2),
    tiny=np.float32(0),
    even_signs=False,
    improve=MISSED_AND_OTHERS,
    times=np.float32(2),
    alone=np.float32(0),
    fitted=False,
)
FIELDS = (
    SUPER_SCALE,
    Field(
        name="patterns",
        kind="codes",
        where=slice(2, 66),
        says="64 entries of a codebook of 512, four magnitudes each",
    ),
    Field(name="high bits", kind="codes", where=slice(66, 74), says="a ninth bit each"),
    Field(name="signs", kind="codes", where=slice(74, 106), says="a bit a weight"),
    Field(name="sub-scales", kind="extra", where=slice(106, 110), says="8 scales, 4 bits each"),
)


def _codebook() -> Codebook:
    return codebook("iq3_s", 3)


def _encode(blocks: Weights, packed: Packed) -> int:
    return _encode_all(blocks, NO_IMPORTANCE, _codebook(), packed)


def _encode_weighted(blocks: Weights, importance: Weights, packed: Packed) -> int:
    return _encode_all(blocks, importance, _codebook(), packed)


@kernel
def _encode_all(blocks, importance, codebook, packed):
    space, result = new_space(), new_result(SEARCH)
    for b in range(blocks.shape[0]):
        if holds_nan_or_inf(blocks[b]):
            return b
        row = importance[b % importance.shape[0]]
        encode_super_block(blocks[b], row, space, codebook, SEARCH, result)
        _store(blocks[b], *result, packed[b])
    return -1


@inlined
def _store(weights, entries, signs, scales, packed):
    packed[:] = 0
    place = 0  # ggml goes on where it was after a sub-block of zeros, with all but the high bits
    for j in range(8):
        if _is_zero(weights[32 * j : 32 * (j + 1)]):
            continue
        for i in range(8):
            entry = entries[8 * j + i]
            packed[2 + 8 * place + i] = entry & 255
            packed[HIGH + j] |= entry >> 8 << i
        for g in range(4):
            packed[SIGN_BITS + 4 * place + g] = signs[4 * j + g]
        place += 1
    largest = largest_of(scales)
    if largest == ZERO:
        return
    step = np.float32(largest / np.float32(31))
    store_half(np.float32(step * np.float32(1.033)), packed)
    inv_step = ONE / step
    for j in range(8):
        packed[SUB_SCALES + j // 2] |= scale_code(scales[j], inv_step, 15) << 4 * (j % 2)


@inlined
def _is_zero(weights):
    for x in weights:
        if x != ZERO:
            return False
    return True


def _decode(packed: Packed, out: Weights) -> None:
    _decode_all(packed, grid("iq3_s", MAGNITUDES), out)


@kernel
def _decode_all(packed, grid, out):
    for b in range(packed.shape[0]):
        step = half_value(packed[b, 0], packed[b, 1])
        for j in range(8):
            code = np.int32(packed[b, SUB_SCALES + j // 2] >> 4 * (j % 2) & 15)
            scale = step * np.float32(np.int32(2) * code + np.int32(1))
            for g in range(4):
                signs, high = (
                    SIGNS[packed[b, SIGN_BITS + 4 * j + g]],
                    np.uint32(packed[b, HIGH + j]) >> np.uint32(2 * g),
                )
                first = packed[b, 2 + 8 * j + 2 * g] | (high & np.uint32(1)) << np.uint32(8)
                second = packed[b, 3 + 8 * j + 2 * g] | (high & np.uint32(2)) << np.uint32(7)
                here = out[b, 32 * j + 8 * g : 32 * j + 8 * g + 8]
                for i in range(4):
                    here[i] = scale * grid[first, i] * signs[i]
                    here[4 + i] = scale * grid[second, i] * signs[4 + i]


def _scales(packed: Packed) -> Scales:
    return scales_of(halves(packed, 0), in_order(packed[..., SUB_SCALES:]), 0.5, 2)


def _codes(packed: Packed) -> NDArray[np.int32]:
    high = np.unpackbits(packed[HIGH:SIGN_BITS], bitorder="little").astype(int)
    levels = levels_of("iq3_s")[packed[2:HIGH] | high << 8]
    return signed_codes(levels, len(MAGNITUDES), packed[SIGN_BITS:SUB_SCALES])


def _open(packed: Packed) -> OpenedBlock:
    return open_block(
        packed,
        _scales(packed),
        _codes(packed),
        signed_values(MAGNITUDES),
        FIELDS,
        lambda i: (2 + i // 4, HIGH + i // 32, SIGN_BITS + i // 8),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_scales(packed), signed_values(MAGNITUDES), 16 + 8 * 4)


IQ3_S = BlockFormat(
    name="IQ3_S",
    code_bits=3,
    family="uneven",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_iq3_s",
)
