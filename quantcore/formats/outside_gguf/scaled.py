"""Formats that no GGUF holds: small codes in one array, their scale factors in others.

restored = scale * value of code

That is how safetensors files hold FP8, NF4, MXFP4 and NVFP4. A scale covers the tensor, a row, or a
group of columns, and may itself be a small code that something for the whole tensor multiplies.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
from quantcore.format import Family, OpenedBlock, Packed, ScaleFactors, Weights
from quantcore.formats.outside_gguf.scaled_group import (
    find_peaks,
    open_group,
    widest_step,
)
from quantcore.formats.shared.spans import (
    Span,
    check_groups,
    groups_per_thread,
    per_group,
    scales_shape,
)
from quantcore.formats.shared.unweighted import Unweighted
from quantcore.pool import over_rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredScales:
    """The scale factors of a tensor as they are stored."""

    scales: NDArray[np.float32] | NDArray[np.uint8]
    """(1, 1), (n_rows, 1) or (n_rows, n_groups); codes of a byte in some formats."""
    super_scales: NDArray[np.float32] | None = None  # what the codes are multiplied by
    offset: np.float32 | None = None  # and what is added then


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaledPacked:
    """A tensor in a `ScaledFormat`; all arrays as a file would hold them."""

    codes: Packed  # (n_rows, n_cols * code_bits / 8)
    stored: StoredScales


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledFormat(Unweighted):
    """Small floats with a scale for each tensor, row, or group of columns.

    Examples
    --------
    >>> from quantcore.formats import get_format
    >>> fp8 = get_format("FP8_E4M3_ROW")
    >>> packed = fp8.quantize(np.float32([[448, -1, 0, 17]]))  # so the scale is 1
    >>> [hex(code) for code in packed.codes[0]]  # 17 is half way between 16 and 18
    ['0x7e', '0xb8', '0x0', '0x58']
    >>> fp8.dequantize(packed).tolist()
    [[448.0, -1.0, 0.0, 16.0]]
    """

    name: str
    code_bits: Literal[4, 8]
    span: Span  # what shares a scale
    group_size: int | None = None  # columns, where the span is a group
    values: Weights  # of each code; NaN and infinities where a code stands for those
    choose: Callable[[Weights], tuple[StoredScales, Weights]]
    """Largest magnitude of each span, shaped as the scales -> scales to store, and as float32 what
    `encode` needs of each."""
    read: Callable[[StoredScales], Weights]  # -> scales as float32, same shape
    says: Callable[[StoredScales, tuple[int, int]], str]  # one scale in words
    encode: Callable[[Weights, Weights, Packed], None]  # groups, one number each -> codes
    decode: Callable[[Packed, Weights, Weights], None]  # codes, a scale each -> groups
    scale_bytes: int = 4
    shared_bytes: Callable[[int], int] = lambda n_scales: 0  # super-scales and offset
    high_first: bool = False  # of two codes in a byte, the first in the high half
    family: Family = "uneven"
    source: str

    @property
    def whole_tensor(self) -> bool:
        """Whether rows depend on each other: something is found for the tensor as a whole."""
        return self.span == "tensor" or self.shared_bytes(1) > 0

    def block_length(self, n_cols: int) -> int:
        """Weights of a row that share a scale: a group, or the whole row."""
        return self.group_size or n_cols

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored."""
        check_groups(self.name, shape, self.group_size)

    def stored_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes that weights of this shape take, scales and what the tensor shares included."""
        self.check(shape)
        n_scales = math.prod(scales_shape(self.span, shape, self.group_size))
        codes = shape[0] * shape[1] * self.code_bits // 8
        return codes + n_scales * self.scale_bytes + self.shared_bytes(n_scales)

    def quantize(self, weights: Weights, importance: Weights | None = None) -> ScaledPacked:
        """Encode finite floats ``(n_rows, n_cols)``; anything else raises a `ValueError`.

        An importance ``(n_cols,)`` is checked, and changes nothing.
        """
        weights = as_float32(self.name, weights)
        self.check(weights.shape)
        if importance is not None:
            checked_importance(importance, weights.shape)
        groups = read_only(weights.reshape(-1, self.block_length(weights.shape[1])))
        stored, steps = self.choose(self._peaks(groups, weights))
        steps = read_only(per_group(steps, len(groups)))
        codes = np.empty((len(groups), groups.shape[1] * self.code_bits // 8), np.uint8)

        def work(start: int, stop: int) -> None:
            self.encode(groups[start:stop], steps[start:stop], codes[start:stop])

        over_rows(work, len(groups), groups_per_thread(groups.shape[1]))
        return ScaledPacked(codes=codes.reshape(len(weights), -1), stored=stored)

    def dequantize(self, packed: ScaledPacked, out: Weights | None = None) -> Weights:
        """Decode to float32 ``(n_rows, n_cols)``, into `out` if given."""
        shape = self._shape(packed)
        out = np.empty(shape, np.float32) if out is None else checked_out(self.name, out, shape)
        restored = out.reshape(-1, self.block_length(shape[1]))
        codes = read_only(packed.codes.reshape(len(restored), -1))
        scales = read_only(per_group(self.read(packed.stored), len(restored)))

        def work(start: int, stop: int) -> None:
            self.decode(codes[start:stop], scales[start:stop], restored[start:stop])

        over_rows(work, len(restored), groups_per_thread(restored.shape[1]))
        return out

    def scale_factors(self, packed: ScaledPacked) -> ScaleFactors:
        """Scales of a packed tensor, as decoding uses them."""
        shape, scales = self._shape(packed), self.read(packed.stored)
        n_weights = math.prod(shape)
        return ScaleFactors(
            scales=scales,
            weights_per_scale=n_weights // scales.size,
            overhead_bits=8 * self.stored_bytes(shape) / n_weights - self.code_bits,
            widest_step=widest_step(self.values),
        )

    def open_block(self, packed: ScaledPacked, row: int, block: int) -> OpenedBlock:
        """Take apart what shares a scale within a row: a group, or the whole row."""
        shape = self._shape(packed)
        length = self.block_length(shape[1])
        check_place((shape[0], shape[1] // length), row, block)
        place = (0 if self.span == "tensor" else row, block)
        n_bytes = length * self.code_bits // 8
        return open_group(
            packed.codes[row, block * n_bytes : (block + 1) * n_bytes],
            stored_scale=packed.stored.scales[place],
            scale=self.read(packed.stored)[place],
            says=self.says(packed.stored, place),
            values=self.values,
            high_first=self.high_first,
        )

    def _shape(self, packed: ScaledPacked) -> tuple[int, int]:
        n_rows, row_bytes = packed.codes.shape
        return n_rows, row_bytes * 8 // self.code_bits

    def _peaks(self, groups: Weights, weights: Weights) -> Weights:
        """Largest magnitude of whatever shares a scale."""
        peaks = np.empty(len(groups), np.float32)

        def work(start: int, stop: int) -> None:
            find_peaks(groups[start:stop], peaks[start:stop])

        over_rows(work, len(groups), groups_per_thread(groups.shape[1]))
        if not np.isfinite(peaks).all():
            refuse_non_finite(self.name, weights)
        if self.span == "tensor":
            return peaks.max().reshape(1, 1)
        return peaks.reshape(scales_shape(self.span, weights.shape, self.group_size))
