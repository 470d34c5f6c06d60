"""What ggml's formats of 32 weights a block share: one scale, and for some one minimum, in float16.

Their bytes lie in this order, the parts in brackets only in some:

    | scale | [minimum] | [4 bytes of fifth bits] | codes |
"""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import inlined
from quantcore.bits import halves, unpack_nibbles
from quantcore.format import Field, OpenedBlock, Packed, Part, ScaleFactors, opened
from quantcore.formats.shared.magnitudes import lowest_and_highest

BLOCK_SIZE = 32


@inlined
def signed_peak(bits, b):
    """Return the weight of block `b` with the largest magnitude, sign kept; the first of equals.

    A NaN or an infinity anywhere in the block comes back as such.
    """
    lowest, highest = lowest_and_highest(bits, b, 32)
    if highest > -lowest:
        return highest
    if highest < -lowest:
        return lowest
    peak = np.float32(highest - lowest)  # NaN, or 0 in a block of zeros, is what this remains
    if peak > np.float32(0):
        for i in range(31, -1, -1):
            weight = np.int32(bits[b, i]).view(np.float32)
            if abs(weight) == highest:
                peak = weight
    return peak


def open_block(packed: Packed, code_bits: int, has_minimum: bool) -> OpenedBlock:
    """Take a block of Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0 apart."""
    scale = halves(packed, 0)
    stored_minimum = halves(packed, 2) if has_minimum else np.float32(0)
    first_code = 0 if has_minimum else -(1 << code_bits - 1)
    stored_codes = np.arange(first_code, first_code + (1 << code_bits), dtype=np.float32)
    with np.errstate(invalid="ignore"):  # a scale beyond float16 is stored as infinity
        grid = scale * stored_codes + stored_minimum
    codes, code_bytes = _codes(packed, code_bits)
    return opened(
        packed,
        fields=_fields(float(scale), float(stored_minimum), code_bits, has_minimum),
        parts=(
            Part(
                weights=slice(0, BLOCK_SIZE),
                scale=float(scale),
                minimum=float(0 - stored_minimum),
                grid=grid,
            ),
        ),
        codes=codes,
        first_code=first_code,
        code_bytes=code_bytes,
    )


def scale_factors(packed: Packed, has_minimum: bool) -> ScaleFactors:
    """Scales and minima of blocks ``(n_rows, n_blocks, block_bytes)``."""
    return ScaleFactors(
        scales=halves(packed, 0),
        minimums=0 - halves(packed, 2) if has_minimum else None,
        weights_per_scale=BLOCK_SIZE,
        overhead_bits=(32 if has_minimum else 16) / BLOCK_SIZE,
    )


def _fields(
    scale: float, stored_minimum: float, code_bits: int, has_minimum: bool
) -> tuple[Field, ...]:
    fields = [Field(name="scale", kind="scale", where=slice(0, 2), says=f"{scale:.6g}")]
    if has_minimum:
        says = f"{stored_minimum:.6g}"
        fields.append(Field(name="minimum", kind="minimum", where=slice(2, 4), says=says))
    start = fields[-1].where.stop
    if code_bits == 5:
        where = slice(start, start + 4)
        fields.append(Field(name="high bits", kind="codes", where=where, says="a fifth bit each"))
        start += 4
    says = "a signed byte each" if code_bits == 8 else "low and high nibble of 16 bytes"
    n_bytes = BLOCK_SIZE if code_bits == 8 else BLOCK_SIZE // 2
    fields.append(Field(name="codes", kind="codes", where=slice(start, start + n_bytes), says=says))
    return tuple(fields)


def _codes(packed: Packed, code_bits: int) -> tuple[NDArray[np.int32], tuple[tuple[int, ...], ...]]:
    """Codes counted from 0, and the bytes in which each lies."""
    if code_bits == 8:
        start = len(packed) - BLOCK_SIZE
        codes = packed[start:].view(np.int8).astype(np.int32) + 128
        return codes, tuple((start + i,) for i in range(BLOCK_SIZE))

    start = len(packed) - BLOCK_SIZE // 2
    codes = unpack_nibbles(packed[start:]).astype(np.int32)
    code_bytes: tuple[tuple[int, ...], ...] = tuple((start + i % 16,) for i in range(BLOCK_SIZE))
    if code_bits == 5:
        high = np.unpackbits(packed[start - 4 : start], bitorder="little").astype(np.int32)
        codes = codes | high << 4
        code_bytes = tuple((*code_bytes[i], start - 4 + i // 8) for i in range(BLOCK_SIZE))
    return codes, code_bytes
