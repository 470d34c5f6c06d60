"""Slow twins of the K-quants, one block at a time, written from ggml's definition of each block."""

import numpy as np

from tests.twins.naive import F32, half, largest
from tests.twins.naive_k_search import (
    TINY,
    best_scale,
    clamp,
    improved_codes,
    nearest_int,
    scale_and_minimum,
    total,
)


def byte(value):
    return value & 0xFF


def signed_byte(value):
    return (value + 128) % 256 - 128


# ---- scales of scales, and codes for what is stored ---------------------------------------------


def integers(values, most):
    """Bytes for values that are not negative, and the value of 1."""
    peak = max(F32(0), *(value for value in values if value == value))
    inverse = F32(F32(most) / peak) if peak > 0 else F32(0)
    return [byte(nearest_int(inverse * value)) for value in values], F32(peak / F32(most))


def recoded(x, scale, minimum, least, most, codes):
    """Codes for the scale and minimum as stored; those of the search where that scale is zero."""
    if scale == 0:
        return codes
    return [clamp(nearest_int(F32(v + minimum) / scale), least, most) for v in x]


def parts(values, size):
    return [values[i : i + size] for i in range(0, 256, size)]


# ---- bits ---------------------------------------------------------------------------------------


def place(i, bits, reach=32):
    """Byte and shift of code i in a plane of `bits` bits a code; see each format's drawing."""
    per_byte = 8 // bits
    group, within = divmod(i, reach * per_byte)
    return reach * group + within % reach, bits * (within // reach)


def plane(codes, bits, reach=32):
    out = bytearray(32 * bits)
    for i, code in enumerate(codes):
        where, shift = place(i, bits, reach)
        out[where] |= (code & (1 << bits) - 1) << shift
    return bytes(out)


def from_plane(packed, bits, reach=32):
    places = (place(i, bits, reach) for i in range(256))
    return [packed[where] >> shift & (1 << bits) - 1 for where, shift in places]


def six_bit_pairs(scales, minimums):
    """Pack the 12 bytes of Q4_K and Q5_K."""
    low = [s | high >> 4 << 6 for s, high in zip(scales[:4], scales[4:], strict=True)]
    mid = [m | high >> 4 << 6 for m, high in zip(minimums[:4], minimums[4:], strict=True)]
    rest = [s & 15 | (m & 15) << 4 for s, m in zip(scales[4:], minimums[4:], strict=True)]
    return bytes(low + mid + rest)


def from_six_bit_pairs(packed):
    scales = [packed[j] & 63 for j in range(4)]
    minimums = [packed[4 + j] & 63 for j in range(4)]
    scales += [packed[8 + j] & 15 | packed[j] >> 6 << 4 for j in range(4)]
    minimums += [packed[8 + j] >> 4 | packed[4 + j] >> 6 << 4 for j in range(4)]
    return scales, minimums


def signed_six_bits(codes):
    """Pack the 12 bytes of Q3_K."""
    stored = [code + 32 for code in codes]
    low = [stored[j] & 15 | (stored[8 + j] & 15) << 4 for j in range(8)]
    high = [sum((stored[4 * i + j] >> 4) << 2 * i for i in range(4)) for j in range(4)]
    return bytes(low + high)


def from_signed_six_bits(packed):
    low = [packed[j % 8] >> 4 * (j // 8) & 15 for j in range(16)]
    return [low[j] + (packed[8 + j % 4] >> 2 * (j // 4) & 3) * 16 - 32 for j in range(16)]


# ---- the formats --------------------------------------------------------------------------------


def encode_q2_k(block):
    fits = [scale_and_minimum(x, [abs(v) for v in x], 3, -0.5, 15, abs) for x in parts(block, 16)]
    scales, scale = integers([f[0] for f in fits], 15)
    minimums, minimum = integers([f[1] for f in fits], 15)
    pairs = [byte(s | m << 4) for s, m in zip(scales, minimums, strict=True)]
    (d, scale), (dmin, minimum) = half(scale), half(minimum)
    codes = []
    for x, pair, (_, _, kept) in zip(parts(block, 16), pairs, fits, strict=True):
        stored = F32(scale * F32(pair & 15)), F32(minimum * F32(pair >> 4))
        codes += recoded(x, *stored, 0, 3, kept)
    return bytes(pairs) + plane(codes, 2) + d + dmin


def decode_q2_k(packed):
    pairs, codes = packed[:16], from_plane(packed[16:80], 2)
    scale, minimum = (F32(h) for h in np.frombuffer(packed[80:], np.float16))
    return [
        F32(F32(F32(scale * F32(pair & 15)) * F32(code)) - F32(minimum * F32(pair >> 4)))
        for pair, part in zip(pairs, parts(codes, 16), strict=True)
        for code in part
    ]


def encode_six_bit_pairs(block, most, first, n_steps):
    """Do what Q4_K and Q5_K share: the first 16 bytes, and codes."""
    fits = []
    for x in parts(block, 32):
        spread = np.sqrt(F32(total(F32(v * v) for v in x) / F32(32)))
        w = [F32(spread + abs(v)) for v in x]
        fits.append(scale_and_minimum(x, w, most, first, n_steps, lambda d: F32(d * d)))
    scales, scale = integers([f[0] for f in fits], 63)
    minimums, minimum = integers([f[1] for f in fits], 63)
    scales, minimums = [min(63, s) for s in scales], [min(63, m) for m in minimums]
    (d, scale), (dmin, minimum) = half(scale), half(minimum)
    codes = []
    for x, s, m, (_, _, kept) in zip(parts(block, 32), scales, minimums, fits, strict=True):
        codes += recoded(x, F32(scale * F32(s)), F32(minimum * F32(m)), 0, most, kept)
    return d + dmin + six_bit_pairs(scales, minimums), codes


def decode_six_bit_pairs(packed, codes):
    scale, minimum = (F32(h) for h in np.frombuffer(packed[:4], np.float16))
    scales, minimums = from_six_bit_pairs(packed[4:16])
    return [
        F32(F32(F32(scale * F32(s)) * F32(code)) - F32(minimum * F32(m)))
        for s, m, part in zip(scales, minimums, parts(codes, 32), strict=True)
        for code in part
    ]


def encode_q4_k(block):
    head, codes = encode_six_bit_pairs(block, 15, -1, 20)
    return head + plane(codes, 4)


def decode_q4_k(packed):
    return decode_six_bit_pairs(packed, from_plane(packed[16:], 4))


def encode_q5_k(block):
    head, codes = encode_six_bit_pairs(block, 31, -0.5, 15)
    return head + plane([code >> 4 for code in codes], 1) + plane(codes, 4)


def decode_q5_k(packed):
    high, low = from_plane(packed[16:48], 1), from_plane(packed[48:], 4)
    codes = [a + 16 * b for a, b in zip(low, high, strict=True)]
    return decode_six_bit_pairs(packed, codes)


def encode_q3_k(block):
    searched = [improved_codes(x, 4) for x in parts(block, 16)]
    peak = largest([scale for scale, _ in searched])
    scales, scale = [-32] * 16, F32(0)
    if peak != 0:
        inverse = F32(F32(-32) / peak)
        scales = [clamp(signed_byte(nearest_int(inverse * s)), -32, 31) for s, _ in searched]
        scale = F32(F32(1) / inverse)
    d, scale = half(scale)
    codes = []
    for x, s, (_, kept) in zip(parts(block, 16), scales, searched, strict=True):
        codes += recoded(x, F32(scale * F32(s)), F32(0), -4, 3, kept)
    stored = [code + 4 for code in codes]
    high = plane([code >> 2 for code in stored], 1)
    return high + plane(stored, 2) + signed_six_bits(scales) + d


def decode_q3_k(packed):
    high, low = from_plane(packed[:32], 1), from_plane(packed[32:96], 2)
    codes = [a + 4 * b - 4 for a, b in zip(low, high, strict=True)]
    return decode_signed(packed, from_signed_six_bits(packed[96:108]), codes)


def decode_signed(packed, scales, codes):
    """Q3_K and Q6_K: the scale of scales lies in the last two bytes."""
    scale = F32(np.frombuffer(packed[-2:], np.float16)[0])
    return [
        F32(F32(scale * F32(s)) * F32(code))
        for s, part in zip(scales, parts(codes, 16), strict=True)
        for code in part
    ]


def encode_q6_k(block):
    searched = [best_scale(x, 32) for x in parts(block, 16)]
    peak = largest([scale for scale, _ in searched])
    if abs(peak) < TINY:
        return bytes(210)
    inverse = F32(F32(-128) / peak)
    scales = [signed_byte(min(127, nearest_int(inverse * s))) for s, _ in searched]
    d, scale = half(F32(F32(1) / inverse))
    codes = []
    for x, s, (_, kept) in zip(parts(block, 16), scales, searched, strict=True):
        codes += recoded(x, F32(scale * F32(s)), F32(0), -32, 31, kept)
    stored = [code + 32 for code in codes]
    high = plane([code >> 4 for code in stored], 2)
    return plane(stored, 4, reach=64) + high + bytes(byte(s) for s in scales) + d


def decode_q6_k(packed):
    low, high = from_plane(packed[:128], 4, reach=64), from_plane(packed[128:192], 2)
    codes = [a + 16 * b - 32 for a, b in zip(low, high, strict=True)]
    return decode_signed(packed, [signed_byte(s) for s in packed[192:208]], codes)


ENCODE = {
    "Q6_K": encode_q6_k,
    "Q5_K": encode_q5_k,
    "Q4_K": encode_q4_k,
    "Q3_K": encode_q3_k,
    "Q2_K": encode_q2_k,
}
DECODE = {
    "Q6_K": decode_q6_k,
    "Q5_K": decode_q5_k,
    "Q4_K": decode_q4_k,
    "Q3_K": decode_q3_k,
    "Q2_K": decode_q2_k,
}
