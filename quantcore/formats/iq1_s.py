"""IQ1_S: 256 weights, by eights one of 2,048 patterns of three levels (1.5625 bits per weight).

restored = scale of scales * (2 * sub-scale + 1) * (level - 1 + shift)     shift -1/8 or 1/8

byte  0         2                          34                                             50
      | scale   | 32 bytes: low bits of    | 8 words of a sub-block of 32 each: 4 times   |
      | of      | the patterns             | 3 high bits, 3 bits of sub-scale, and on top |
      | scales  |                          | whether it is shifted down                   |

ggml demands an importance matrix.
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined, kernel
from quantcore.bits import half_value, halves
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
    SUPER_SCALE,
    Scales,
    open_block,
    scale_factors,
    scales_of,
)
from quantcore.formats.iq_search import ONE, ZERO
from quantcore.formats.iq_super_block import largest_of, scale_code
from quantcore.formats.k_lanes import IMPORTANCE, LANES, SUPER_BLOCK, load, new_board
from quantcore.formats.k_scales import store_half
from quantcore.formats.weighted import weigh_super_blocks

BLOCK_BYTES = 50
WORDS = 34  # first byte of high bits, sub-scales and shifts
SIZE = 32
N_SUB_BLOCKS = 8
BATCH = LANES // N_SUB_BLOCKS
TINY = np.float32(1e-12)  # a sub-block with no weight from here on counts as zero
FIELDS = (
    SUPER_SCALE,
    Field(
        name="patterns",
        kind="codes",
        where=slice(2, 34),
        says="32 entries of a codebook of 2,048, eight levels each",
    ),
    Field(
        name="high bits, sub-scales and shifts",
        kind="codes",
        where=slice(34, 50),
        says="8 words: 4 times 3 bits, then a scale of 3 bits and a shift",
    ),
)


def _encode_weighted(blocks: Weights, importance: Weights, packed: Packed) -> int:
    return _encode_all(blocks, importance, book(), new_sums(2, SIZE), packed)


@kernel
def _encode_all(blocks, importance, codebook, sums, packed):
    board = new_board()
    space = np.empty(SIZE, np.float32), np.empty(SIZE, np.int32), np.empty(24, np.float32)
    scales = np.empty(N_SUB_BLOCKS, np.float32)
    for start in range(0, blocks.shape[0], BATCH):
        batch = blocks[start : start + BATCH]
        bad = load(batch, SIZE, board)
        if bad >= 0:
            return start + bad
        weigh_super_blocks(batch, importance, start, SIZE, np.float32(2), board)
        rank(board, SIZE)
        sum_in_order(board, SIZE, SIZE, sums)
        _cut(board, sums)
        for b in range(batch.shape[0]):
            _store(
                batch[b], board, sums, N_SUB_BLOCKS * b, codebook, space, scales, packed[start + b]
            )
    return -1


@inlined
def _cut(board, sums):
    """Find the best cuts of every lane, with both shifts."""
    start_search(board)
    for i in range(SIZE + 1):
        for j in range(i, SIZE + 1):
            number = number_of(i, j)
            for k in range(LANES):
                best, which = board[BEST, k], board[WHICH, k]
                qx, qq = _sum_qx(sums, i, j, k, UP), _sum_qq(sums, i, j, k, UP)
                better, explained = explains_more(best, qx, qq), qx / qq * qx
                which = number if better else which
                best = explained if better else best
                qx, qq = _sum_qx(sums, i, j, k, DOWN), _sum_qq(sums, i, j, k, DOWN)
                better, explained = explains_more(best, qx, qq), qx / qq * qx
                board[WHICH, k] = number + ONE if better else which
                board[BEST, k] = explained if better else best


@inlined
def _sum_qx(sums, i, j, k, shift):
    """Return the sum of value * weight for a pair of cuts."""
    low = sums[0, i, k]
    middle = np.float32(sums[0, j, k] - low)
    high = np.float32(sums[0, SIZE, k] - sums[0, j, k])
    return low * (shift - ONE) + middle * shift + high * (shift + ONE)


@inlined
def _sum_qq(sums, i, j, k, shift):
    """Return the sum of value^2, importance counted in both, for a pair of cuts."""
    low = sums[1, i, k]
    middle = np.float32(sums[1, j, k] - low)
    high = np.float32(sums[1, SIZE, k] - sums[1, j, k])
    below, above = shift - ONE, shift + ONE
    return low * below * below + middle * shift * shift + high * above * above


@inlined
def _store(weights, board, sums, lane, codebook, space, scales, packed):
    """Choose entries, and store the block."""
    packed[:] = 0
    for j in range(N_SUB_BLOCKS):
        scales[j] = ZERO
        is_zero = board[PEAK, lane + j] < TINY or board[WHICH, lane + j] < ZERO
        if not is_zero:
            here = weights[SIZE * j : SIZE * (j + 1)]
            scales[j] = _store_sub_block(here, board, sums, lane + j, codebook, space, j, packed)
    largest = largest_of(scales)
    if largest == ZERO:
        return
    step = np.float32(largest / np.float32(15))
    store_half(np.float32(step * np.float32(1.125)), packed)
    inv_step = ONE / step
    for j in range(N_SUB_BLOCKS):
        packed[WORDS + 2 * j + 1] |= scale_code(scales[j], inv_step, 7) << 4


@inlined
def _store_sub_block(weights, board, sums, lane, codebook, space, j, packed):
    """Store patterns and shift; return the scale."""
    counts, levels, terms = space
    first, second, shifts = found_cuts(board, lane)
    shift = DOWN if shifts else UP
    scale = _sum_qx(sums, first, second, lane, shift) / _sum_qq(sums, first, second, lane, shift)
    scale, turned = np.float32(abs(scale)), scale < ZERO
    take_levels(board, lane, first, second, turned, levels)
    down = (shifts == 1) != turned
    shift = DOWN if down else UP
    word, missed = np.int32(down) << 15, False
    for i in range(SIZE):
        counts[i] = board[IMPORTANCE + i, lane]
    for g in range(4):
        run = slice(8 * g, 8 * g + 8)
        entry, exact = choose_entry(
            weights[run], counts[run], levels[run], scale, shift, codebook, terms
        )
        packed[2 + 4 * j + g] = entry & 255
        word |= entry >> 8 << 3 * g
        missed |= not exact
    packed[WORDS + 2 * j] = word & 255
    packed[WORDS + 2 * j + 1] = word >> 8
    if missed:
        qx = qq = ZERO
        for i in range(SIZE):
            value = value_of(levels[i], shift)
            weighted = np.float32(counts[i] * value)
            qx = np.float32(qx + np.float32(weighted * weights[i]))
            qq = np.float32(qq + np.float32(weighted * value))
        scale = np.float32(qx / qq) if qx > ZERO and qq > ZERO else scale
    return scale


def _decode(packed: Packed, out: Weights) -> None:
    _decode_all(packed, grid("iq1", (-1, 0, 1)), out)


@kernel
def _decode_all(packed, grid, out):
    eighth = np.float32(0.125)
    for b in range(packed.shape[0]):
        step = half_value(packed[b, 0], packed[b, 1])
        for j in range(N_SUB_BLOCKS):
            word = np.uint32(packed[b, WORDS + 2 * j])
            word |= np.uint32(packed[b, WORDS + 2 * j + 1]) << np.uint32(8)
            scale = step * np.float32(np.uint32(2) * (word >> np.uint32(12) & np.uint32(7)) + 1)
            shift = -eighth if word >> np.uint32(15) else eighth
            for g in range(4):
                high = word >> np.uint32(3 * g) & np.uint32(7)
                entry = np.uint32(packed[b, 2 + 4 * j + g]) | high << np.uint32(8)
                here = out[b, SIZE * j + 8 * g : SIZE * j + 8 * g + 8]
                for i in range(8):
                    here[i] = scale * (grid[entry, i] + shift)


def _words(packed: Packed) -> NDArray[np.uint16]:
    """High bits, sub-scales and shifts, a word a sub-block."""
    return np.ascontiguousarray(packed[..., WORDS:]).view("<u2")


def _scales(packed: Packed) -> Scales:
    return scales_of(halves(packed, 0), _words(packed) >> 12 & 7, 0.5, 2)


def _codes(packed: Packed) -> NDArray[np.int32]:
    words = _words(packed)[:, None]
    high = (words >> np.uint16([0, 3, 6, 9]) & 7).astype(int)
    levels = levels_of("iq1")[packed[2:WORDS].reshape(8, 4) | high << 8]
    return shifted_codes(levels, (words >> 15)[..., None])


def _code_bytes(i: int) -> tuple[int, ...]:
    high = WORDS + 2 * (i // 32)  # the shift lies in the upper byte
    return (2 + i // 8, high, high + 1) if i // 8 % 4 < 3 else (2 + i // 8, high + 1)


def _open(packed: Packed) -> OpenedBlock:
    codes = _codes(packed)
    return open_block(packed, _scales(packed), codes, SHIFTED_VALUES, FIELDS, _code_bytes)


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(_scales(packed), SHIFTED_VALUES, 16 + 8 * 3)


IQ1_S = BlockFormat(
    name="IQ1_S",
    code_bits=1,
    family="uneven",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=None,
    encode_weighted=_encode_weighted,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_iq1_s",
)
