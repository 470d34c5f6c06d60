"""IQ2_XXS: 256 weights, by eights one of 256 patterns of magnitudes (2.0625 bits per weight).

restored = scale of scales * (sub-scale + 1/2) / 4 * magnitude * sign      magnitude 8, 25 or 43

byte  0         2                                                                       66
      | scale   | 8 sub-blocks of 32 weights, each: 4 entries of the codebook of a byte, |
      | of      | and a word of 4 times 7 bits of signs, with 4 bits of sub-scale on top |
      | scales  |                                                                        |

The eighth sign of eight weights is the one that makes the number of minus signs even. ggml demands
an importance matrix.
"""

from functools import partial

import numpy as np

from quantcore._jit import also_python, inlined, lean_kernel, pasted
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
from quantcore.formats.codebook.encode import encode
from quantcore.formats.codebook.search import ALWAYS, Search, new_space
from quantcore.formats.shared.weighted import divide_weighted

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
    unit=np.float32(0.25),
    times=np.float32(1),
)


@lean_kernel
def _encode(blocks, importance, book, space, packed):
    return encode(blocks, importance, book, space, packed, SEARCH, _start, _store)


@pasted
def _start(space, search, peak):
    """Search around the best scale for even levels."""
    scale = divide_weighted(space.sizes, space.counts, search.n_levels + 1, space.codes)
    return scale, np.float32(scale * np.float32(search.n_levels))


@inlined
def _store(space, block):
    for j in range(8):
        for g in range(4):
            block[2 + 8 * j + g] = space.entries[4 * j + g]
        set_word(space.codes[j], space.signs[4 * j : 4 * j + 4], block[6 + 8 * j :])


@lean_kernel
def _decode(packed, table, out):
    decode_signed(packed, table, out, SEARCH, _code, _entry, _signs)


@also_python
def _code(block, j):
    return word(block, 6 + 8 * j) >> 28


@also_python
def _entry(block, n):
    return block[2 + 8 * (n // 4) + n % 4]


@also_python
def _signs(block, n):
    return even_signs(word(block, 6 + 8 * (n // 4)), n % 4)


IQ2_XXS = codebook_format(
    BlockContents(
        name="IQ2_XXS",
        code_bits=2,
        book="iq2_xxs",
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
                name="patterns, signs and sub-scales",
                kind="codes",
                where=slice(2, 66),
                says="8 times: 4 entries of a codebook of 256, 28 signs, a scale of 4 bits",
            ),
        ),
        code_bytes=lambda i: (
            2 + 8 * (i // 32) + i // 8 % 4,
            *sign_bytes(6 + 8 * (i // 32), i % 32),
        ),
    ),
    Kernels(
        encode=_encode,
        decode=_decode,
        new_space=partial(new_space, SEARCH),
        needs_importance=True,
    ),
)
