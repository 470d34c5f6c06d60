"""BF16: the upper half of a float32, rounded (16 bits per weight).

    bit  15     14 to 7     6 to 0
         sign | exponent | mantissa

The range is float32's, the precision eight bits.
"""

import numpy as np

from quantcore._jit import kernel
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
def _round(weights, uppers):
    bits = weights.view(np.int32)
    for start in range(0, weights.size, CHUNK):
        # A slice, because loops that start at 0 need no check for negative places.
        chunk, result = bits[start : start + CHUNK], uppers[start : start + CHUNK]
        bad = first_non_finite(bits[start : start + CHUNK])
        if bad >= 0:
            return start + bad
        for i in range(chunk.size):
            # To nearest, ties to even: a carry may run into the exponent, up to infinity.
            odd = np.uint32((np.uint32(chunk[i]) >> np.uint32(16)) & np.uint32(1))
            rounded = np.uint32(np.uint32(chunk[i]) + np.uint32(0x7FFF) + odd)
            result[i] = rounded >> np.uint32(16)
    return -1


@kernel
def _widen(uppers, out):
    bits = out.view(np.uint32)
    for i in range(uppers.size):
        bits[i] = np.uint32(uppers[i]) << np.uint32(16)


def _values(patterns: np.ndarray) -> Weights:
    return (patterns.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _open(packed: Packed) -> OpenedBlock:
    return open_float(packed, exponent_bits=8, values=_values)


BF16 = BlockFormat(
    name="BF16",
    code_bits=16,
    family="float",
    block_size=1,
    block_bytes=2,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=no_scale_factors,
    source="ggml/src/ggml-impl.h, ggml_compute_fp32_to_bf16",
)
