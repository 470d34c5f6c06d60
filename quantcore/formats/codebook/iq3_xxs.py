"""IQ3_XXS: 256 weights, by fours one of 256 patterns of magnitudes (3.0625 bits per weight).

restored = scale of scales * (sub-scale + 1/2) / 2 * magnitude * sign      magnitude from 4 to 62

byte  0         2                        66                                            98
      | scale   | 64 bytes: entries of   | 8 words of a sub-block of 32 each: 4 times  |
      | of      | the codebook, four     | 7 bits of signs, and 4 bits of sub-scale on |
      | scales  | weights each           | top                                         |

The eighth sign of eight weights is the one that makes the number of minus signs even.
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
    sign_bytes,
    signed_values,
    with_signs,
)
from quantcore.formats.codebook.decode import decode_signed, even_signs, set_word, word
from quantcore.formats.codebook.encode import encode, plain_start
from quantcore.formats.codebook.search import MISSED_ONLY, Search, new_space

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
    unit=np.float32(0.5),
    stretch=np.float32(1.0125),
)


@lean_kernel
def _encode(blocks, importance, book, space, packed):
    return encode(blocks, importance, book, space, packed, SEARCH, plain_start, _store)


@inlined
def _store(space, block):
    for n in range(64):
        block[2 + n] = space.entries[n]
    for j in range(8):
        set_word(space.codes[j], space.signs[4 * j : 4 * j + 4], block[WORDS + 4 * j :])


@lean_kernel
def _decode(packed, table, out):
    decode_signed(packed, table, out, SEARCH, _code, _entry, _signs)


@also_python
def _code(block, j):
    return word(block, WORDS + 4 * j) >> 28


@also_python
def _entry(block, n):
    return block[2 + n]


@also_python
def _signs(block, n):
    return even_signs(word(block, WORDS + 4 * (n // 4)), n % 4)


IQ3_XXS = codebook_format(
    BlockContents(
        name="IQ3_XXS",
        code_bits=3,
        book="iq3_xxs",
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
        ),
        code_bytes=lambda i: (2 + i // 4, *sign_bytes(WORDS + 4 * (i // 32), i % 32)),
    ),
    Kernels(encode=_encode, decode=_decode, new_space=partial(new_space, SEARCH)),
)
