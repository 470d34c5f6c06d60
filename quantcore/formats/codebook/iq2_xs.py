"""IQ2_XS: 256 weights, by eights one of 512 patterns of magnitudes (2.3125 bits per weight).

restored = scale of scales * (sub-scale + 1/2) / 4 * magnitude * sign      magnitude 8, 25 or 43

byte  0         2                                                66                      74
      | scale   | 32 words of 16 bits: 9 bits of a pattern, then | 16 scales of 4 bits,  |
      | of      | 7 signs of its eight weights                   | one of a sub-block of |
      | scales  |                                                | 16 weights            |

The eighth sign of eight weights is the one that makes the number of minus signs even. ggml demands
an importance matrix.
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
from quantcore.formats.codebook.decode import EVEN, decode_signed, nibble, set_nibbles
from quantcore.formats.codebook.encode import encode, plain_start
from quantcore.formats.codebook.search import MISSED_ONLY, Search, new_space

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
    unit=np.float32(0.25),
    times=np.float32(1),
)


@lean_kernel
def _encode(blocks, importance, book, space, packed):
    return encode(blocks, importance, book, space, packed, SEARCH, plain_start, _store)


@inlined
def _store(space, block):
    for n in range(32):
        block[2 + 2 * n] = space.entries[n] & 255
        block[3 + 2 * n] = space.entries[n] >> 8 | (space.signs[n] & 127) << 1
    set_nibbles(space.codes, block[SUB_SCALES:])


@lean_kernel
def _decode(packed, table, out):
    decode_signed(packed, table, out, SEARCH, _code, _entry, _signs)


@also_python
def _code(block, j):
    return nibble(block, SUB_SCALES, j)


@also_python
def _entry(block, n):
    return np.int32(block[2 + 2 * n]) | (np.int32(block[3 + 2 * n]) & 1) << 8


@also_python
def _signs(block, n):
    return EVEN[block[3 + 2 * n] >> 1]


IQ2_XS = codebook_format(
    BlockContents(
        name="IQ2_XS",
        code_bits=2,
        book="iq2_xs",
        n_shells=2,
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
                name="patterns and signs",
                kind="codes",
                where=slice(2, 66),
                says="32 entries of a codebook of 512 with 7 signs each",
            ),
            Field(
                name="sub-scales", kind="extra", where=slice(66, 74), says="16 scales, 4 bits each"
            ),
        ),
        code_bytes=lambda i: (2 + 2 * (i // 8), 3 + 2 * (i // 8)),
    ),
    Kernels(
        encode=_encode,
        decode=_decode,
        new_space=partial(new_space, SEARCH),
        needs_importance=True,
    ),
)
