"""FP8: eight-bit floats, with one float32 scale for the tensor or for each row.

    restored = scale * value of code          scale = largest magnitude / largest value

              sign   exponent   mantissa     largest value    subnormals below
    E4M3       7      6 to 3     2 to 0           448              2^-6
    E5M2       7      6 to 2     1 to 0         57344              2^-14

E4M3 has no infinities, and one NaN for each sign: E4M3FN. Codes round to nearest, ties to even, and
saturate: what rounding of the scale pushes beyond the largest value becomes the largest value, as
torch's and the hardware's casts do; ml_dtypes would make it a NaN or an infinity.

A row is an output channel, so `_ROW` is what vLLM and torchao call per channel or rowwise.
"""

from functools import partial
from typing import cast

import numpy as np

from quantcore._jit import inlined, kernel
from quantcore.checks import read_only
from quantcore.format import Packed, Weights
from quantcore.formats.outside_gguf.scaled import ScaledFormat, StoredScales
from quantcore.formats.outside_gguf.scaled_group import safe
from quantcore.formats.shared.spans import Span

SOURCE = "Micikevicius et al., FP8 Formats for Deep Learning, 2022; OCP OFP8 1.0"


def values_of(exponent_bits: int) -> Weights:
    """Values of the 256 codes, by the definition; 4 bits of exponent for E4M3, 5 for E5M2.

    >>> float(values_of(4)[0x7E]), float(values_of(5)[0x7B])
    (448.0, 57344.0)
    """
    mantissa_bits, bias = 7 - exponent_bits, 2 ** (exponent_bits - 1) - 1
    code = np.arange(128)
    exponent, mantissa = code >> mantissa_bits, code & (1 << mantissa_bits) - 1
    hidden = exponent > 0  # a digit 1 before the mantissa, except in subnormals
    digits = mantissa + (hidden << mantissa_bits)
    value = np.ldexp(digits.astype(np.float64), np.maximum(exponent, 1) - bias - mantissa_bits)
    if exponent_bits == 5:
        value[0x7C:] = [np.inf, np.nan, np.nan, np.nan]
    else:
        value[0x7F] = np.nan
    return np.concatenate([value, -value]).astype(np.float32)


E4M3, E5M2 = values_of(4), values_of(5)


@inlined
def _to_fp8(value, largest, smallest_normal, magic, shift, rebias):
    """Round to nearest, ties to even; beyond the largest, the largest."""
    bits = np.float32(value).view(np.uint32)
    size = np.uint32(bits & np.uint32(0x7FFFFFFF)).view(np.float32)
    size = np.float32(min(size, np.float32(largest)))
    # The sum's last bit is worth the smallest subnormal: the addition rounds to multiples of it.
    small = np.float32(size + np.float32(magic)).view(np.uint32)
    small = np.uint32(small - np.float32(magic).view(np.uint32))
    # Else drop bits of the mantissa, and move the exponent's zero.
    whole = size.view(np.uint32)
    odd = np.uint32((whole >> np.uint32(shift)) & np.uint32(1))
    large = np.uint32(whole + np.uint32((1 << (shift - 1)) - 1) + odd)
    large = np.uint32((large >> np.uint32(shift)) - np.uint32(rebias))
    code = small if size < np.float32(smallest_normal) else large
    return np.uint8(code | (bits >> np.uint32(24) & np.uint32(0x80)))


@inlined
def to_e4m3(value):
    """Round a float32 that is no NaN to E4M3, saturating."""
    return _to_fp8(value, 448.0, 2.0**-6, 2.0**14, 20, 120 << 3)


@inlined
def _to_e5m2(value):
    return _to_fp8(value, 57344.0, 2.0**-14, 2.0**7, 21, 112 << 2)


@inlined
def _from_fp8(code, shift, factor, no_number):
    """Widen an eight-bit float; from `no_number` on it is NaN or infinite."""
    size = np.uint32(np.uint32(code) & np.uint32(0x7F))
    # As a float32 the digits are a power of two too small; the product is exact.
    digits = np.uint32(size << np.uint32(shift)).view(np.float32)
    value = np.float32(digits * np.float32(factor)).view(np.uint32)
    if size >= np.uint32(no_number):
        value = np.uint32(value | np.uint32(0x7F800000))
    return np.uint32(value | np.uint32(code & np.uint32(0x80)) << np.uint32(24)).view(np.float32)


@kernel
def _encode_e4m3(groups, scales, codes):
    for g in range(groups.shape[0]):
        for i in range(groups.shape[1]):
            codes[g, i] = to_e4m3(np.float32(groups[g, i] / scales[g]))


@kernel
def _encode_e5m2(groups, scales, codes):
    for g in range(groups.shape[0]):
        for i in range(groups.shape[1]):
            codes[g, i] = _to_e5m2(np.float32(groups[g, i] / scales[g]))


@kernel
def _decode_e4m3(codes, scales, out):
    for g in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            out[g, i] = _from_fp8(codes[g, i], 20, 2.0**120, 0x7F) * scales[g]


@kernel
def _decode_e5m2(codes, scales, out):
    for g in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            out[g, i] = _from_fp8(codes[g, i], 21, 2.0**112, 0x7C) * scales[g]


def _choose(largest: float, peaks: Weights) -> tuple[StoredScales, Weights]:
    scales = peaks / np.float32(largest)
    return StoredScales(scales=scales), safe(scales)


def read_plain(stored: StoredScales) -> Weights:
    """Scales that are stored as they are."""
    return cast(Weights, stored.scales)  # no codes of bytes


def say_plain(stored: StoredScales, place: tuple[int, int]) -> str:
    """Print a scale that is stored as it is."""
    return f"{stored.scales[place]:.6g}"


def _fp8(name: str, span: Span, values: Weights, largest: float, encode, decode) -> ScaledFormat:
    return ScaledFormat(
        name=f"FP8_{name}_{span.upper()}",
        code_bits=8,
        span=span,
        values=values,
        choose=partial(_choose, largest),
        read=read_plain,
        says=say_plain,
        encode=encode,
        decode=decode,
        source=SOURCE,
    )


_SPANS: tuple[Span, ...] = ("tensor", "row")
FP8_E4M3_TENSOR, FP8_E4M3_ROW = (
    _fp8("E4M3", span, E4M3, 448.0, _encode_e4m3, _decode_e4m3) for span in _SPANS
)
FP8_E5M2_TENSOR, FP8_E5M2_ROW = (
    _fp8("E5M2", span, E5M2, 57344.0, _encode_e5m2, _decode_e5m2) for span in _SPANS
)


def round_to_e4m3(values: Weights) -> Packed:
    """Round an array of any shape to E4M3, saturating: what NVFP4 stores its scales in."""
    codes = np.empty(values.shape, np.uint8)
    one = read_only(np.ones(1, np.float32))
    _encode_e4m3(read_only(values.reshape(1, -1)), one, codes.reshape(1, -1))
    return codes
