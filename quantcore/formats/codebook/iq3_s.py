"""IQ3_S: 256 weights, by fours one of 512 patterns of magnitudes (3.4375 bits per weight).

restored = scale of scales * (2 * sub-scale + 1) * magnitude * sign    magnitude odd, from 1 to 15

byte  0         2                66              74             106              110
      | scale   | 64 bytes: low  | 8 bytes: the  | 32 bytes of  | 8 scales of 4  |
      | of      | bits of the    | ninth bit of  | signs, bit i | bits, one of a |
      | scales  | patterns       | eight each    | of weight i  | sub-block of 32|
"""

from functools import partial

import numpy as np

from quantcore._jit import also_python, inlined, lean_kernel
from quantcore.format import Field
from quantcore.formats.codebook.blocks import (
    SUPER_SCALE,
    BlockContents,
    Kernels,
    codebook_format,
    signed_values,
    with_signs,
)
from quantcore.formats.codebook.decode import decode_signed, nibble, set_nibbles
from quantcore.formats.codebook.encode import encode, plain_start
from quantcore.formats.codebook.search import MISSED_AND_OTHERS, Search, new_space

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
    unit=np.float32(2),
    stretch=np.float32(1.033),
)


@lean_kernel
def _encode(blocks, importance, book, space, packed):
    return encode(blocks, importance, book, space, packed, SEARCH, plain_start, _store)


@inlined
def _store(space, block):
    place = 0  # ggml goes on where it was after a sub-block of zeros, with all but the high bits
    for j in range(8):
        if space.is_zero[j]:
            continue
        for i in range(8):
            entry = space.entries[8 * j + i]
            block[2 + 8 * place + i] = entry & 255
            block[HIGH + j] |= entry >> 8 << i
        for g in range(4):
            block[SIGN_BITS + 4 * place + g] = space.signs[4 * j + g]
        place += 1
    set_nibbles(space.codes, block[SUB_SCALES:])


@lean_kernel
def _decode(packed, table, out):
    decode_signed(packed, table, out, SEARCH, _code, _entry, _signs)


@also_python
def _code(block, j):
    return nibble(block, SUB_SCALES, j)


@also_python
def _entry(block, n):
    return np.int32(block[2 + n]) | (np.int32(block[HIGH + n // 8]) >> n % 8 & 1) << 8


@also_python
def _signs(block, n):
    return block[SIGN_BITS + n]


IQ3_S = codebook_format(
    BlockContents(
        name="IQ3_S",
        code_bits=3,
        book="iq3_s",
        n_shells=3,
        levels=MAGNITUDES,
        values=signed_values(MAGNITUDES),
        signed=with_signs,
        size=SEARCH.size,
        unit=SEARCH.unit,
        scale_bits=4,
        code_of=_code,
        entry_of=_entry,
        signs_of=_signs,
        fields=(
            SUPER_SCALE,
            Field(
                name="patterns",
                kind="codes",
                where=slice(2, 66),
                says="64 entries of a codebook of 512, four magnitudes each",
            ),
            Field(name="high bits", kind="codes", where=slice(66, 74), says="a ninth bit each"),
            Field(name="signs", kind="codes", where=slice(74, 106), says="one bit per weight"),
            Field(
                name="sub-scales", kind="extra", where=slice(106, 110), says="8 scales, 4 bits each"
            ),
        ),
        code_bytes=lambda i: (2 + i // 4, HIGH + i // 32, SIGN_BITS + i // 8),
    ),
    Kernels(encode=_encode, decode=_decode, new_space=partial(new_space, SEARCH)),
)
