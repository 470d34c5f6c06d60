"""How blocks with a codebook are decoded, and what several formats' bytes have in common.

A reader takes the bytes of a block and a number, and returns an integer: the code of a sub-scale,
the entry of a run of weights, their signs. Kernels give it one block; `blocks` gives it numpy
arrays with the bytes first, and reads many blocks at once.
"""

import numpy as np

from quantcore._jit import also_python, inlined, pasted
from quantcore.bits import half_value
from quantcore.formats.shared.lanes import SUPER_BLOCK

# Bit i of a byte is the sign of weight i; of seven bits, the eighth makes their number even.
SIGNS = np.where(np.arange(256)[:, None] >> np.arange(8) & 1, -1, 1).astype(np.float32)
EVEN = np.array([bits | (bits.bit_count() & 1) << 7 for bits in range(128)], np.uint8)
HALF = np.float32(0.5)


@pasted
def decode_signed(packed, table, out, search, code_of, entry_of, signs_of):
    """Decode super-blocks of magnitudes and signs; `signs_of` gives a byte for eight weights."""
    size, run = search.size, search.run
    for b in range(packed.shape[0]):
        block = packed[b]
        step = half_value(block[0], block[1])
        for j in range(SUPER_BLOCK // size):
            scale = step * (HALF + np.float32(code_of(block, j))) * search.unit
            for n in range(size // 8 * j, size // 8 * (j + 1)):
                signs = SIGNS[signs_of(block, n)]
                for g in range(8 // run):
                    values = table[entry_of(block, 8 // run * n + g)]
                    here = out[b, 8 * n + run * g : 8 * n + run * (g + 1)]
                    for i in range(run):
                        here[i] = scale * values[i] * signs[run * g + i]


@pasted
def decode_shifted(packed, table, out, cuts, half_of, code_of, entry_of, down_of):
    """Decode super-blocks of shifted levels; `down_of` says which way a run is shifted."""
    eighth = np.float32(0.125)
    for b in range(packed.shape[0]):
        block = packed[b]
        half = half_of(block)
        step = half_value(half & 255, half >> 8)
        for j in range(SUPER_BLOCK // cuts.size):
            scale = step * (HALF + np.float32(code_of(block, j))) * cuts.unit
            for n in range(cuts.size // 8 * j, cuts.size // 8 * (j + 1)):
                values = table[entry_of(block, n)]
                shift = -eighth if down_of(block, n) else eighth
                here = out[b, 8 * n : 8 * (n + 1)]
                for i in range(8):
                    here[i] = scale * (values[i] + shift)


@also_python
def first_half(block):
    """Bits of the float16 that most formats begin with."""
    return np.int32(block[0]) | np.int32(block[1]) << 8


@also_python
def nibble(block, start, j):
    """Read one of the nibbles that begin at byte `start`, the first one low."""
    return np.int32(block[start + j // 2]) >> 4 * (j % 2) & 15


@inlined
def set_nibbles(codes, block):
    """Lay nibbles into bytes, the first one low."""
    for i in range(block.size):
        block[i] = codes[2 * i] | codes[2 * i + 1] << 4


@also_python
def word(block, start):
    """Read four bytes, the lowest first."""
    low = np.int64(block[start]) | np.int64(block[start + 1]) << 8
    return low | np.int64(block[start + 2]) << 16 | np.int64(block[start + 3]) << 24


@also_python
def even_signs(word, g):
    """Read one of the four times seven signs in a word, as a byte."""
    return EVEN[word >> 7 * g & 127]


@inlined
def set_word(code, signs, block):
    """Lay four times seven signs and a sub-scale into four bytes."""
    bits = np.int64(code) << 28
    for g in range(4):
        bits |= np.int64(signs[g] & 127) << 7 * g
    for i in range(4):
        block[i] = bits >> 8 * i & 255
