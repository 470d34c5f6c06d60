"""Slow twins of the formats with uneven or three values: plain Python, one block at a time."""

import math
import struct

import numpy as np

F32 = np.float32
FP4 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]  # twice the value
IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]


def half(value):
    """Bytes of a float16, and its value."""
    stored = np.float16(value)
    return stored.tobytes(), F32(stored)


def nibbles(codes):
    """First half of the codes low, second half high."""
    n = len(codes) // 2
    return bytes(codes[i] | codes[n + i] << 4 for i in range(n))


def from_nibbles(packed):
    """Undo `nibbles`."""
    return [byte & 15 for byte in packed] + [byte >> 4 for byte in packed]


def fp4_codes(weights, scale):
    """Nearest of the sixteen values; of equals the first."""
    errors = [[abs(F32(F32(value) * scale) - w) for value in FP4] for w in weights]
    return [row.index(min(row)) for row in errors]


def encode_mxfp4(block):
    peak = max(abs(w) for w in block)
    exponent = math.floor(math.log2(peak)) + 125 if peak else 0
    return bytes([exponent]) + nibbles(fp4_codes(block, F32(2.0 ** (exponent - 128))))


def decode_mxfp4(packed):
    scale = F32(2.0 ** (packed[0] - 128))
    return [F32(F32(FP4[code]) * scale) for code in from_nibbles(packed[1:])]


def ue4m3_values():
    """Half the value of each of the codes that ggml writes, 0 to 0x7E."""
    small = [F32(m * 2.0**-10) for m in range(8)]
    large = [F32((1 + m / 8) * 2.0 ** (e - 8)) for e in range(1, 16) for m in range(8)]
    return (small + large)[:0x7F]


def nearest_ue4m3(value):
    """Nearest code; halfway between two, the upper; from 256 on the largest."""
    if value >= 256:
        return 0x7E
    steps = [abs(2 * float(known) - float(value)) for known in ue4m3_values()]
    return max(code for code, step in enumerate(steps) if step == min(steps))


def encode_nvfp4(block):
    scales, codes = [], b""
    for start in range(0, 64, 16):
        weights = block[start : start + 16]
        scales.append(nearest_ue4m3(F32(max(abs(w) for w in weights) / F32(6))))
        codes += nibbles(fp4_codes(weights, ue4m3_values()[scales[-1]]))
    return bytes(scales) + codes


def decode_nvfp4(packed):
    restored = []
    for s in range(4):
        scale = ue4m3_values()[packed[s]]
        codes = from_nibbles(packed[4 + 8 * s : 12 + 8 * s])
        restored += [F32(F32(FP4[code]) * scale) for code in codes]
    return restored


def trits(block):
    """Scale in bytes, and the weights as 0, 1 or 2."""
    peak = F32(max(abs(w) for w in block))
    steps = [F32(w * F32(F32(1) / peak)) if peak else F32(0) for w in block]
    return half(peak)[0], [1 + int(math.copysign(abs(step) >= 0.5, step)) for step in steps]


def encode_tq2_0(block):
    scale, codes = trits(block)
    rows = [codes[start + i : start + 128 : 32] for start in (0, 128) for i in range(32)]
    return bytes(a | b << 2 | c << 4 | d << 6 for a, b, c, d in rows) + scale


