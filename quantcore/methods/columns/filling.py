"""How a format is filled code by code, after its scales were chosen.

A format's own `quantize` chooses scales and codes at once. Methods that push errors on want its
scales, and then to choose each code themselves. What comes out is packed as the format packs.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from quantcore.checks import read_only
from quantcore.format import Format, Weights
from quantcore.formats.codebook.blocks import CodebookFormat
from quantcore.formats.integers.integer import IntegerPacked
from quantcore.formats.outside_gguf.scaled import ScaledPacked
from quantcore.methods.columns.codebook_filling import CodebookFilling
from quantcore.methods.columns.grids import grid_of
from quantcore.methods.columns.kernels import round_columns
from quantcore.methods.columns.work import MIN_ROWS, Filling, Work
from quantcore.methods.rtn import scaled
from quantcore.pool import over_rows


class ScalarFilling:
    """Fills a format that has a code for every weight."""

    def __init__(
        self, fmt: Format, weights: Weights, importance: Weights | None, searched: bool
    ) -> None:
        self._start = scaled(fmt, weights, importance, searched=searched)
        self._grid = grid_of(fmt)
        factors = fmt.scale_factors(self._start)
        n_rows, n_cols = weights.shape
        shape = (n_rows, factors.scales.shape[1])
        self._scales = read_only(np.ascontiguousarray(np.broadcast_to(factors.scales, shape)))
        minimums = np.float32(0) if factors.minimums is None else factors.minimums
        self._minimums = read_only(np.ascontiguousarray(np.broadcast_to(minimums, shape)))
        self._per_scale = n_cols // shape[1]
        self._codes = np.empty(weights.shape, np.uint8)

    def round(self, work: Work) -> Weights:
        """Round each column to the nearest of its grid, and push its error on."""
        values = self._grid.values
        which = read_only((work.places // self._per_scale).astype(np.int32))
        numbers = np.empty(work.aimed.shape, np.int32)
        restored = np.empty(work.aimed.shape, np.float32)
        even = len(values) > 1 and bool((np.diff(values) == 1).all())
        pushes = np.empty((0, 0), np.float32) if work.pushes is None else work.pushes

        def rows(start: int, stop: int) -> None:
            here = slice(start, stop)
            round_columns(
                (work.target[here], work.aimed[here], restored[here], numbers[here]),
                (self._scales[here], self._minimums[here], which),
                (values, even),
                (read_only(work.feedback), read_only(pushes)),
            )

        over_rows(rows, len(restored), MIN_ROWS)
        self._codes[:, work.places] = self._grid.codes[numbers]
        return restored

    def packed(self) -> Any:
        """Put the codes into the place of those that came with the scales."""
        return self._grid.put(self._start, self._codes)


def start_filling(
    fmt: Format, weights: Weights, importance: Weights | None, *, searched: bool = False
) -> Filling:
    """Choose scales for weights (n_rows, k), as the format does itself; `k` is `unit_of` columns.

    Parameters
    ----------
    importance
        Mean squared input of each column, for formats that make use of it.
    searched
        Whether ranges of integers are narrowed to the least squared error.
    """
    if isinstance(fmt, CodebookFormat):
        return CodebookFilling(fmt, weights, importance)
    return ScalarFilling(fmt, weights, importance, searched)


def unit_of(fmt: Format, n_cols: int) -> int:
    """How many columns get their scales together; all where something covers the tensor."""
    return n_cols if fmt.whole_tensor else fmt.block_length(n_cols)


def joined(parts: list[Any]) -> Any:
    """Set packed units side by side."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, IntegerPacked):
        zeros = None if first.zero_points is None else [part.zero_points for part in parts]
        return IntegerPacked(
            codes=np.concatenate([part.codes for part in parts], axis=1),
            scales=np.concatenate([part.scales for part in parts], axis=1),
            zero_points=None if zeros is None else np.concatenate(zeros, axis=1),
        )
    if isinstance(first, ScaledPacked):
        scales = np.concatenate([part.stored.scales for part in parts], axis=1)
        return ScaledPacked(
            codes=np.concatenate([part.codes for part in parts], axis=1),
            stored=replace(first.stored, scales=scales),
        )
    return np.concatenate(parts, axis=1)
