"""Where a K-quant's super-block keeps its sub-scales, bit by bit.

The formats themselves decode many blocks at once; here is the same layout as a table, for the
picture that explains it. A test puts the bits together again and compares with the decoders.
"""

from dataclasses import dataclass

Bit = tuple[int, int]  # byte of the block, bit of the byte (0 is the least)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubScaleBits:
    """For each sub-block the bits of its stored scale and minimum, least significant first."""

    where: slice  # bytes of the block that hold them
    scales: tuple[tuple[Bit, ...], ...]
    minimums: tuple[tuple[Bit, ...], ...] | None
    offset: int  # subtracted from the stored scale: 32 for Q3_K; Q6_K's are signed bytes


def sub_scale_bits(format_name: str) -> SubScaleBits | None:
    """Return the layout of a K-quant's sub-scales; None for formats without any."""
    make = _LAYOUTS.get(format_name.upper())
    return make() if make else None


def _q2_k() -> SubScaleBits:
    """Byte j: minimum j in the high four bits, scale j in the low four."""
    return SubScaleBits(
        where=slice(0, 16),
        scales=tuple(_run(j, 0, 4) for j in range(16)),
        minimums=tuple(_run(j, 4, 4) for j in range(16)),
        offset=0,
    )


def _q3_k() -> SubScaleBits:
    """Low four bits in bytes 0 to 7, two scales a byte; high two bits in bytes 8 to 11."""
    low = [_run(96 + j % 8, 4 * (j // 8), 4) for j in range(16)]
    high = [_run(104 + j % 4, 2 * (j // 4), 2) for j in range(16)]
    scales = tuple(a + b for a, b in zip(low, high, strict=True))
    return SubScaleBits(where=slice(96, 108), scales=scales, minimums=None, offset=32)


def _q4_k() -> SubScaleBits:
    """Scales 0 to 3, then minima 0 to 3, in the low six bits of bytes 0 to 7.

    Of sub-blocks 4 to 7, the low four bits of scale and minimum share bytes 8 to 11, and the high
    two bits lie in what bytes 0 to 3 (scale) and 4 to 7 (minimum) have left.
    """
    scales = [_run(4 + j, 0, 6) for j in range(4)]
    minimums = [_run(8 + j, 0, 6) for j in range(4)]
    for j in range(4):
        scales.append(_run(12 + j, 0, 4) + _run(4 + j, 6, 2))
        minimums.append(_run(12 + j, 4, 4) + _run(8 + j, 6, 2))
    where = slice(4, 16)
    return SubScaleBits(where=where, scales=tuple(scales), minimums=tuple(minimums), offset=0)


def _q6_k() -> SubScaleBits:
    """One signed byte each."""
    scales = tuple(_run(192 + j, 0, 8) for j in range(16))
    return SubScaleBits(where=slice(192, 208), scales=scales, minimums=None, offset=0)


def _run(byte: int, first: int, count: int) -> tuple[Bit, ...]:
    return tuple((byte, bit) for bit in range(first, first + count))


_LAYOUTS = {"Q2_K": _q2_k, "Q3_K": _q3_k, "Q4_K": _q4_k, "Q5_K": _q4_k, "Q6_K": _q6_k}
