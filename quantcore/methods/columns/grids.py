"""What the codes of a format stand for, and how chosen codes are put into packed weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import read_only
from quantcore.format import Format, Packed, Weights
from quantcore.formats import FORMATS
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.floats.fp4 import VALUES as FP4_VALUES
from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked
from quantcore.formats.iq4.search import VALUES as IQ4_VALUES
from quantcore.formats.outside_gguf.scaled import ScaledFormat, ScaledPacked

UNEVEN = {"IQ4_NL": IQ4_VALUES, "IQ4_XS": IQ4_VALUES, "MXFP4": FP4_VALUES, "NVFP4": FP4_VALUES}
Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """The values that a weight can take, and their codes."""

    values: Weights  # ascending, in units of the scale; before a minimum is taken off
    codes: Codes  # stored for each of the values
    put: Callable[[Any, Codes], Any]
    """``(packed, codes (n_rows, n_cols)) -> packed``, with these codes and the same scales."""


def grid_of(fmt: Format) -> Grid:
    """Find the grid of a format that has one code for each weight.

    Raises
    ------
    ValueError
        If it has no scales, so that all weights are as near already as they can be, or no codes.
    """
    if isinstance(fmt, IntegerFormat):
        return _of_integers(fmt)
    if isinstance(fmt, ScaledFormat):
        return _of_scaled(fmt)
    if isinstance(fmt, BlockFormat):
        return _of_blocks(fmt)
    raise ValueError(
        f"{fmt.name} has no code of its own for each weight, chosen by a scale: round to nearest "
        "(rtn), or choose another type."
    )


def _of_integers(fmt: IntegerFormat) -> Grid:
    most = 2 ** (fmt.code_bits - 1) - 1
    numbers = np.arange(-most, most + 1) if fmt.symmetric else np.arange(2**fmt.code_bits)

    def put(packed: IntegerPacked, codes: Codes) -> IntegerPacked:
        return replace(packed, codes=codes.view(np.int8) if fmt.symmetric else codes)

    return Grid(
        values=read_only(numbers.astype(np.float32)), codes=numbers.astype(np.uint8), put=put
    )


def _of_scaled(fmt: ScaledFormat) -> Grid:
    def put(packed: ScaledPacked, codes: Codes) -> ScaledPacked:
        if fmt.code_bits == 4:
            first, second = codes[:, ::2], codes[:, 1::2]
            codes = (first << 4 | second if fmt.high_first else first | second << 4).astype(
                np.uint8
            )
        return replace(packed, codes=codes)

    return _ascending(fmt.values, np.arange(len(fmt.values)), put)


def _of_blocks(fmt: BlockFormat) -> Grid:
    empty = np.zeros(fmt.block_bytes, np.uint8)
    if fmt.factors(empty[None, None]).weights_per_scale == 0:
        raise ValueError(
            f"{fmt.name} has no scales: every weight is as near already as it can be. Round to "
            "nearest (rtn)."
        )
    opened = fmt.open(empty)
    numbers = np.arange(len(opened.parts[0].grid))
    values = UNEVEN.get(fmt.name, (opened.first_code + numbers).astype(np.float32))
    put = _put_ternary if fmt.family == "ternary" else _put_bits
    return _ascending(values, numbers, partial(put, fmt))


def _ascending(values: Weights, codes: NDArray, put: Callable[[Any, Codes], Any]) -> Grid:
    """Sort values, without NaN and infinities; of equal ones (0 and -0) the first code is taken."""
    finite = np.isfinite(values)
    kept, first = np.unique(values[finite], return_index=True)
    return Grid(values=read_only(kept), codes=codes[finite][first].astype(np.uint8), put=put)


def _put_ternary(fmt: BlockFormat, packed: Packed, codes: Codes) -> Packed:
    """Quantize what they stand for: the scale is the largest of it, and comes out as it was."""
    scales = fmt.scale_factors(packed).scales
    steps = codes.astype(np.float32) - np.float32(1)
    return fmt.quantize(steps * scales.repeat(codes.shape[1] // scales.shape[1], axis=1))


def _put_bits(fmt: BlockFormat, packed: Packed, codes: Codes) -> Packed:
    places, base = _code_bits(fmt.name)
    blocks = packed.reshape(-1, fmt.block_bytes)
    turned = codes.reshape(-1, fmt.block_size) ^ base
    bits = np.unpackbits(blocks, axis=1, bitorder="little")
    for k in range(places.shape[1]):
        bits[:, places[:, k]] = turned >> k & 1
    return np.packbits(bits, axis=1, bitorder="little").reshape(packed.shape)


@cache
def _code_bits(name: str) -> tuple[NDArray[np.intp], Codes]:
    """Find where in a block each bit of each code lies, by turning bits of zeros over.

    Returns
    -------
    places : (block_size, code_bits)
        Bits of a block, counted from the lowest of its first byte.
    base : (block_size,)
        Codes of a block of zeros; a bit that is set turns over one bit of them.
    """
    fmt = FORMATS[name]
    empty = np.zeros(fmt.block_bytes, np.uint8)
    opened = fmt.open(empty)
    base = opened.codes.astype(np.uint8)
    n_bits = (len(opened.parts[0].grid) - 1).bit_length()
    places = np.full((fmt.block_size, n_bits), -1, np.intp)
    for holding in zip(*opened.code_bytes, strict=True):  # one byte of each code: low bits, high
        for i in range(8):
            turned = empty.copy()
            turned[list(holding)] = 1 << i
            weights = np.arange(fmt.block_size)
            changed = fmt.open(turned).codes ^ opened.codes
            weights, changed = weights[changed > 0], changed[changed > 0]
            bit = np.log2(changed).astype(np.intp)  # in a byte, codes have other bits each
            places[weights, bit] = 8 * np.array(holding)[weights] + i
    assert places.min() >= 0  # every code has all of its bits somewhere
    return places, base
