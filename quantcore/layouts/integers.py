"""Integers with scales and zero points, once a layout has unpacked them.

    weight = scale * (code - zero point)        codes from 0 to 2**b - 1

Most have groups of neighbouring columns, and are the lab's INT formats then. Where a file lists the
group of each column (act-order's ``g_idx``), scales and zero points are gathered by that list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked, integer_format
from quantcore.layouts.parts import Parts
from quantcore.layouts.stored_matrix import StoredMatrix

Zeros = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Integers:
    """How to unpack a matrix of integers; each takes a slice of rows."""

    layout: str
    bits: int
    shape: tuple[int, int]
    n_groups: int  # 1 where a scale covers rows or the tensor
    symmetric: bool  # whether it is called so: zero points are read all the same
    codes: Callable[[slice], NDArray[np.uint8]]  # (n, n_cols), from 0
    scales: Callable[[slice], Weights]  # (n, n_groups)
    zero_points: Callable[[slice], NDArray[np.integer]]  # (n, n_groups), codes that stand for 0
    groups: NDArray[np.integer] | None = None  # of each column, where they are no neighbours
    one_scale: bool = False  # for the tensor

    def stored(self, parts: Parts) -> StoredMatrix:
        """Make a matrix of it, which knows where it lies."""
        n_cols = self.shape[1]
        if self.groups is None and n_cols % self.n_groups:
            raise parts.error(f"has {self.n_groups:,} scales for each row of {n_cols:,} weights.")
        plain = self.groups is None
        return StoredMatrix(
            path=parts.path,
            dtype=self._name(),
            layout=self.layout,
            shape=self.shape,
            n_bytes=parts.n_bytes,
            rows=self._rows if plain else self._gathered,
            packed=self._whole if plain else lambda: None,
        )

    def _name(self) -> str:
        n_cols = self.shape[1]
        span = "ROW" if self.n_groups == 1 else f"G{-(-n_cols // self.n_groups)}"
        if self.one_scale:
            span = "TENSOR"
        order = "" if self.groups is None else "_ACT_ORDER"
        return f"INT{self.bits}_{span}{'' if self.symmetric else '_ASYM'}{order}"

    @property
    def _format(self) -> IntegerFormat:
        """The lab's format with a zero point, as which all are decoded."""
        span = "ROW" if self.n_groups == 1 else f"G{self.shape[1] // self.n_groups}"
        fmt = integer_format(f"INT{self.bits}_{span}_ASYM")
        assert fmt is not None  # bits from 2 to 8, by the layouts
        return fmt

    def _packed(self, rows: slice) -> IntegerPacked:
        zeros = self.zero_points(rows)
        narrow = zeros.astype(np.uint8)
        return IntegerPacked(
            codes=self.codes(rows),
            scales=self.scales(rows),
            # GPTQ's first version can say 256, which only decoding knows what to do with.
            zero_points=narrow if np.array_equal(narrow, zeros) else cast(Zeros, zeros),
        )

    def _rows(self, rows: slice) -> Weights:
        return self._format.dequantize(self._packed(rows))

    def _gathered(self, rows: slice) -> Weights:
        values = self.codes(rows).astype(np.float32)
        values -= self.zero_points(rows).astype(np.float32)[:, self.groups]
        values *= self.scales(rows)[:, self.groups]
        return values

    def _whole(self) -> IntegerPacked | None:
        """Pack it as the lab does, codes of a symmetric format around 0."""
        packed = self._packed(slice(0, self.shape[0]))
        zeros = packed.zero_points
        if zeros is None or zeros.dtype != np.uint8:
            return None
        scales = packed.scales[:1] if self.one_scale else packed.scales
        if not self.symmetric:
            zeros = zeros[:1] if self.one_scale else zeros
            return IntegerPacked(codes=packed.codes, scales=scales, zero_points=zeros)
        middle = 2 ** (self.bits - 1)
        if (zeros != middle).any():  # said to be symmetric, and is not
            return None
        codes = (packed.codes.astype(np.int16) - middle).astype(np.int8)
        return IntegerPacked(codes=codes, scales=scales, zero_points=None)


def group_list(parts: Parts, part: str, n_cols: int, n_groups: int) -> NDArray[np.integer] | None:
    """Read the group of each column; None where they are neighbours in equal numbers.

    Raises
    ------
    ModelError
        If there is no such group.
    """
    groups = parts.shaped(part, (n_cols,), "I32", "I64").codes()
    if groups.min() < 0 or groups.max() >= n_groups:
        wrong = int(np.argmax((groups < 0) | (groups >= n_groups)))
        raise parts.error(
            f"puts column {wrong:,} into group {groups[wrong]:,} of {n_groups:,} ({part})."
        )
    if n_cols % n_groups == 0 and np.array_equal(groups, np.arange(n_cols) * n_groups // n_cols):
        return None
    return groups
