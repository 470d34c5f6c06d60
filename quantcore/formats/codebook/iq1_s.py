"""IQ1_S: 256 weights, by eights one of 2,048 patterns of three levels (1.5625 bits per weight).

restored = scale of scales * (2 * sub-scale + 1) * (level - 1 + shift)     shift -1/8 or 1/8

byte  0         2                          34                                             50
      | scale   | 32 bytes: low bits of    | 8 words of a sub-block of 32 each: 4 times   |
      | of      | the patterns             | 3 high bits, 3 bits of sub-scale, and on top |
      | scales  |                          | whether it is shifted down                   |

ggml demands an importance matrix.
"""

from functools import partial

import numpy as np

from quantcore._jit import also_python, inlined, lean_kernel, pasted
from quantcore.bits import store_half
from quantcore.format import Field
from quantcore.formats.codebook.blocks import (
    SHIFTED_VALUES,
    SUPER_SCALE,
    BlockContents,
    Kernels,
    codebook_format,
    shifted,
)
from quantcore.formats.codebook.decode import decode_shifted, first_half
from quantcore.formats.codebook.iq1_encode import encode
from quantcore.formats.codebook.iq1_search import DOWN, UP, Cuts, new_space
from quantcore.formats.codebook.search import ONE

WORDS = 34  # first byte of high bits, sub-scales and shifts
CUTS = Cuts(size=32, n_parts=1, tiny=np.float32(1e-12), unit=np.float32(2))


@lean_kernel
def _encode(blocks, importance, book, space, packed):
    return encode(blocks, importance, book, space, packed, CUTS, _sums_of, _store)


@pasted
def _sums_of(sums, i, j, k, shifts):
    shift = DOWN if shifts else UP
    below, above = shift - ONE, shift + ONE
    low, low_counts = sums[0, i, k], sums[1, i, k]
    middle, middle_counts = sums[0, j, k] - low, sums[1, j, k] - low_counts
    high, high_counts = sums[0, -1, k] - sums[0, j, k], sums[1, -1, k] - sums[1, j, k]
    qq = low_counts * below * below + middle_counts * shift * shift + high_counts * above * above
    return low * below + middle * shift + high * above, qq


@inlined
def _store(_, step, space, block):
    store_half(np.float32(step * np.float32(1.125)), block)
    for n in range(32):
        block[2 + n] = space.entries[n] & 255
    for j in range(8):
        word = space.shifts[j] << 15 | space.codes[j] << 12
        for g in range(4):
            word |= space.entries[4 * j + g] >> 8 << 3 * g
        block[WORDS + 2 * j] = word & 255
        block[WORDS + 2 * j + 1] = word >> 8


@lean_kernel
def _decode(packed, table, out):
    decode_shifted(packed, table, out, CUTS, first_half, _code, _entry, _down)


@also_python
def _code(block, j):
    return block[WORDS + 2 * j + 1] >> 4 & 7


@also_python
def _entry(block, n):
    at = WORDS + 2 * (n // 4)
    word = np.int32(block[at]) | np.int32(block[at + 1]) << 8
    return np.int32(block[2 + n]) | (word >> 3 * (n % 4) & 7) << 8


@also_python
def _down(block, n):
    return block[WORDS + 2 * (n // 4) + 1] >> 7


def _code_bytes(i: int) -> tuple[int, ...]:
    high = WORDS + 2 * (i // 32)  # the shift lies in the upper byte
    return (2 + i // 8, high, high + 1) if i // 8 % 4 < 3 else (2 + i // 8, high + 1)


IQ1_S = codebook_format(
    BlockContents(
        name="IQ1_S",
        code_bits=1,
        book="iq1",
        n_shells=3,
        levels=(-1, 0, 1),
        values=SHIFTED_VALUES,
        signed=shifted,
        size=CUTS.size,
        unit=CUTS.unit,
        scale_bits=3,
        code_of=_code,
        entry_of=_entry,
        signs_of=_down,
        fields=(
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
        ),
        code_bytes=_code_bytes,
    ),
    Kernels(
        encode=_encode,
        decode=_decode,
        new_space=partial(new_space, CUTS),
        needs_importance=True,
    ),
)
