"""F16: every weight is an IEEE float16 of its own (16 bits per weight).

    bit  15     14 to 10    9 to 0
         sign | exponent | mantissa

Magnitudes from 65520 on round to infinity, as in ggml.
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.bits import half_bits, half_value
from quantcore.format import OpenedBlock, Packed, Weights
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.floats.unscaled import (
    CHUNK,
    first_non_finite,
    no_scale_factors,
    open_float,
)


def _encode(blocks: Weights, packed: Packed) -> int:
    return _round(blocks.reshape(-1), packed.reshape(-1).view("<u2"))


def _decode(packed: Packed, out: Weights) -> None:
    _widen(packed.reshape(-1).view("<u2"), out.reshape(-1))


@kernel
def _round(weights, halves):
    bits = weights.view(np.int32)
    for start in range(0, weights.size, CHUNK):
        # A slice, because loops that start at 0 need no check for negative places.
        chunk, result = weights[start : start + CHUNK], halves[start : start + CHUNK]
        bad = first_non_finite(bits[start : start + CHUNK])
        if bad >= 0:
            return start + bad
        for i in range(chunk.size):
            result[i] = half_bits(chunk[i])
    return -1


@kernel
def _widen(halves, out):
    for i in range(halves.size):
        out[i] = half_value(halves[i] & 0xFF, halves[i] >> 8)


def _values(patterns: np.ndarray) -> Weights:
    return patterns.astype(np.uint16).view(np.float16).astype(np.float32)


def _open(packed: Packed) -> OpenedBlock:
    return open_float(packed, exponent_bits=5, values=_values)


F16 = BlockFormat(
    name="F16",
    code_bits=16,
    family="float",
    block_size=1,
    block_bytes=2,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=no_scale_factors,
    source="IEEE 754 binary16; ggml/src/ggml.c, ggml_fp32_to_fp16_row",
)
