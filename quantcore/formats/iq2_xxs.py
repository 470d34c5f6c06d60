"""IQ2_XXS: 256 weights, by eights one of 256 patterns of magnitudes (2.0625 bits per weight).

restored = scale of scales * (sub-scale + 1/2) / 4 * magnitude * sign      magnitude 8, 25 or 43

byte  0         2                                                                       66
      | scale   | 8 sub-blocks of 32 weights, each: 4 entries of the codebook of a byte, |
      | of      | and a word of 4 times 7 bits of signs, with 4 bits of sub-scale on top |
      | scales  |                                                                        |

The eighth sign of eight weights is the one that makes the number of minus signs even. ggml demands
an importance matrix.
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
    SUPER_SCALE,
    Scales,
    open_block,
    scale_factors,
    scales_of,
    sign_bytes,
    signed_codes,
    signed_values,
)
from quantcore.formats.iq_search import ALWAYS, ONE, ZERO, Search
from quantcore.formats.iq_super_block import (
    encode_super_block,
    largest_of,
    new_result,
    new_space,
    scale_code,
)
from quantcore.formats.k_lanes import SUPER_BLOCK, holds_nan_or_inf
from quantcore.formats.k_scales import store_half

BLOCK_BYTES = 66
MAGNITUDES = (8, 25, 43)
SEARCH = Search(
    size=32,
    run=8,
    n_levels=3,
    n_tries=13,
    step=np.float32(0.1),
    tiny=np.float32(1e-15),
    even_signs=True,
    improve=ALWAYS,
    times=np.float32(1),
    alone=np.float32(0),
    fitted=True,
)
FIELDS = (
    SUPER_SCALE,
    Field(
        name="patterns, signs and sub-scales",
        kind="codes",
        where=slice(2, 66),
        says="8 times: 4 entries of a codebook of 256, 28 signs, a scale of 4 bits",
    ),
)


def _codebook() -> Codebook:
    return codebook("iq2_xxs", 2)


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
    store_half(step, packed)
    inv_step = ONE / step
    for j in range(8):
        word = np.uint32(scale_code(scales[j], inv_step, 15)) << np.uint32(28)
        for g in range(4):
            word |= np.uint32(signs[4 * j + g] & 127) << np.uint32(7 * g)
            packed[2 + 8 * j + g] = entries[4 * j + g]
        for i in range(4):
            packed[6 + 8 * j + i] = (word >> np.uint32(8 * i)) & np.uint32(255)


def _decode(packed: Packed, out: Weights) -> None:
    _decode_all(packed, grid("iq2_xxs", MAGNITUDES), out)


@kernel
def _decode_all(packed, grid, out):
    half, quarter = np.float32(0.5), np.float32(0.25)
    for b in range(packed.shape[0]):
        step = half_value(packed[b, 0], packed[b, 1])
        for j in range(8):
            word = np.uint32(0)
            for i in range(4):
                word |= np.uint32(packed[b, 6 + 8 * j + i]) << np.uint32(8 * i)
            scale = step * (half + np.float32(word >> np.uint32(28))) * quarter
            for g in range(4):
                signs = EVEN_SIGNS[(word >> np.uint32(7 * g)) & np.uint32(127)]
                entry = packed[b, 2 + 8 * j + g]
                here = out[b, 32 * j + 8 * g : 32 * j + 8 * g + 8]
                for i in range(8):
                    here[i] = scale * grid[entry, i] * signs[i]


def _words(packed: Packed) -> NDArray[np.uint32]:
    """Signs and sub-scales, a word a sub-block."""
    pairs = packed[..., 2:].reshape(*packed.shape[:-1], 8, 8)
    return np.ascontiguousarray(pairs[..., 4:]).view("<u4")[..., 0]


def _scales(packed: Packed) -> Scales:
    return scales_of(halves(packed, 0), _words(packed) >> 28, 0.5, 0.25)


def _codes(packed: Packed) -> NDArray[np.int32]:
    signs = EVEN[_words(packed)[:, None] >> np.uint32([0, 7, 14, 21]) & 127]
    levels = levels_of("iq2_xxs")[packed[2:].reshape(8, 8)[:, :4]]
    return signed_codes(levels, len(MAGNITUDES), signs)


def _open(packed: Packed) -> OpenedBlock:
    return open_block(
        packed,
        _scales(packed),
        _codes(packed),
        signed_values(MAGNITUDES),
        FIELDS,
        lambda i: (2 + 8 * (i // 32) + i // 8 % 4, *sign_bytes(6 + 8 * (i // 32), i % 32)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_scales(packed), signed_values(MAGNITUDES), 16 + 8 * 4)


IQ2_XXS = BlockFormat(
    name="IQ2_XXS",
    code_bits=2,
    family="uneven",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=None,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_iq2_xxs",
)
