"""IQ2_XS: 256 weights, by eights one of 512 patterns of magnitudes (2.3125 bits per weight).

restored = scale of scales * (sub-scale + 1/2) / 4 * magnitude * sign      magnitude 8, 25 or 43

byte  0         2                                                66                      74
      | scale   | 32 words of 16 bits: 9 bits of a pattern, then | 16 scales of 4 bits,  |
      | of      | 7 signs of its eight weights                   | one of a sub-block of |
      | scales  |                                                | 16 weights            |

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
    in_order,
    open_block,
    scale_factors,
    scales_of,
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

BLOCK_BYTES = 74
SUB_SCALES = 66  # first byte
MAGNITUDES = (8, 25, 43)
SEARCH = Search(
    size=16,
    run=8,
    n_levels=3,
    n_tries=19,
    step=np.float32(0.1),
    tiny=np.float32(1e-15),
    even_signs=True,
    improve=MISSED_ONLY,
    times=np.float32(1),
    alone=np.float32(0),
    fitted=False,
)
FIELDS = (
    SUPER_SCALE,
    Field(
        name="patterns and signs",
        kind="codes",
        where=slice(2, 66),
        says="32 entries of a codebook of 512 with 7 signs each",
    ),
    Field(name="sub-scales", kind="extra", where=slice(66, 74), says="16 scales, 4 bits each"),
)


def _codebook() -> Codebook:
    return codebook("iq2_xs", 2)


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
    for i in range(32):
        packed[2 + 2 * i] = entries[i] & 255
        packed[3 + 2 * i] = entries[i] >> 8 | (signs[i] & 127) << 1
    for j in range(16):
        packed[SUB_SCALES + j // 2] |= scale_code(scales[j], inv_step, 15) << 4 * (j % 2)


def _decode(packed: Packed, out: Weights) -> None:
    _decode_all(packed, grid("iq2_xs", MAGNITUDES), out)


@kernel
def _decode_all(packed, grid, out):
    half, quarter = np.float32(0.5), np.float32(0.25)
    for b in range(packed.shape[0]):
        step = half_value(packed[b, 0], packed[b, 1])
        for j in range(16):
            code = packed[b, SUB_SCALES + j // 2] >> 4 * (j % 2) & 15
            scale = step * (half + np.float32(code)) * quarter
            for g in range(2):
                low, high = packed[b, 2 + 4 * j + 2 * g], np.uint32(packed[b, 3 + 4 * j + 2 * g])
                entry = low | (high & np.uint32(1)) << np.uint32(8)
                signs = EVEN_SIGNS[high >> np.uint32(1)]
                here = out[b, 16 * j + 8 * g : 16 * j + 8 * g + 8]
                for i in range(8):
                    here[i] = scale * grid[entry, i] * signs[i]


def _scales(packed: Packed) -> Scales:
    return scales_of(halves(packed, 0), in_order(packed[..., SUB_SCALES:]), 0.5, 0.25)


def _codes(packed: Packed) -> NDArray[np.int32]:
    words = packed[2:SUB_SCALES].view("<u2")
    return signed_codes(levels_of("iq2_xs")[words & 511], len(MAGNITUDES), EVEN[words >> 9])


def _open(packed: Packed) -> OpenedBlock:
    return open_block(
        packed,
        _scales(packed),
        _codes(packed),
        signed_values(MAGNITUDES),
        FIELDS,
        lambda i: (2 + 2 * (i // 8), 3 + 2 * (i // 8)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_scales(packed), signed_values(MAGNITUDES), 16 + 16 * 4)


IQ2_XS = BlockFormat(
    name="IQ2_XS",
    code_bits=2,
    family="uneven",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=None,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_iq2_xs",
)
