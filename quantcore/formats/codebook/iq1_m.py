"""IQ1_M: 256 weights, by eights one of 2,048 patterns of three levels (1.75 bits per weight).

restored = scale of scales * (2 * sub-scale + 1) * (level - 1 + shift)     shift -1/8 or 1/8

byte  0                         32                           48                                56
      | 32 bytes: low bits of   | 16 bytes: for two patterns | 4 words: sub-scales of four      |
      | the patterns            | each 3 high bits, and      | sub-blocks of 16, 3 bits each,   |
      |                         | whether it is shifted down | then 4 bits of scale of scales   |
"""

from functools import partial

import numpy as np

from quantcore._jit import also_python, inlined, lean_kernel, pasted
from quantcore.bits import half_bits
from quantcore.format import Field
from quantcore.formats.codebook.blocks import (
    SHIFTED_VALUES,
    BlockContents,
    Kernels,
    codebook_format,
    shifted,
)
from quantcore.formats.codebook.decode import decode_shifted
from quantcore.formats.codebook.iq1_encode import encode
from quantcore.formats.codebook.iq1_search import DOWN, UP, Cuts, new_space, shift_of, value_of
from quantcore.formats.codebook.search import ONE, ZERO

HIGH, SUB_SCALES = 32, 48  # first bytes
CUTS = Cuts(size=16, n_parts=2, tiny=np.float32(1e-7), unit=np.float32(2))


@lean_kernel
def _encode(blocks, importance, book, space, packed):
    return encode(blocks, importance, book, space, packed, CUTS, _sums_of, _store)


@pasted
def _sums_of(sums, i, j, k, shifts):
    first, second = DOWN if shifts & 2 else UP, DOWN if shifts & 1 else UP
    qx = _half_qx(sums, 0, i, j, k, first) + _half_qx(sums, 2, i, j, k, second)
    return qx, _half_qq(sums, 1, i, j, k, first) + _half_qq(sums, 3, i, j, k, second)


@inlined
def _half_qx(sums, half, i, j, k, shift):
    return sums[half, -1, k] * (shift + ONE) - (sums[half, i, k] + sums[half, j, k])


@inlined
def _half_qq(sums, half, i, j, k, shift):
    below, above = shift - ONE, shift + ONE
    first = sums[half, i, k] * (below * below - shift * shift)
    second = sums[half, j, k] * (shift * shift - above * above)
    return sums[half, -1, k] * above * above + first + second


@inlined
def _store(weights, step, space, block):
    for n in range(32):
        down = space.shifts[n // 2] >> (1 - n % 2) & 1
        block[n] = space.entries[n] & 255
        block[HIGH + n // 2] |= (space.entries[n] >> 8 | down << 3) << 4 * (n % 2)
    half = np.int32(0)
    if step != ZERO:
        half = np.int32(half_bits(np.float32(_fit_all(weights, step, space) * np.float32(1.1125))))
    for j in range(4):
        word = (half >> 4 * j & 15) << 12
        for i in range(4):
            word |= space.codes[4 * j + i] << 3 * i
        block[SUB_SCALES + 2 * j] = word & 255
        block[SUB_SCALES + 2 * j + 1] = word >> 8


@inlined
def _fit_all(weights, step, space):
    """Return the scale of scales that fits all weights best."""
    qx = qq = ZERO
    for i in range(weights.size):
        j = i // CUTS.size
        value = value_of(space.levels[i], shift_of(space.shifts[j], i // 8 % 2, 2))
        value = np.float32(value * np.float32(2 * space.codes[j] + 1))
        weighted = np.float32(space.counts[i] * value)
        qx = np.float32(qx + np.float32(weighted * weights[i]))
        qq = np.float32(qq + np.float32(weighted * value))
    return np.float32(qx / qq) if qq > ZERO else step


@lean_kernel
def _decode(packed, table, out):
    decode_shifted(packed, table, out, CUTS, _half, _code, _entry, _down)


@also_python
def _half(block):
    low = np.int32(block[SUB_SCALES + 1]) >> 4 | np.int32(block[SUB_SCALES + 3]) & 0xF0
    high = np.int32(block[SUB_SCALES + 5]) >> 4 | np.int32(block[SUB_SCALES + 7]) & 0xF0
    return low | high << 8


@also_python
def _code(block, j):
    at = SUB_SCALES + 2 * (j // 4)
    word = np.int32(block[at]) | np.int32(block[at + 1]) << 8
    return word >> 3 * (j % 4) & 7


@also_python
def _entry(block, n):
    return np.int32(block[n]) | (np.int32(block[HIGH + n // 2]) >> 4 * (n % 2) & 7) << 8


@also_python
def _down(block, n):
    return block[HIGH + n // 2] >> 4 * (n % 2) + 3 & 1


IQ1_M = codebook_format(
    BlockContents(
        name="IQ1_M",
        code_bits=1,
        book="iq1",
        n_shells=3,
        levels=(-1, 0, 1),
        values=SHIFTED_VALUES,
        signed=shifted,
        size=CUTS.size,
        unit=CUTS.unit,
        scale_bits=3,
        half_of=_half,
        code_of=_code,
        entry_of=_entry,
        signs_of=_down,
        fields=(
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
        ),
        code_bytes=lambda i: (i // 8, HIGH + i // 16),
    ),
    Kernels(encode=_encode, decode=_decode, new_space=partial(new_space, CUTS)),
)
