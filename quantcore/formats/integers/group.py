"""A group of integers that share a scale, taken apart."""

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Field, OpenedBlock, Part, opened


def open_group(
    codes: NDArray[np.integer],
    scale: np.float16 | np.float32,
    zero_point: np.uint8 | np.float16 | None,
    code_bits: int,
) -> OpenedBlock:
    """Show `codes` as a file would hold them.

    First the scale, then a zero point if there is one (a code in a byte of its own here, or a
    float), then the codes, low bits first; negative codes as two's complement. Files of others have
    scales in float32, too, and use the lowest code, which the lab's symmetric formats leave out.
    """
    codes = codes.astype(np.int32)
    first_code = 0 if zero_point is not None else 1 - 2 ** (code_bits - 1)
    last_code = first_code + 2**code_bits - (1 if zero_point is not None else 2)
    first_code = min(first_code, int(codes.min()))
    wide, zero = np.float32(scale), np.float32(zero_point or 0)
    head = scale.tobytes() + (b"" if zero_point is None else zero_point.tobytes())
    fields = _fields(scale, zero_point, code_bits, len(codes))
    where = fields[-1].where
    bits = (codes[:, None] >> np.arange(code_bits) & 1).astype(np.uint8)
    packed = np.empty(where.stop, np.uint8)
    packed[: where.start] = np.frombuffer(head, np.uint8)
    packed[where] = np.packbits(bits.ravel(), bitorder="little")
    return opened(
        packed,
        fields=fields,
        parts=(
            Part(
                weights=slice(0, len(codes)),
                scale=float(wide),
                minimum=float(wide * zero),
                grid=wide * (np.arange(first_code, last_code + 1, dtype=np.float32) - zero),
            ),
        ),
        codes=codes - np.int32(first_code),
        first_code=first_code,
        code_bytes=_code_bytes(where.start, code_bits, len(codes)),
    )


def _fields(
    scale: np.float16 | np.float32,
    zero_point: np.uint8 | np.float16 | None,
    code_bits: int,
    n_codes: int,
) -> tuple[Field, ...]:
    size = scale.nbytes
    fields = [Field(name="scale", kind="scale", where=slice(0, size), says=f"{scale:.6g}")]
    if zero_point is not None:
        is_code = isinstance(zero_point, np.uint8)
        says = f"{zero_point}, {code_bits} bits when packed" if is_code else f"{zero_point:.6g}"
        where = slice(size, size + zero_point.nbytes)
        fields.append(Field(name="zero point", kind="minimum", where=where, says=says))
    start = fields[-1].where.stop
    where = slice(start, start - (-n_codes * code_bits // 8))
    says = f"{code_bits} bits each, low bits first"
    return (*fields, Field(name="codes", kind="codes", where=where, says=says))


def _code_bytes(start: int, code_bits: int, n_codes: int) -> tuple[tuple[int, ...], ...]:
    """For each code, the bytes from its first bit's to its last bit's."""
    return tuple(
        tuple(range(start + bit // 8, start + (bit + code_bits - 1) // 8 + 1))
        for bit in range(0, n_codes * code_bits, code_bits)
    )
