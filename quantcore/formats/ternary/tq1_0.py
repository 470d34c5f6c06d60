"""TQ1_0: 256 weights share one float16 scale and are -1, 0 or 1 times it (1.6875 bits per weight).

    restored = scale * code          code from -1 to 1, stored as the digits 0 to 2 of base three

    byte  0                      32                     48                    52      54
          | codes 0 to 159, five | codes 160 to 239,    | codes 240 to 255,   | scale |
          | in each of 32 bytes  | five in each of 16   | four in each of 4   |       |

Five digits make a number up to 242. It is stored as ceil(256 / 243 * number): a fraction of 256 of
which multiplying by three shifts one digit after the other out at the top, the first weight first.
"""

import numpy as np

from quantcore._jit import inlined, kernel
from quantcore.bits import half_value, store_half, to_float
from quantcore.format import OpenedBlock, Packed, ScaleFactors
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.shared.lanes import SUPER_BLOCK
from quantcore.formats.shared.magnitudes import largest_magnitude
from quantcore.formats.ternary.blocks import inverse, open_block, scale_factors, trit

BLOCK_BYTES = 54
SCALE = 52  # first byte
RUNS = ((0, 0, 32, 5), (160, 32, 16, 5), (240, 48, 4, 4))  # first weight, byte; bytes; digits


@kernel
def _encode(blocks, packed):
    for b in range(blocks.shape[0]):
        scale = largest_magnitude(blocks[b])
        if not scale < np.float32(np.inf):
            return b
        inv_scale = inverse(scale)
        store_half(scale, packed[b, SCALE:])
        _pack(blocks[b], inv_scale, 0, 0, 32, 5, packed[b])
        _pack(blocks[b], inv_scale, 160, 32, 16, 5, packed[b])
        _pack(blocks[b], inv_scale, 240, 48, 4, 4, packed[b])
    return -1


@inlined
def _pack(weights, inv_scale, first, start, n_bytes, digits, packed):
    for i in range(n_bytes):
        number = np.int32(0)
        for n in range(5):
            digit = np.int32(0)
            if n < digits:
                digit = trit(weights[first + n_bytes * n + i], inv_scale)
            number = (3 * number + digit) & 255  # ggml keeps it in a byte
        packed[start + i] = (256 * number + 242) // 243 & 255


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        scale = half_value(packed[b, SCALE], packed[b, SCALE + 1])
        _unpack(packed[b], scale, 0, 0, 32, 5, out[b])
        _unpack(packed[b], scale, 160, 32, 16, 5, out[b])
        _unpack(packed[b], scale, 240, 48, 4, 4, out[b])


@inlined
def _unpack(packed, scale, first, start, n_bytes, digits, out):
    one = np.float32(1)
    power = np.int32(1)
    for n in range(digits):
        for i in range(n_bytes):
            rest = np.int32(packed[start + i]) * power & 255
            out[first + n_bytes * n + i] = (to_float(np.uint8(3 * rest >> 8)) - one) * scale
        power *= 3


def _places() -> tuple[np.ndarray, np.ndarray]:
    """Byte of each weight's code, and which digit of it the code is."""
    where, digit = np.zeros((2, SUPER_BLOCK), np.int64)
    for first, start, n_bytes, digits in RUNS:
        i = np.arange(n_bytes * digits)
        where[first : first + len(i)] = start + i % n_bytes
        digit[first : first + len(i)] = i // n_bytes
    return where, digit


def _open(packed: Packed) -> OpenedBlock:
    where, digit = _places()
    rest = packed[where].astype(np.int32) * 3**digit & 255
    code_bytes = tuple((int(byte),) for byte in where)
    return open_block(packed, SCALE, 3 * rest >> 8, code_bytes, "five digits of base three a byte")


def _factors(packed: Packed) -> ScaleFactors:
    return scale_factors(packed, SCALE)


TQ1_0 = BlockFormat(
    name="TQ1_0",
    code_bits=2,
    family="ternary",
    block_size=SUPER_BLOCK,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_tq1_0_ref",
)
