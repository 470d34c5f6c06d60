"""IQ1_M: 256 weights, by eights one of 2,048 patterns of three levels (1.75 bits per weight).

restored = scale of scales * (2 * sub-scale + 1) * (level - 1 + shift)     shift -1/8 or 1/8

byte  0                         32                           48                                56
      | 32 bytes: low bits of   | 16 bytes: for two patterns | 4 words: sub-scales of four      |
      | the patterns            | each 3 high bits, and      | sub-blocks of 16, 3 bits each,   |
      |                         | whether it is shifted down | then 4 bits of scale of scales   |
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined, kernel
from quantcore.bits import half_bits, half_value
from quantcore.format import BlockFormat, Field, OpenedBlock, Packed, ScaleFactors, Weights
from quantcore.formats.codebooks import grid, levels_of
from quantcore.formats.iq1_search import (
    BEST,
    DOWN,
    PEAK,
    SHIFTED_VALUES,
    UP,
    WHICH,
    book,
    choose_entry,
    explains_more,
    found_cuts,
    new_sums,
    number_of,
    rank,
    shifted_codes,
    start_search,
    sum_in_order,
    take_levels,
    value_of,
)
from quantcore.formats.iq_blocks import (
    NO_IMPORTANCE,
    Scales,
    open_block,
    scale_factors,
    scales_of,
)
from quantcore.formats.iq_search import ONE, ZERO
from quantcore.formats.iq_super_block import largest_of, scale_code
from quantcore.formats.k_lanes import IMPORTANCE, LANES, SUPER_BLOCK, load, new_board
from quantcore.formats.k_symmetric import weigh_by_square
from quantcore.formats.weighted import weigh_super_blocks

BLOCK_BYTES = 56
HIGH, SUB_SCALES = 32, 48  # first bytes
SIZE = 16
N_SUB_BLOCKS = 16
BATCH = LANES // N_SUB_BLOCKS
TINY = np.float32(1e-7)  # a sub-block with no weight from here on counts as zero
FIELDS = (
    Field(
        name="patterns",
        kind="codes",
        where=slice(0, 32),
        says="32 entries of a codebook of 2,048, eight levels each",
    ),
    Field(
        name="high bits and shifts",
        kind="codes",
        where=slice(32, 48),
        says="for each pattern 3 more bits, and whether it is shifted down",
    ),
    Field(
        name="sub-scales and scale of scales",
        kind="scale",
        where=slice(48, 56),
        says="",
    ),
)


def _encode(blocks: Weights, packed: Packed) -> int:
    return _encode_all(blocks, NO_IMPORTANCE, book(), new_sums(4, SIZE), packed)


def _encode_weighted(blocks: Weights, importance: Weights, packed: Packed) -> int:
    return _encode_all(blocks, importance, book(), new_sums(4, SIZE), packed)


@kernel
def _encode_all(blocks, importance, codebook, sums, packed):
    board = new_board()
    space = np.empty(SIZE, np.float32), np.empty(SIZE, np.int32), np.empty(24, np.float32)
    scales, values = np.empty(N_SUB_BLOCKS, np.float32), np.empty(SUPER_BLOCK, np.float32)
    for start in range(0, blocks.shape[0], BATCH):
        batch = blocks[start : start + BATCH]
        bad = load(batch, SIZE, board)
        if bad >= 0:
            return start + bad
        if importance.shape[1]:
            weigh_super_blocks(batch, importance, start, SIZE, np.float32(2), board)
        else:
            weigh_by_square(board, SIZE)
        rank(board, SIZE)
        sum_in_order(board, SIZE, SIZE // 2, sums)
        _cut(board, sums)
        for b in range(batch.shape[0]):
            lane = N_SUB_BLOCKS * b
            _store(batch[b], board, sums, lane, codebook, space, scales, values, packed[start + b])
    return -1


@inlined
def _cut(board, sums):
    """Find the best cuts of every lane, with all four pairs of shifts of its halves."""
    start_search(board)
    for i in range(SIZE + 1):
        for j in range(i, SIZE + 1):
            number = number_of(i, j)
            for k in range(LANES):
                best, which = board[BEST, k], board[WHICH, k]
                for shifts in range(4):
                    qx, qq = _sum_qx(sums, i, j, k, shifts), _sum_qq(sums, i, j, k, shifts)
                    better, explained = explains_more(best, qx, qq), qx / qq * qx
                    which = number + np.float32(shifts) if better else which
                    best = explained if better else best
                board[WHICH, k], board[BEST, k] = which, best


@inlined
def _sum_qx(sums, i, j, k, shifts):
    """Return the sum of value * weight for a pair of cuts and the shifts of both halves."""
    first = _half_qx(sums, 0, i, j, k, DOWN if shifts & 2 else UP)
    return first + _half_qx(sums, 2, i, j, k, DOWN if shifts & 1 else UP)


@inlined
def _sum_qq(sums, i, j, k, shifts):
    """Return the sum of value^2, importance counted in both."""
    first = _half_qq(sums, 1, i, j, k, DOWN if shifts & 2 else UP)
    return first + _half_qq(sums, 3, i, j, k, DOWN if shifts & 1 else UP)


@inlined
def _half_qx(sums, half, i, j, k, shift):
    return sums[half, SIZE, k] * (shift + ONE) - (sums[half, i, k] + sums[half, j, k])


@inlined
def _half_qq(sums, half, i, j, k, shift):
    below, above = shift - ONE, shift + ONE
    first = sums[half, i, k] * (below * below - shift * shift)
    second = sums[half, j, k] * (shift * shift - above * above)
    return sums[half, SIZE, k] * above * above + first + second


@inlined
def _store(weights, board, sums, lane, codebook, space, scales, values, packed):
    """Choose entries, fit the scale of scales to them all, and store the block."""
    packed[:] = 0
    for j in range(N_SUB_BLOCKS):
        scales[j] = ZERO
        is_zero = board[PEAK, lane + j] < TINY or board[WHICH, lane + j] < ZERO
        if is_zero:
            values[SIZE * j : SIZE * (j + 1)] = UP - ONE  # what the first entry of all stands for
        else:
            run = slice(SIZE * j, SIZE * (j + 1))
            here, out = weights[run], values[run]
            scales[j] = _store_sub_block(
                here, board, sums, lane + j, codebook, space, j, out, packed
            )
    largest = largest_of(scales)
    if largest == ZERO:
        return
    step = np.float32(largest / np.float32(15))
    inv_step = ONE / step
    qx = qq = ZERO
    for j in range(N_SUB_BLOCKS):
        code = scale_code(scales[j], inv_step, 7)
        bits = code << 3 * (j % 4)
        packed[SUB_SCALES + j // 4 * 2] |= bits & 255
        packed[SUB_SCALES + j // 4 * 2 + 1] |= bits >> 8
        for i in range(SIZE):
            at, weight = SIZE * j + i, board[IMPORTANCE + i, lane + j]
            value = np.float32(values[at] * np.float32(2 * code + 1))
            weighted = np.float32(weight * value)
            qx = np.float32(qx + np.float32(weighted * weights[at]))
            qq = np.float32(qq + np.float32(weighted * value))
    step = np.float32(qx / qq) if qq > ZERO else step
    half = half_bits(np.float32(step * np.float32(1.1125)))
    for j in range(4):
        packed[SUB_SCALES + 2 * j + 1] |= (half >> 4 * j & 15) << 4


@inlined
def _store_sub_block(weights, board, sums, lane, codebook, space, j, out, packed):
    """Store patterns and shifts, and fill the values they stand for; return the scale."""
    counts, levels, terms = space
    first, second, shifts = found_cuts(board, lane)
    scale = _sum_qx(sums, first, second, lane, shifts) / _sum_qq(sums, first, second, lane, shifts)
    scale, turned = np.float32(abs(scale)), scale < ZERO
    take_levels(board, lane, first, second, turned, levels)
    shifts = np.int32(3) - shifts if turned else shifts
    missed = False
    for i in range(SIZE):
        counts[i] = board[IMPORTANCE + i, lane]
    for g in range(2):
        run = slice(8 * g, 8 * g + 8)
        down = shifts >> (1 - g) & 1
        shift = DOWN if down else UP
        entry, exact = choose_entry(
            weights[run], counts[run], levels[run], scale, shift, codebook, terms
        )
        packed[2 * j + g] = entry & 255
        packed[HIGH + j] |= (entry >> 8 | down << 3) << 4 * g
        missed |= not exact
        for i in range(8 * g, 8 * g + 8):
            out[i] = value_of(levels[i], shift)
    if missed:
        qx = qq = ZERO
        for i in range(SIZE):
            weighted = np.float32(counts[i] * out[i])
            qx = np.float32(qx + np.float32(weighted * weights[i]))
            qq = np.float32(qq + np.float32(weighted * out[i]))
        scale = np.float32(qx / qq) if qx > ZERO and qq > ZERO else scale
    return scale


def _decode(packed: Packed, out: Weights) -> None:
    _decode_all(packed, grid("iq1", (-1, 0, 1)), out)


@kernel
def _decode_all(packed, grid, out):
    eighth = np.float32(0.125)
    for b in range(packed.shape[0]):
        upper = packed[b, SUB_SCALES + 1 :]
        low = upper[0] >> 4 | upper[2] & 0xF0
        step = half_value(low, upper[4] >> 4 | upper[6] & 0xF0)
        for j in range(N_SUB_BLOCKS):
            where = SUB_SCALES + j // 4 * 2
            word = np.uint32(packed[b, where]) | np.uint32(packed[b, where + 1]) << np.uint32(8)
            code = word >> np.uint32(3 * (j % 4)) & np.uint32(7)
            scale = step * np.float32(np.uint32(2) * code + np.uint32(1))
            for g in range(2):
                high = np.uint32(packed[b, HIGH + j] >> 4 * g)
                shift = -eighth if high & np.uint32(8) else eighth
                entry = np.uint32(packed[b, 2 * j + g]) | (high & np.uint32(7)) << np.uint32(8)
                here = out[b, SIZE * j + 8 * g : SIZE * j + 8 * g + 8]
                for i in range(8):
                    here[i] = scale * (grid[entry, i] + shift)


def _scales(packed: Packed) -> Scales:
    words = np.ascontiguousarray(packed[..., SUB_SCALES:]).view("<u2")
    codes = words[..., None] >> np.uint16([0, 3, 6, 9]) & 7
    nibbles = (words >> 12) << np.uint16([0, 4, 8, 12])
    super_scales = np.bitwise_or.reduce(nibbles, axis=-1).astype("<u2").view("<f2")
    codes = codes.reshape(*packed.shape[:-1], N_SUB_BLOCKS)
    return scales_of(super_scales.astype(np.float32), codes, 0.5, 2)


def _codes(packed: Packed) -> NDArray[np.int32]:
    nibbles = packed[HIGH:SUB_SCALES, None] >> np.uint8([0, 4])
    levels = levels_of("iq1")[packed[:HIGH].reshape(16, 2) | (nibbles & 7).astype(int) << 8]
    return shifted_codes(levels, (nibbles >> 3 & 1)[..., None])


def _open(packed: Packed) -> OpenedBlock:
    return open_block(
        packed,
        _scales(packed),
        _codes(packed),
        SHIFTED_VALUES,
        FIELDS,
        lambda i: (i // 8, HIGH + i // 16),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_scales(packed), SHIFTED_VALUES, 16 + 16 * 3)


IQ1_M = BlockFormat(
    name="IQ1_M",
    code_bits=1,
    family="uneven",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_iq1_m",
)
