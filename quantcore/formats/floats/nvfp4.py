"""NVFP4: 64 four-bit floats (E2M1) in 4 sub-blocks of 16, an eight-bit float each for scale.

    restored = scale * value of code          4.5 bits per weight

    byte  0             4                                                     36
          | 4 scales,   | 4 * 8 bytes of codes: weight j of a sub-block low,  |
          | UE4M3       | weight j+8 high                                     |

UE4M3 has four bits of exponent and three of mantissa, no sign; its largest value is 448. This is
ggml's NVFP4: NVIDIA's own has a float32 for the whole tensor besides, which a GGUF block cannot
hold, so that small weights get scales with few bits here.
"""

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

BLOCK_SIZE, BLOCK_BYTES = 64, 36
SIZE, N_SUB_BLOCKS = 16, 4
LARGEST = 0x7E  # 448


@inlined
def _to_ue4m3(value):
    """Round a float32 that is not negative to UE4M3, halves up; beyond the largest, the largest."""
    if not value > np.float32(0):
        return np.int32(0)
    value = min(value, np.float32(448))
    bits = np.float32(value).view(np.int32)
    exponent = np.int32(((bits >> 23) & 0xFF) - 120)
    if exponent <= 0:
        return min(np.int32(np.float32(value * np.float32(512)) + np.float32(0.5)), np.int32(7))
    # The mantissa's carry goes over into the exponent.
    rounded = np.int32((exponent << 3) + ((bits >> 20) & 7) + ((bits >> 19) & 1))
    return np.int32(LARGEST) if exponent >= 15 or rounded >= 15 << 3 else rounded


def _half_values() -> NDArray[np.float32]:
    """Half the value of each of the 256 codes, for the table of FP4 is doubled; 0x7F is 0."""
    code = np.arange(256)
    exponent, mantissa = code >> 3 & 15, code & 7
    normal = np.ldexp(1 + mantissa / 8, exponent - 7)
    value = np.where(exponent == 0, np.ldexp(mantissa.astype(np.float64), -9), normal)
    value[0x7F] = 0
    return (value / 2).astype(np.float32)


HALF_VALUES = _half_values()


@kernel
def _encode(blocks, packed):
    errors, codes = np.empty(SIZE, np.float32), np.empty(SIZE, np.int32)
    for b in range(blocks.shape[0]):
        for s in range(N_SUB_BLOCKS):
            weights = blocks[b, SIZE * s : SIZE * (s + 1)]
            peak = largest_magnitude(weights)
            if not peak < np.float32(np.inf):
                return b
            scale = _to_ue4m3(np.float32(peak / np.float32(6)))
            packed[b, s] = scale
            choose_codes(weights, HALF_VALUES[scale], errors, codes)
            for i in range(8):
                packed[b, 4 + 8 * s + i] = codes[i] | codes[8 + i] << 4
    return -1


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        for s in range(N_SUB_BLOCKS):
            scale = HALF_VALUES[packed[b, s]]
            bytes_here, here = packed[b, 4 + 8 * s :], out[b, SIZE * s :]
            for i in range(8):
                here[i] = DOUBLED[bytes_here[i] & 15] * scale
                here[8 + i] = DOUBLED[bytes_here[i] >> 4] * scale


def _open(packed: Packed) -> OpenedBlock:
    halves = HALF_VALUES[packed[:N_SUB_BLOCKS]]
    nibbles = packed[N_SUB_BLOCKS:].reshape(N_SUB_BLOCKS, 8)
    codes = np.concatenate([codes_of(row) for row in nibbles])
    says = "4 scales, eight-bit floats"
    return opened(
        packed,
        fields=(
            Field(name="scales", kind="scale", where=slice(0, N_SUB_BLOCKS), says=says),
            Field(name="codes", kind="codes", where=slice(4, 36), says="a four-bit float each"),
        ),
        parts=tuple(
            Part(
                weights=slice(SIZE * s, SIZE * (s + 1)),
                scale=2 * float(halves[s]),
                minimum=0.0,
                grid=grid_of(halves[s]),
            )
            for s in range(N_SUB_BLOCKS)
        ),
        codes=codes,
        first_code=0,
        code_bytes=tuple((4 + 8 * (i // SIZE) + i % 8,) for i in range(BLOCK_SIZE)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    scales = 2 * HALF_VALUES[packed[..., :N_SUB_BLOCKS]]
    return ScaleFactors(
        scales=scales.reshape(len(packed), -1),
        weights_per_scale=SIZE,
        overhead_bits=8 / SIZE,
        widest_step=WIDEST_STEP,
    )


NVFP4 = BlockFormat(
    name="NVFP4",
    code_bits=4,
    family="uneven",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_nvfp4_ref",
)
