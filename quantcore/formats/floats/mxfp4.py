"""MXFP4: 32 four-bit floats (E2M1) share one scale, a power of two (4.25 bits per weight).

    restored = 2^(e - 127) * value of code

    byte  0   1                                          17
          | e | 16 bytes: weight j low, weight j+16 high |

ggml's rounding: the exponent is that of the largest magnitude less two, and of two values equally
near the one with the lower code is taken. The OCP specification rounds halves to even instead.
"""

from math import floor, log2

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined, kernel
from quantcore.format import Field, OpenedBlock, Packed, Part, ScaleFactors, opened
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.floats.fp4 import (
    DOUBLED,
    WIDEST_STEP,
    choose_codes,
    codes_of,
    grid_of,
)
from quantcore.formats.shared.magnitudes import largest_magnitude

BLOCK_SIZE, BLOCK_BYTES = 32, 17


@inlined
def _exponent(peak):
    """Return the exponent to store for a largest magnitude: its own less two, in one byte."""
    if peak <= np.float32(0):
        return np.int32(0)
    return np.int32(floor(np.float32(log2(np.float64(peak))))) + np.int32(125) & np.int32(255)


@inlined
def _half_scale(exponent):
    """2^(exponent - 128): half the scale, for the table is doubled."""
    if exponent < 2:  # below the normal floats
        return np.int32(np.int32(0x00200000) << np.int32(exponent)).view(np.float32)
    return np.int32((exponent - np.int32(1)) << np.int32(23)).view(np.float32)


@kernel
def _encode(blocks, packed):
    errors, codes = np.empty(BLOCK_SIZE, np.float32), np.empty(BLOCK_SIZE, np.int32)
    for b in range(blocks.shape[0]):
        peak = largest_magnitude(blocks[b])
        if not peak < np.float32(np.inf):
            return b
        exponent = _exponent(peak)
        packed[b, 0] = exponent
        choose_codes(blocks[b], _half_scale(exponent), errors, codes)
        for i in range(16):
            packed[b, 1 + i] = codes[i] | codes[16 + i] << 4
    return -1


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        scale = _half_scale(np.int32(packed[b, 0]))
        for i in range(16):
            byte = packed[b, 1 + i]
            out[b, i] = DOUBLED[byte & 15] * scale
            out[b, 16 + i] = DOUBLED[byte >> 4] * scale


def half_scales(exponents: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Half of each scale, from stored exponents."""
    return np.ldexp(np.float32(1), exponents.astype(np.int32) - 128).astype(np.float32)


def _open(packed: Packed) -> OpenedBlock:
    half = half_scales(packed[:1])[0]
    says = f"2^{int(packed[0]) - 127} = {2 * float(half):.6g}"
    return opened(
        packed,
        fields=(
            Field(name="scale", kind="scale", where=slice(0, 1), says=says),
            Field(name="codes", kind="codes", where=slice(1, 17), says="a four-bit float each"),
        ),
        parts=(
            Part(
                weights=slice(0, BLOCK_SIZE),
                scale=2 * float(half),
                minimum=0.0,
                grid=grid_of(half),
            ),
        ),
        codes=codes_of(packed[1:]),
        first_code=0,
        code_bytes=tuple((1 + i % 16,) for i in range(BLOCK_SIZE)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return ScaleFactors(
        scales=2 * half_scales(packed[..., 0]),
        weights_per_scale=BLOCK_SIZE,
        overhead_bits=8 / BLOCK_SIZE,
        widest_step=WIDEST_STEP,
    )


MXFP4 = BlockFormat(
    name="MXFP4",
    code_bits=4,
    family="uneven",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_mxfp4_ref",
)
