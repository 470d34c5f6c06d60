"""IQ2_S: 256 weights, by eights one of 1,024 patterns of magnitudes (2.5625 bits per weight).

restored = scale of scales * (sub-scale + 1/2) / 4 * magnitude * sign      magnitude 8, 25 or 43

byte  0         2               34              66               74                      82
      | scale   | 32 bytes: low | 32 bytes of   | 8 bytes: two   | 16 scales of 4 bits,  |
      | of      | bits of the   | signs, bit i  | more bits of   | one of a sub-block of |
      | scales  | patterns      | of weight i   | four patterns  | 16 weights            |
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
from quantcore.formats.codebook.search import MISSED_ONLY, Search, new_space

SIGN_BITS, HIGH, SUB_SCALES = 34, 66, 74  # first bytes
MAGNITUDES = (8, 25, 43)
SEARCH = Search(
    size=16,
    run=8,
    n_levels=3,
    n_tries=19,
    step=np.float32(0.1),
    tiny=np.float32(1e-8),
    even_signs=False,
    improve=MISSED_ONLY,
    unit=np.float32(0.25),
    alone=np.float32(0.25),
    stretch=np.float32(0.9875),
)


@lean_kernel
def _encode(blocks, importance, book, space, packed):
    return encode(blocks, importance, book, space, packed, SEARCH, plain_start, _store)


@inlined
def _store(space, block):
    for n in range(32):
        block[2 + n] = space.entries[n] & 255
        block[SIGN_BITS + n] = space.signs[n]
        block[HIGH + n // 4] |= space.entries[n] >> 8 << 2 * (n % 4)
    set_nibbles(space.codes, block[SUB_SCALES:])


@lean_kernel
def _decode(packed, table, out):
    decode_signed(packed, table, out, SEARCH, _code, _entry, _signs)


@also_python
def _code(block, j):
    return nibble(block, SUB_SCALES, j)


@also_python
def _entry(block, n):
    high = np.int32(block[HIGH + n // 4]) >> 2 * (n % 4) & 3
    return np.int32(block[2 + n]) | high << 8


@also_python
def _signs(block, n):
    return block[SIGN_BITS + n]


IQ2_S = codebook_format(
    BlockContents(
        name="IQ2_S",
        code_bits=2,
        book="iq2_s",
        n_shells=1,
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
                where=slice(2, 34),
                says="32 entries of a codebook of 1,024, eight magnitudes each",
            ),
            Field(name="signs", kind="codes", where=slice(34, 66), says="one bit per weight"),
            Field(name="high bits", kind="codes", where=slice(66, 74), says="two more bits each"),
            Field(
                name="sub-scales", kind="extra", where=slice(74, 82), says="16 scales, 4 bits each"
            ),
        ),
        code_bytes=lambda i: (2 + i // 8, SIGN_BITS + i // 8, HIGH + i // 32),
    ),
    Kernels(encode=_encode, decode=_decode, new_space=partial(new_space, SEARCH)),
)
