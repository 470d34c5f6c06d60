"""INT2 to INT8: evenly spaced codes; one scale a tensor, a row or a group of columns.

restored = scale * (code - zero_point)

Symmetric, the default: ``scale = absmax / (2**(b-1) - 1)``, codes from -(2**(b-1) - 1) to
2**(b-1) - 1, no zero point. So INT4 has 15 codes, -7 to 7: the convention of SmoothQuant, and not
the one that divides by 7.5 or 8 to use code -8.
Asymmetric (`_ASYM`): the range from the least to the greatest weight, made to include 0, is cut
into 2**b - 1 steps; codes from 0, and the zero point is the code that stands for 0.

Scales are rounded to float16 before codes are chosen, and codes round half to even. Stored are b
bits a code, 16 a scale, b a zero point.
"""

import math
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import (
    as_float32,
    check_place,
    checked_importance,
    checked_out,
    read_only,
    refuse_non_finite,
)
from quantcore.format import Family, OpenedBlock, ScaleFactors, Weights
from quantcore.formats.integers.group import open_group
from quantcore.formats.integers.kernels import decode, encode, find_ranges
from quantcore.formats.shared.spans import (
    Span,
    check_groups,
    groups_per_thread,
    per_group,
    scales_shape,
)
from quantcore.formats.shared.unweighted import Unweighted
from quantcore.pool import over_rows