def decode_tq2_0(packed):
    scale = F32(np.frombuffer(packed[64:], np.float16)[0])
    restored = [F32(0)] * 256
    for i, byte in enumerate(packed[:64]):
        for n in range(4):
            restored[128 * (i // 32) + 32 * n + i % 32] = F32(F32((byte >> 2 * n & 3) - 1) * scale)
    return restored


TRIT_RUNS = ((0, 32, 5), (160, 16, 5), (240, 4, 4))  # first weight, bytes, digits


def encode_tq1_0(block):
    scale, codes = trits(block)
    packed = []
    for first, n_bytes, n_digits in TRIT_RUNS:
        for i in range(n_bytes):
            digits = codes[first + i : first + n_bytes * n_digits : n_bytes]
            number = int("".join(str(digit) for digit in [*digits, 0][:5]), 3)
            packed.append(math.ceil(number * 256 / 243) & 255)
    return bytes(packed) + scale


def decode_tq1_0(packed):
    scale = F32(np.frombuffer(packed[52:], np.float16)[0])
    restored, at = [F32(0)] * 256, 0
    for first, n_bytes, n_digits in TRIT_RUNS:
        for i in range(n_bytes):
            number = packed[at] * 243 // 256  # the digits of base three, the first at the top
            at += 1
            for n in range(n_digits):
                digit = number // 3 ** (4 - n) % 3
                restored[first + n_bytes * n + i] = F32(F32(digit - 1) * scale)
    return restored


def iq4_code(x):
    """Nearest of the uneven values; halfway between two, the upper."""
    steps = [abs(float(x) - value) for value in IQ4]
    return max(code for code, step in enumerate(steps) if step == min(steps))


def iq4_scale(weights):
    """Of sixteen scales the one that explains most."""
    peak = max(weights, key=abs)  # the first of equals
    if abs(peak) < F32(1e-15):
        return F32(0)
    best = best_scale = None
    inverses = [F32(1) / F32(-peak / F32(-127))]
    inverses += [F32(F32(step - 127) / peak) for step in range(-7, 8)]
    for inverse in inverses:
        qx = qq = F32(0)
        for x in weights:
            value, importance = F32(IQ4[iq4_code(F32(inverse * x))]), F32(x * x)
            qx += F32(F32(importance * value) * x)
            qq += F32(F32(importance * value) * value)
        if best is None or (qq > 0 and F32(qx * qx) > F32(best * qq)):
            best_scale = F32(qx / qq) if qq > 0 else F32(0)
            best = F32(best_scale * qx)
    return best_scale


def encode_iq4_nl(block):
    scale = iq4_scale(block)
    inverse = F32(1) / scale if scale else F32(0)
    return half(scale)[0] + nibbles([iq4_code(F32(inverse * x)) for x in block])


def decode_iq4_nl(packed):
    scale = F32(np.frombuffer(packed[:2], np.float16)[0])
    return [F32(scale * F32(IQ4[code])) for code in from_nibbles(packed[2:])]


def encode_iq4_xs(block):
    parts = [block[start : start + 32] for start in range(0, 256, 32)]
    scales = [iq4_scale(part) for part in parts]
    scale = F32(-max(scales, key=abs) / F32(32))
    high, low, codes = 0, 0, b""
    for j, (part, own) in enumerate(zip(parts, scales, strict=True)):
        steps = round(float(F32(F32(F32(1) / scale) * own))) if scale else 0
        steps = max(-32, min(31, steps))
        stored = F32(scale * F32(steps))
        inverse = F32(1) / stored if stored else F32(0)
        low |= (steps + 32 & 15) << 4 * j
        high |= (steps + 32 >> 4) << 2 * j
        codes += nibbles([iq4_code(F32(inverse * x)) for x in part])
    return half(scale)[0] + struct.pack("<HI", high, low) + codes


def decode_iq4_xs(packed):
    scale = F32(np.frombuffer(packed[:2], np.float16)[0])
    high, low = struct.unpack("<HI", packed[2:8])
    restored = []
    for j in range(8):
        steps = (low >> 4 * j & 15 | (high >> 2 * j & 3) << 4) - 32
        own = F32(scale * F32(steps))
        codes = from_nibbles(packed[8 + 16 * j : 24 + 16 * j])
        restored += [F32(own * F32(IQ4[code])) for code in codes]
    return restored


ENCODE = {
    "MXFP4": encode_mxfp4,
    "NVFP4": encode_nvfp4,
    "TQ2_0": encode_tq2_0,
    "TQ1_0": encode_tq1_0,
    "IQ4_NL": encode_iq4_nl,
    "IQ4_XS": encode_iq4_xs,
}
DECODE = {
    "MXFP4": decode_mxfp4,
    "NVFP4": decode_nvfp4,
    "TQ2_0": decode_tq2_0,
    "TQ1_0": decode_tq1_0,
    "IQ4_NL": decode_iq4_nl,
    "IQ4_XS": decode_iq4_xs,
}
