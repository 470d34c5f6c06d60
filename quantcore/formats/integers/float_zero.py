"""INT2 to INT8 in groups whose zero point is a float16: how HQQ stores weights.

    restored = scale * (code - zero_point)

The zero point need not be a code, so 0 need not be on the grid; the range reaches from the least to
the greatest weight of the group. Stored are b bits a code, and 16 each for scale and zero point:
b + 32 / g bits a weight.

`quantize` rounds to nearest as hqq does before its search, with its two bounds, which are in units
of the weights: a group no wider than 1e-4 gets scale 1, and no scale is below 1 / 20,000. Codes are
found before scale and zero point become float16. The search is `quantcore.methods.hqq`.
"""

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
    refuse_non_finite,
)
from quantcore.format import Family, OpenedBlock, ScaleFactors, Weights
from quantcore.formats.integers.group import open_group
from quantcore.formats.shared.spans import check_groups
from quantcore.formats.shared.unweighted import Unweighted

LARGEST_HALF = np.float32(65504)
NARROWEST, LARGEST_INVERSE = np.float32(1e-4), np.float32(2e4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatZeroPacked:
    """A tensor as integers, one a byte; a file takes `FloatZeroFormat.stored_bytes`."""

    codes: NDArray[np.uint8]  # (n_rows, n_cols)
    scales: NDArray[np.float16]  # (n_rows, n_groups), as are the zero points
    zero_points: NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatZeroFormat(Unweighted):
    """Integers with a scale and a float zero point for each group of columns.

    Examples
    --------
    >>> int2 = float_zero_format("INT2_G4_HQQ")
    >>> packed = int2.quantize(np.float32([[1, 2, 3, 4]]))  # 0 is off the grid
    >>> packed.codes.tolist(), packed.zero_points.tolist()
    ([[0, 1, 2, 3]], [[-1.0]])
    >>> int2.stored_bytes((1, 4))  # a byte of codes, two of scale, two of zero point
    5
    """

    name: str
    code_bits: int
    group_size: int
    family: Family = "int"
    source: str = "Badri and Shaji, Half-Quadratic Quantization, 2023; hqq/core/quantize.py"

    @property
    def whole_tensor(self) -> bool:
        """No: every group has a scale of its own."""
        return False

    @property
    def most(self) -> int:
        """The greatest code."""
        return 2**self.code_bits - 1

    def block_length(self, n_cols: int) -> int:
        """Weights of a row that share a scale."""
        return self.group_size

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored."""
        check_groups(self.name, shape, self.group_size)

    def stored_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes that weights of this shape take: codes packed, scales and zero points."""
        self.check(shape)
        n_weights = shape[0] * shape[1]
        return -(-n_weights * self.code_bits // 8) + 4 * (n_weights // self.group_size)

    def quantize(self, weights: Weights, importance: Weights | None = None) -> FloatZeroPacked:
        """Encode finite floats ``(n_rows, n_cols)``; anything else raises a `ValueError`.

        An importance ``(n_cols,)`` is checked, and changes nothing.
        """
        groups = self.groups(weights)
        if importance is not None:
            checked_importance(importance, np.shape(weights))
        inverse, zero = self.ranges(groups)
        return self.pack(self.codes(groups, inverse, zero), inverse, zero)

    def dequantize(self, packed: FloatZeroPacked, out: Weights | None = None) -> Weights:
        """Decode to float32 ``(n_rows, n_cols)``, into `out` if given."""
        shape = packed.codes.shape
        out = np.empty(shape, np.float32) if out is None else checked_out(self.name, out, shape)
        groups = (*packed.scales.shape, self.group_size)
        steps = out.reshape(groups)
        zeros = packed.zero_points.astype(np.float32)[..., None]
        np.subtract(packed.codes.reshape(groups), zeros, out=steps)
        steps *= packed.scales.astype(np.float32)[..., None]
        return out

    def scale_factors(self, packed: FloatZeroPacked) -> ScaleFactors:
        """Scales and minima: ``minimum = scale * zero_point``."""
        scales = packed.scales.astype(np.float32)
        return ScaleFactors(
            scales=scales,
            minimums=scales * packed.zero_points.astype(np.float32),
            weights_per_scale=self.group_size,
            overhead_bits=32 / self.group_size,
        )

    def open_block(self, packed: FloatZeroPacked, row: int, block: int) -> OpenedBlock:
        """Take apart a group of columns."""
        check_place(packed.scales.shape, row, block)
        return open_group(
            packed.codes[row, block * self.group_size : (block + 1) * self.group_size],
            scale=packed.scales[row, block],
            zero_point=packed.zero_points[row, block],
            code_bits=self.code_bits,
        )

    def groups(self, weights: Weights) -> Weights:
        """Check weights ``(n_rows, n_cols)`` and cut them: ``(n_rows, n_groups, group_size)``."""
        weights = as_float32(self.name, weights)
        self.check(weights.shape)
        if not np.isfinite(weights).all():
            refuse_non_finite(self.name, weights)
        return weights.reshape(len(weights), -1, self.group_size)

    def ranges(self, groups: Weights) -> tuple[Weights, Weights]:
        """Inverse scales and zero points that span each group, ``(n_rows, n_groups, 1)``."""
        low, high = groups.min(axis=-1, keepdims=True), groups.max(axis=-1, keepdims=True)
        with np.errstate(over="ignore", divide="ignore"):
            wide = high - low
            inverse = np.float32(self.most) / wide
        inverse[wide <= NARROWEST] = 1
        inverse = np.clip(inverse, np.float32(1) / LARGEST_HALF, LARGEST_INVERSE)
        return inverse, -low * inverse

    def codes(self, groups: Weights, inverse: Weights, zero: Weights) -> Weights:
        """Round to the nearest code, halves to even; floats, shaped as the groups."""
        codes = groups * inverse
        codes += zero
        np.rint(codes, out=codes)
        return np.clip(codes, 0, self.most, out=codes)

    def pack(self, codes: Weights, inverse: Weights, zero: Weights) -> FloatZeroPacked:
        """Put together what is stored."""
        return FloatZeroPacked(
            codes=codes.astype(np.uint8).reshape(len(codes), -1),
            scales=(np.float32(1) / inverse[..., 0]).astype(np.float16),
            zero_points=np.clip(zero[..., 0], -LARGEST_HALF, LARGEST_HALF).astype(np.float16),
        )


@cache
def float_zero_format(name: str) -> FloatZeroFormat | None:
    """Return the format of a name such as ``INT4_G64_HQQ``, or None for any other name."""
    match = re.fullmatch(r"INT([2-8])_G([1-9]\d{0,6})_HQQ", name)
    if not match:
        return None
    return FloatZeroFormat(name=name, code_bits=int(match[1]), group_size=int(match[2]))
