"""Q4_0: 32 weights share one float16 scale and hold a 4-bit code each (4.5 bits per weight).

    restored = scale * (nibble - 8)      code = nibble - 8, from -8 to 7

    byte  0       2                                          18
          | scale | 16 bytes: weight j low, weight j+16 high |

The scale's sign is chosen so that the largest weight lands on -8, the one code without a mirror
image: 8 does not exist.
"""

import numpy as np

from quantcore._jit import kernel
from quantcore.bits import half_bits, half_value, halves, unpack_nibbles
from quantcore.format import BlockFormat, Field, OpenedBlock, Packed, Part, ScaleFactors, opened
from quantcore.rounding import signed_peak

BLOCK_SIZE = 32
BLOCK_BYTES = 18


@kernel
def _encode(blocks, packed):
    for b in range(blocks.shape[0]):
        peak = signed_peak(blocks, b)
        if not abs(peak) < np.float32(np.inf):
            return b
        scale = np.float32(peak / np.float32(-8))
        inv_scale = np.float32(1) / scale if scale != np.float32(0) else np.float32(0)
        shift = np.float32(8.5)
        if abs(inv_scale) == np.float32(np.inf):  # a scale below 3e-39: ggml's codes come out as 0
            inv_scale = np.float32(0)
            shift = np.float32(0)

        half = half_bits(scale)
        packed[b, 0] = half & 0xFF
        packed[b, 1] = half >> 8
        for i in range(16):
            # Adding 8.5 and cutting off rounds half up; product and sum are rounded one by one.
            low = np.int32(np.float32(blocks[b, i] * inv_scale) + shift)
            high = np.int32(np.float32(blocks[b, 16 + i] * inv_scale) + shift)
            packed[b, 2 + i] = min(low, np.int32(15)) | (min(high, np.int32(15)) << 4)
    return -1


@kernel
def _decode(packed, out):
    for b in range(packed.shape[0]):
        scale = half_value(packed[b, 0], packed[b, 1])
        for i in range(16):
            pair = np.int32(packed[b, 2 + i])
            out[b, i] = np.float32((pair & np.int32(15)) - np.int32(8)) * scale
            out[b, 16 + i] = np.float32((pair >> np.int32(4)) - np.int32(8)) * scale


def _open(packed: Packed) -> OpenedBlock:
    scale = halves(packed, 0)
    grid = scale * np.arange(-8, 8, dtype=np.float32)
    return opened(
        packed,
        fields=(
            Field(name="scale", kind="scale", where=slice(0, 2), says=f"{scale:.6g}"),
            Field(name="codes", kind="codes", where=slice(2, 18), says="two nibbles a byte"),
        ),
        parts=(Part(weights=slice(0, BLOCK_SIZE), scale=float(scale), minimum=0.0, grid=grid),),
        codes=unpack_nibbles(packed[2:]).astype(np.int32),
        first_code=-8,
        code_bytes=tuple((2 + i % 16,) for i in range(BLOCK_SIZE)),
    )


def _factors(packed: Packed) -> ScaleFactors:
    return ScaleFactors(
        scales=halves(packed, 0),
        minimums=None,
        super_scales=None,
        super_minimums=None,
        scale_codes=None,
        minimum_codes=None,
        weights_per_scale=BLOCK_SIZE,
        overhead_bits=16 / BLOCK_SIZE,
    )


Q4_0 = BlockFormat(
    name="Q4_0",
    code_bits=4,
    family="plain",
    block_size=BLOCK_SIZE,
    block_bytes=BLOCK_BYTES,
    encode=_encode,
    decode=_decode,
    open=_open,
    factors=_factors,
    source="ggml/src/ggml-quants.c, quantize_row_q4_0_ref",
)
