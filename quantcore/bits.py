"""Packing of small codes into bytes, and float16 by its bits."""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined
from quantcore.format import Packed, Weights

# Numba has no float16 on the CPU, and not every CPU has instructions for it: plain integers do.


@inlined
def half_bits(value):
    """Round a float32 to float16, ties to even, and return the 16 bits as uint16."""
    bits = np.float32(value).view(np.uint32)
    sign = np.uint32((bits >> np.uint32(16)) & np.uint32(0x8000))
    size = np.uint32(bits & np.uint32(0x7FFFFFFF))
    # Below 2**-14, adding 0.5 rounds to a multiple of 2**-24 and leaves the result in the low bits.
    small = np.uint32(size if size < np.uint32(0x38800000) else np.uint32(0)).view(np.float32)
    small = np.float32(small + np.float32(0.5)).view(np.uint32) - np.uint32(0x3F000000)
    # Else drop 13 bits of the mantissa, and move the exponent's zero from 127 to 15.
    odd = np.uint32((size >> np.uint32(13)) & np.uint32(1))
    large = np.uint32(min(size, np.uint32(0x47800000)) + np.uint32(0xFFF) + odd)
    large = np.uint32((large >> np.uint32(13)) - np.uint32(112 << 10))
    half = small if size < np.uint32(0x38800000) else min(large, np.uint32(0x7C00))
    half = np.uint32(0x7E00) if size > np.uint32(0x7F800000) else half  # no number stays none
    return np.uint16(sign | half)


@inlined
def half_value(low, high):
    """Return the float32 value of a float16 from its low and its high byte."""
    bits = np.uint32(np.uint32(low) | (np.uint32(high) << np.uint32(8)))
    shifted = np.uint32((bits & np.uint32(0x7FFF)) << np.uint32(13))
    # As a float32 this is 2**112 too small; the product is exact, for subnormal numbers too.
    value = np.float32(shifted.view(np.float32) * np.float32(2.0**112)).view(np.uint32)
    if bits & np.uint32(0x7C00) == np.uint32(0x7C00):
        value = np.uint32(value | np.uint32(0x7F800000))
    value = np.uint32(value | ((bits & np.uint32(0x8000)) << np.uint32(16)))
    return value.view(np.float32)


@inlined
def load_half(packed, b, start):
    """Return the float16 that begins at byte `start` of block `b`, as float32."""
    return half_value(packed[b, start], packed[b, start + 1])


@inlined
def store_half(value, packed, b, start):
    """Round a float32 to float16 and store it in block `b` from byte `start`."""
    half = half_bits(value)
    packed[b, start] = half & 0xFF
    packed[b, start + 1] = half >> 8


@inlined
def store_five_bits(codes, packed, b, start):
    """Store 32 codes of 5 bits in block `b` from byte `start`: fifth bits, then nibble pairs."""
    high = np.uint32(0)
    for i in range(32):
        high = np.uint32(high | (np.uint32(codes[i] >> 4) << np.uint32(i)))
    for i in range(4):
        packed[b, start + i] = (high >> np.uint32(8 * i)) & np.uint32(0xFF)
    for i in range(16):
        packed[b, start + 4 + i] = (codes[i] & 15) | (codes[16 + i] & 15) << 4


@inlined
def fifth_bits(packed, b, start):
    """Read the 32 fifth bits that begin at byte `start` of block `b`; bit j is weight j's."""
    high = np.uint32(0)
    for i in range(4):
        high = np.uint32(high | (np.uint32(packed[b, start + i]) << np.uint32(8 * i)))
    return high


def halves(packed: Packed, start: int) -> Weights:
    """Return the float16 that begins at byte `start` of each block ``(..., block_bytes)``.

    >>> float(halves(np.uint8([9, 0x00, 0x3C]), 1))
    1.0
    """
    pair = np.ascontiguousarray(packed[..., start : start + 2])
    return pair.view("<f2")[..., 0].astype(np.float32)


def pack_nibbles(codes: NDArray[np.uint8]) -> Packed:
    """Pack 4-bit codes the ggml way: first half low, second half high.

    >>> pack_nibbles(np.array([[1, 2, 3, 4]], np.uint8))
    array([[49, 66]], dtype=uint8)
    """
    low, high = np.split(codes, 2, axis=-1)
    return low | high << 4


def unpack_nibbles(packed: Packed) -> NDArray[np.uint8]:
    """Undo `pack_nibbles`.

    >>> unpack_nibbles(np.array([[49, 66]], np.uint8))
    array([[1, 2, 3, 4]], dtype=uint8)
    """
    return np.concatenate([packed & 0x0F, packed >> 4], axis=-1)
