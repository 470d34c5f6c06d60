"""F32: every weight as it is, an IEEE float32 (32 bits per weight).

bit  31     30 to 23    22 to 0
     sign | exponent | mantissa
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
    return _copy(blocks.reshape(-1), packed.reshape(-1).view("<f4"))


def _decode(packed: Packed, out: Weights) -> None:
    out.reshape(-1)[:] = packed.reshape(-1).view("<f4")


@kernel
def _copy(weights, stored):
    bits = weights.view(np.int32)
    for start in range(0, weights.size, CHUNK):
        # A slice, because loops that start at 0 need no check for negative places.
        chunk, result = weights[start : start + CHUNK], stored[start : start + CHUNK]
        bad = first_non_finite(bits[start : start + CHUNK])
        if bad >= 0:
            return start + bad
        for i in range(chunk.size):
            result[i] = chunk[i]
    return -1


def _values(patterns: np.ndarray) -> Weights:
    return patterns.astype(np.uint32).view(np.float32)


def _open(packed: Packed) -> OpenedBlock:
    return open_float(packed, exponent_bits=8, values=_values)


F32 = BlockFormat(
    name="F32",
    code_bits=32,
    family="float",
    block_size=1,
    block_bytes=4,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=no_scale_factors,
    source="IEEE 754 binary32",
)
