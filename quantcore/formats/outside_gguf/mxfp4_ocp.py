"""MXFP4_OCP: MXFP4 with the rounding that the OCP's specification recommends (4.25 bits).

    restored = 2^(e - 127) * value of code       e in a byte, E8M0; 32 E2M1 codes share it

The scale is 2^(floor(log2(largest magnitude)) - 2), where 2 is the exponent of E2M1's largest
value, 6. Codes round to nearest, ties to even, and saturate: a largest weight between 6 and 8 times
the scale comes back as 6. ggml's MXFP4 has the same scales and the same values, but of two that are
equally near takes the one with the lower code; and its bytes hold weight j beside weight j + 16,
where these hold neighbours, as in the OCP's files.
"""

from functools import partial

import numpy as np

from quantcore.format import Weights
from quantcore.formats.floats.fp4 import VALUES, encode_e2m1
from quantcore.formats.outside_gguf.scaled import ScaledFormat, StoredScales
from quantcore.formats.outside_gguf.scaled_group import decode_pairs, pairs_of

LARGEST_EXPONENT, BIAS = 2, 127


def _choose(peaks: Weights) -> tuple[StoredScales, Weights]:
    _, above = np.frexp(peaks)  # one more than the exponent; 0 for 0
    exponents = np.where(peaks > 0, above - 1 - LARGEST_EXPONENT, -BIAS)
    stored = StoredScales(scales=(exponents.clip(-BIAS, BIAS) + BIAS).astype(np.uint8))
    return stored, _read(stored)


def _read(stored: StoredScales) -> Weights:
    return np.ldexp(np.float32(1), stored.scales.astype(np.int32) - BIAS)


def _says(stored: StoredScales, place: tuple[int, int]) -> str:
    return f"2^{int(stored.scales[place]) - BIAS} = {_read(stored)[place]:.6g}"


MXFP4_OCP = ScaledFormat(
    name="MXFP4_OCP",
    code_bits=4,
    span="group",
    group_size=32,
    values=VALUES,
    choose=_choose,
    read=_read,
    says=_says,
    encode=encode_e2m1,
    decode=partial(decode_pairs, pairs_of(VALUES, high_first=False)),
    scale_bytes=1,
    source="OCP Microscaling Formats (MX) Specification 1.0, sections 5.3.3 and 6.3",
)
