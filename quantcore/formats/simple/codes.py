"""Reading and writing the parts of a simple block: float16, nibbles, and codes of five bits.

Each function takes all blocks, the number of one, and the byte at which the part begins.
"""

import numpy as np

from quantcore._jit import inlined
from quantcore.bits import half_bits, half_value


@inlined
def half_at(packed, b, start):
    """Return the float16 that begins at byte `start` of block `b`, as float32."""
    return half_value(packed[b, start], packed[b, start + 1])


@inlined
def store_half_at(value, packed, b, start):
    """Round a float32 to float16 and store it in block `b` from byte `start`."""
    half = half_bits(value)
    packed[b, start] = half & 0xFF
    packed[b, start + 1] = half >> 8


@inlined
def store_nibbles(codes, packed, b, start):
    """Lay 32 codes of 4 bits into 16 bytes of block `b`, code j low and j + 16 high."""
    for i in range(16):
        packed[b, start + i] = codes[i] | codes[16 + i] << 4


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