LARGEST_HALF = np.float32(65504)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntegerPacked:
    """A tensor as integers, one a byte; `IntegerFormat.stored_bytes` is what a file would take."""

    codes: NDArray[np.int8] | NDArray[np.uint8]  # (n_rows, n_cols); int8 where symmetric
    scales: NDArray[np.float16] | NDArray[np.float32]
    """(1, 1), (n_rows, 1) or (n_rows, n_groups); float32 only where another's file has it so."""
    zero_points: NDArray[np.uint8] | None  # shaped as the scales; None where symmetric

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weights."""
        return self.codes.shape


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerFormat(Unweighted):
    """Integers with a scale for each tensor, row, or group of columns.

    Examples
    --------
    >>> int4 = integer_format("INT4_ROW")
    >>> packed = int4.quantize(np.float32([[0.875, -0.3125, 0.375, 0]]))
    >>> packed.codes.tolist()  # the scale is 1/8, and -2.5 is half way
    [[7, -2, 3, 0]]
    >>> int4.stored_bytes((1, 4))  # two bytes of codes, two of scale
    4
    """

    name: str
    code_bits: int
    symmetric: bool
    span: Span  # what shares a scale
    group_size: int | None  # columns, where the span is a group
    family: Family = "int"
    source: str = "Xiao et al., SmoothQuant, 2023 (symmetric); Jacob et al., 2018 (zero point)"

    @property
    def whole_tensor(self) -> bool:
        """Whether rows depend on each other: one scale covers them."""
        return self.span == "tensor"

    def block_length(self, n_cols: int) -> int:
        """Weights of a row that share a scale: a group, or the whole row."""
        return self.group_size or n_cols

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored."""
        check_groups(self.name, shape, self.group_size)

    def stored_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes that weights of this shape take: codes, scales and zero points, each packed."""
        self.check(shape)
        n_scales = math.prod(scales_shape(self.span, shape, self.group_size))
        zero_bits = 0 if self.symmetric else self.code_bits
        return -(-shape[0] * shape[1] * self.code_bits // 8) + -(-n_scales * (16 + zero_bits) // 8)

    def quantize(self, weights: Weights, importance: Weights | None = None) -> IntegerPacked:
        """Encode finite floats ``(n_rows, n_cols)``; anything else raises a `ValueError`.

        An importance ``(n_cols,)`` is checked, and changes nothing.
        """
        ranges = self.ranges(weights)
        if importance is not None:
            checked_importance(importance, weights.shape)
        return self.quantize_within(weights, *ranges)

    def quantize_within(self, weights: Weights, low: Weights, high: Weights) -> IntegerPacked:
        """Encode finite weights with ranges of one's own; what is beyond them is cut off.

        `low` and `high` are shaped as `ranges` gives them.
        """
        weights = as_float32(self.name, weights)
        groups = read_only(weights.reshape(-1, self.block_length(weights.shape[1])))
        scales, zero_points = self._choose(low, high)
        codes = np.empty(groups.shape, np.uint8)
        group_scales, group_zeros = _by_group(scales, zero_points, len(groups))
        group_scales[group_scales == 0] = np.inf  # so that all codes become the zero point
        limits = (-self._most if self.symmetric else 0, self._most)

        def work(start: int, stop: int) -> None:
            part = slice(start, stop)
            encode(groups[part], group_scales[part], group_zeros[part], *limits, codes[part])

        over_rows(work, len(groups), groups_per_thread(groups.shape[1]))
        codes = codes.view(np.int8) if self.symmetric else codes
        shape = scales_shape(self.span, weights.shape, self.group_size)
        return IntegerPacked(
            codes=codes.reshape(weights.shape),
            scales=scales.reshape(shape),
            zero_points=None if self.symmetric else zero_points.reshape(shape),
        )

    def dequantize(self, packed: IntegerPacked, out: Weights | None = None) -> Weights:
        """Decode to float32 ``(n_rows, n_cols)``, into `out` if given."""
        self.check(packed.shape)
        out = np.empty(packed.shape, np.float32) if out is None else out
        checked_out(self.name, out, packed.shape)
        group_length = self.block_length(packed.shape[1])
        codes = read_only(packed.codes.view(np.uint8).reshape(-1, group_length))
        restored = out.reshape(-1, group_length)
        scales, zeros = _by_group(packed.scales, packed.zero_points, len(codes))

        def work(start: int, stop: int) -> None:
            part = slice(start, stop)
            decode(codes[part], scales[part], zeros[part], self.symmetric, restored[part])

        over_rows(work, len(codes), groups_per_thread(group_length))
        return out

    def scale_factors(self, packed: IntegerPacked) -> ScaleFactors:
        """Scales, and minima where there are zero points: ``minimum = scale * zero_point``."""
        scales = packed.scales.astype(np.float32)
        zeros = packed.zero_points
        per_scale = math.prod(packed.shape) // scales.size
        return ScaleFactors(
            scales=scales,
            minimums=None if zeros is None else scales * zeros.astype(np.float32),
            minimum_codes=None if zeros is None else zeros.astype(np.int16),
            weights_per_scale=per_scale,
            overhead_bits=(16 if zeros is None else 16 + self.code_bits) / per_scale,
        )

    def open_block(self, packed: IntegerPacked, row: int, block: int) -> OpenedBlock:
        """Take apart what shares a scale within a row: a group, or the whole row."""
        length = self.block_length(packed.shape[1])
        check_place((packed.shape[0], packed.shape[1] // length), row, block)
        place = (0 if self.span == "tensor" else row, block)
        zero_points = packed.zero_points
        return open_group(
            packed.codes[row, block * length : (block + 1) * length],
            scale=packed.scales[place],
            zero_point=None if zero_points is None else zero_points[place],
            code_bits=self.code_bits,
        )

    @property
    def _most(self) -> int:
        return 2 ** (self.code_bits - 1) - 1 if self.symmetric else 2**self.code_bits - 1

    def ranges(self, weights: Weights) -> tuple[Weights, Weights]:
        """Least and greatest weight of whatever shares a scale, each (n_scales,)."""
        weights = as_float32(self.name, weights)
        self.check(weights.shape)
        groups = read_only(weights.reshape(-1, self.block_length(weights.shape[1])))
        ranges = np.empty((len(groups), 2), np.float32)

        def work(start: int, stop: int) -> None:
            find_ranges(groups[start:stop].view(np.int32), ranges[start:stop])

        over_rows(work, len(groups), groups_per_thread(groups.shape[1]))
        if not np.isfinite(ranges).all():
            refuse_non_finite(self.name, weights)
        low, high = ranges.T
        if self.span == "tensor":
            return low.min(keepdims=True), high.max(keepdims=True)
        return low, high

    def _choose(self, low: Weights, high: Weights) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        """Scales and zero points for these ranges."""
        if self.symmetric:
            peaks: Weights = np.maximum(-low, high)
            halves = _as_half(peaks / np.float32(self._most))
            return halves, np.zeros(halves.shape, np.uint8)
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        with np.errstate(over="ignore"):  # `_as_half` takes care of infinity
            scales = _as_half((high - low) / np.float32(self._most))
        steps = np.divide(-low, scales, out=np.zeros_like(low), where=scales > 0, dtype=np.float32)
        return scales, np.clip(np.rint(steps), 0, self._most).astype(np.uint8)


@cache
def integer_format(name: str) -> IntegerFormat | None:
    """Return the format of a name such as ``INT4_G128_ASYM``, or None for any other name."""
    match = re.fullmatch(r"INT([2-8])_(TENSOR|ROW|G([1-9]\d{0,6}))(_ASYM)?", name)
    if not match:
        return None
    bits, span, group, asym = match.groups()
    return IntegerFormat(
        name=name,
        code_bits=int(bits),
        symmetric=asym is None,
        span="group" if group else "tensor" if span == "TENSOR" else "row",
        group_size=int(group) if group else None,
    )


def _as_half(scales: Weights) -> NDArray[np.float16]:
    # A scale beyond float16 would restore every weight as infinity: clip the weights instead.
    return np.minimum(scales, LARGEST_HALF).astype(np.float16)


def _by_group(
    scales: NDArray[np.float16] | NDArray[np.float32],
    zero_points: NDArray[np.uint8] | None,
    n_groups: int,
) -> tuple[Weights, NDArray[np.uint8]]:
    """One scale and one zero point (0 where there is none) for each group of weights."""
    zeros = np.zeros(scales.size, np.uint8) if zero_points is None else zero_points
    return per_group(scales.astype(np.float32), n_groups), per_group(zeros, n_groups)
