"""Slow twins of the formats, one weight at a time, written from ggml's definition of each block.

Arithmetic is numpy's float32 scalars, so that every step rounds as C's float does.
"""

import struct
from fractions import Fraction

import numpy as np

F32 = np.float32


def half(value):
    """Return the two bytes of a float rounded to float16, and what they stand for."""
    with np.errstate(over="ignore"):
        rounded = np.float16(value)
    return rounded.tobytes(), F32(rounded)


def to_int8(value):
    """C's conversion as x86 does it: towards zero, and 0 for what no int can hold."""
    if not np.isfinite(value) or abs(value) >= 2**31:
        return 0
    return (int(value) + 128) % 256 - 128


def round_away(value):
    """C's roundf on what fits into an int."""
    if not np.isfinite(value):
        return value
    whole = Fraction(float(abs(value))) + Fraction(1, 2)
    return F32(np.copysign(whole.numerator // whole.denominator, value))


def inverse(scale):
    with np.errstate(over="ignore"):
        return F32(1) / scale if scale != 0 else F32(0)


def largest(block):
    """Return the first weight of largest magnitude, sign kept; 0 if all are zero."""
    peak = F32(0)
    for weight in block:
        if abs(weight) > abs(peak):
            peak = weight
    return peak


def nibbles(codes):
    return bytes(codes[i] & 15 | (codes[i + 16] & 15) << 4 for i in range(16))


def fifth_bits(codes):
    return struct.pack("<I", sum((code >> 4) << i for i, code in enumerate(codes)))


def encode_symmetric(block, bits):
    """Q4_0 and Q5_0."""
    most = 1 << (bits - 1)
    scale = F32(largest(block) / F32(-most))
    inv_scale = inverse(scale)
    codes = [min(2 * most - 1, to_int8(F32(w * inv_scale) + F32(most + 0.5))) for w in block]
    return half(scale)[0] + (fifth_bits(codes) if bits == 5 else b"") + nibbles(codes)


def encode_offset(block, bits):
    """Q4_1 and Q5_1."""
    low, high = min_and_max(block)
    most = (1 << bits) - 1
    scale = F32(F32(high - low) / F32(most))
    inv_scale = inverse(scale)
    codes = [min(most, to_int8(F32(F32(w - low) * inv_scale) + F32(0.5))) for w in block]
    head = half(scale)[0] + half(low)[0]
    return head + (fifth_bits(codes) if bits == 5 else b"") + nibbles(codes)


def min_and_max(block):
    low = high = block[0]
    for weight in block:
        low = weight if weight < low else low
        high = weight if weight > high else high
    return low, high


def encode_q8_0(block):
    scale = F32(max(abs(weight) for weight in block) / F32(127))
    inv_scale = inverse(scale)
    codes = [to_int8(round_away(F32(weight * inv_scale))) for weight in block]
    return half(scale)[0] + struct.pack("32b", *codes)


def encode_f32(block):
    return struct.pack("<f", block[0])


def encode_f16(block):
    return half(block[0])[0]


def encode_bf16(block):
    """Nearest of the numbers whose lower 16 bits are zero, ties to the even one."""
    (bits,) = struct.unpack("<I", struct.pack("<f", block[0]))
    whole, rest = divmod(bits, 1 << 16)
    up = rest > 0x8000 or (rest == 0x8000 and whole % 2 == 1)
    return struct.pack("<H", whole + up)


def decode_codes(packed, bits, has_minimum):
    """Q4_0 to Q5_1."""
    scale = F32(np.frombuffer(packed[:2], np.float16)[0])
    minimum = F32(np.frombuffer(packed[2:4], np.float16)[0]) if has_minimum else None
    pairs = packed[-16:]
    codes = [pair & 15 for pair in pairs] + [pair >> 4 for pair in pairs]
    if bits == 5:
        (high,) = struct.unpack("<I", packed[-20:-16])
        codes = [code | (high >> i & 1) << 4 for i, code in enumerate(codes)]
    if has_minimum:
        return [F32(F32(F32(code) * scale) + minimum) for code in codes]
    return [F32(F32(code - (1 << (bits - 1))) * scale) for code in codes]


def decode_q8_0(packed):
    scale = F32(np.frombuffer(packed[:2], np.float16)[0])
    return [F32(F32(code) * scale) for code in struct.unpack("32b", packed[2:])]


ENCODE = {
    "F32": encode_f32,
    "F16": encode_f16,
    "BF16": encode_bf16,
    "Q8_0": encode_q8_0,
    "Q5_1": lambda block: encode_offset(block, 5),
    "Q5_0": lambda block: encode_symmetric(block, 5),
    "Q4_1": lambda block: encode_offset(block, 4),
    "Q4_0": lambda block: encode_symmetric(block, 4),
}
DECODE = {
    "F32": lambda packed: struct.unpack("<f", packed),
    "F16": lambda packed: [F32(np.frombuffer(packed, np.float16)[0])],
    "BF16": lambda packed: struct.unpack("<f", b"\0\0" + packed),
    "Q8_0": decode_q8_0,
    "Q5_1": lambda packed: decode_codes(packed, 5, True),
    "Q5_0": lambda packed: decode_codes(packed, 5, False),
    "Q4_1": lambda packed: decode_codes(packed, 4, True),
    "Q4_0": lambda packed: decode_codes(packed, 4, False),
}


def integers(weights, bits, symmetric):
    """INT formats: codes, scale and zero point of the weights that share a scale."""
    if symmetric:
        least, most = 1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1
        scale = half(min(F32(65504), F32(max(abs(w) for w in weights) / F32(most))))[1]
        zero_point = 0
    else:
        least, most = 0, 2**bits - 1
        low, high = min(F32(0), *weights), max(F32(0), *weights)
        scale = half(min(F32(65504), F32(F32(high - low) / F32(most))))[1]
        zero_point = max(0, min(most, round(float(F32(-low / scale))))) if scale else 0
    codes = [
        max(least, min(most, round(float(F32(w / scale))) + zero_point)) if scale else zero_point
        for w in weights
    ]
    return codes, scale, zero_point
