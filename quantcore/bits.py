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
def store_half(value, where):
    """Round a float32 to float16, store it in two bytes, and return what was stored as float32."""
    half = half_bits(value)
    where[0] = half & 0xFF
    where[1] = half >> 8
    return half_value(where[0], where[1])


@inlined
def to_float(code):
    """Convert a code from 0 to 255. Numba counts in int64: bytes keep the vectors long."""
    return np.float32(np.int32(np.uint8(code)))


def halves(packed: Packed, start: int) -> Weights:
    """Return the float16 that begins at byte `start` of each block ``(..., block_bytes)``.

    >>> float(halves(np.uint8([9, 0x00, 0x3C]), 1))
    1.0
    """
    pair = np.ascontiguousarray(packed[..., start : start + 2])
    return pair.view("<f2")[..., 0].astype(np.float32)


def unpack_nibbles(packed: Packed) -> NDArray[np.uint8]:
    """Read 4-bit codes ``(..., 2 * n_bytes)``: all low halves of the bytes, then all high ones.

    >>> unpack_nibbles(np.array([[49, 66]], np.uint8))
    array([[1, 2, 3, 4]], dtype=uint8)
    """
    return np.concatenate([packed & 0x0F, packed >> 4], axis=-1)
