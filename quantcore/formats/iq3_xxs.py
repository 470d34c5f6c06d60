"""IQ3_XXS: 256 weights, by fours one of 256 patterns of magnitudes (3.0625 bits per weight).

restored = scale of scales * (sub-scale + 1/2) / 2 * magnitude * sign      magnitude from 4 to 62

byte  0         2                        66                                            98
      | scale   | 64 bytes: entries of   | 8 words of a sub-block of 32 each: 4 times  |
      | of      | the codebook, four     | 7 bits of signs, and 4 bits of sub-scale on |
      | scales  | weights each           | top                                         |

The eighth sign of eight weights is the one that makes the number of minus signs even.
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined, kernel
from quantcore.bits import half_value, halves
from quantcore.format import BlockFormat, Field, OpenedBlock, Packed, ScaleFactors, Weights
from quantcore.formats.codebooks import Codebook, codebook, grid, levels_of
from quantcore.formats.iq_blocks import (
    EVEN,
    EVEN_SIGNS,
    NO_IMPORTANCE,
    SUPER_SCALE,
    Scales,
    open_block,
    scale_factors,
    scales_of,
    sign_bytes,
    signed_codes,
    signed_values,
)
from quantcore.formats.iq_search import MISSED_ONLY, ONE, ZERO, Search
from quantcore.formats.iq_super_block import (
    encode_super_block,
    largest_of,
    new_result,
    new_space,
    scale_code,
)
from quantcore.formats.k_lanes import SUPER_BLOCK, holds_nan_or_inf
from quantcore.formats.k_scales import store_half

BLOCK_BYTES = 98
WORDS = 66  # first byte of signs and sub-scales
MAGNITUDES = (4, 12, 20, 28, 36, 44, 52, 62)
SEARCH = Search(
    size=32,
    run=4,
    n_levels=8,
    n_tries=31,
    step=np.float32(0.2),
    tiny=np.float32(1e-8),
    even_signs=True,
    improve=MISSED_ONLY,
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
        says="64 entries of a codebook of 256, four magnitudes each",
    ),
    Field(
        name="signs and sub-scales",
        kind="codes",
        where=slice(66, 98),
        says="8 words: 4 times 7 signs, then a scale of 4 bits",
    ),
)


def _codebook() -> Codebook:
    return codebook("iq3_xxs", 2)


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
        _store(*result, packed[b])
    return -1


@inlined
def _store(entries, signs, scales, packed):
    packed[:] = 0
    largest = largest_of(scales)
    if largest == ZERO:
        return
    step = np.float32(largest / np.float32(31))
    store_half(np.float32(step * np.float32(1.0125)), packed)
    inv_step = ONE / step
    for i in range(64):
        packed[2 + i] = entries[i]
    for j in range(8):
        word = np.uint32(scale_code(scales[j], inv_step, 15)) << np.uint32(28)
        for g in range(4):
            word |= np.uint32(signs[4 * j + g] & 127) << np.uint32(7 * g)
        for i in range(4):
            packed[WORDS + 4 * j + i] = (word >> np.uint32(8 * i)) & np.uint32(255)


def _decode(packed: Packed, out: Weights) -> None:
    _decode_all(packed, grid("iq3_xxs", MAGNITUDES), out)


@kernel
def _decode_all(packed, grid, out):
    half = np.float32(0.5)
    for b in range(packed.shape[0]):
        step = half_value(packed[b, 0], packed[b, 1])
        for j in range(8):
            word = np.uint32(0)
            for i in range(4):
                word |= np.uint32(packed[b, WORDS + 4 * j + i]) << np.uint32(8 * i)
            scale = step * (half + np.float32(word >> np.uint32(28))) * half
            for g in range(4):
                signs = EVEN_SIGNS[(word >> np.uint32(7 * g)) & np.uint32(127)]
                first, second = packed[b, 2 + 8 * j + 2 * g], packed[b, 3 + 8 * j + 2 * g]
                here = out[b, 32 * j + 8 * g : 32 * j + 8 * g + 8]
                for i in range(4):
                    here[i] = scale * grid[first, i] * signs[i]
                    here[4 + i] = scale * grid[second, i] * signs[4 + i]


def _words(packed: Packed) -> NDArray[np.uint32]:
    """Signs and sub-scales, a word a sub-block."""
    return np.ascontiguousarray(packed[..., WORDS:]).view("<u4")


def _scales(packed: Packed) -> Scales:
    return scales_of(halves(packed, 0), _words(packed) >> 28, 0.5, 0.5)


def _codes(packed: Packed) -> NDArray[np.int32]:
    signs = EVEN[_words(packed)[:, None] >> np.uint32([0, 7, 14, 21]) & 127]
    return signed_codes(levels_of("iq3_xxs")[packed[2:WORDS]], len(MAGNITUDES), signs)


def _open(packed: Packed) -> OpenedBlock:
    return open_block(
        packed,
        _scales(packed),
        _codes(packed),
        signed_values(MAGNITUDES),
        FIELDS,
        lambda i: (2 + i // 4, *sign_bytes(WORDS + 4 * (i // 32), i % 32)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_scales(packed), signed_values(MAGNITUDES), 16 + 8 * 4)


IQ3_XXS = BlockFormat(
    name="IQ3_XXS",
    code_bits=3,
    family="uneven",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_iq3_xxs",
)
