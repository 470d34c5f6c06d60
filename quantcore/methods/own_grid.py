"""Weights on the grid that they were trained for: codes and steps as found, not chosen anew.

Rounding such weights again puts a second grid over the first, and loses what training had bought:
a type's own rule takes the scale from the largest weight, and that need not be a whole step of it.
Here the scales are the steps that `found_grid` finds, so nothing is rounded, if the type has as
many codes, blocks no longer than the grid's, and scales that hold the steps.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import as_float32, refuse_non_finite
from quantcore.format import Format, Packed, Weights
from quantcore.formats import get_format
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked
from quantcore.methods.grid.found_grid import FoundGrid, find_grid
from quantcore.methods.grid.grid_steps import rounded_to
from quantcore.methods.method import Chosen, LayerInputs, Statistic

BLOCK_TYPES = {"TQ2_0": (-1, 1), "Q4_0": (-8, 7), "Q8_0": (-127, 127)}  # and the codes they have


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnGrid:
    """Store weights on their own grid; those that lie on none are refused."""

    name: ClassVar[str] = "own_grid"
    title: ClassVar[str] = "Own grid"
    source: ClassVar[str] = "proposed after llama.cpp's pull request 24603"
    needs: ClassVar[frozenset[Statistic]] = frozenset()

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if the format's scales are not steps, or the shape does not suit."""
        fmt.check(shape)
        symmetric = isinstance(fmt, IntegerFormat) and fmt.symmetric
        if not symmetric and fmt.name not in BLOCK_TYPES:
            raise ValueError(
                f"{fmt.name} cannot be given a grid: take {', '.join(BLOCK_TYPES)}, or symmetric "
                "integers such as INT4_G32."
            )

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Store weights (n_rows, n_cols); a `ValueError` says why if the format has no room."""
        weights = as_float32(self.title, weights)
        self.check(weights.shape, fmt)
        if not np.isfinite(weights).all():
            refuse_non_finite(self.title, weights)
        grid = find_grid(weights)
        if grid is None:
            raise ValueError(
                "These weights are not on a grid: round them to nearest (rtn), or by another "
                "method."
            )
        packed = packed_on(grid, fmt)
        if packed is None:
            best = type_for(grid)
            where = f": take {best}" if best else ""
            raise ValueError(
                f"{fmt.name} has no room for this grid of codes {grid.lowest} to {grid.highest} "
                f"in blocks of {grid.block_length}{where}."
            )
        restored = fmt.dequantize(packed)
        return Chosen(
            format=fmt,
            packed=packed,
            restored=restored,
            stored_bytes=fmt.stored_bytes(weights.shape),
            note=_note(grid, float((rounded_to(restored, grid.stored) == weights).mean())),
        )


def _note(grid: FoundGrid, exact: float) -> str:
    share = "all" if exact == 1 else f"{exact:.3%}"
    return (
        f"A grid of {grid.n_points} points in blocks of {grid.block_length} was found; {share} "
        f"weights are as in the file, to the last bit of {grid.stored}."
    )


def type_for(grid: FoundGrid) -> str | None:
    """Name the smallest type that holds all weights of a grid, to the last bit as stored."""
    given = rounded_to(grid.restored, grid.stored)
    fits = []
    for name in (*BLOCK_TYPES, *_integer_types(grid)):
        fmt = get_format(name)
        packed = packed_on(grid, fmt)
        if packed is None:
            continue
        if np.array_equal(rounded_to(fmt.dequantize(packed), grid.stored), given):
            fits.append((fmt.stored_bytes(grid.codes.shape), name))
    return min(fits, key=lambda fit: fit[0])[1] if fits else None


def _integer_types(grid: FoundGrid) -> list[str]:
    bits = int(max(grid.highest, -grid.lowest)).bit_length() + 1
    if bits > 8:
        return []
    span = f"G{grid.block_length}"
    if grid.block_length == grid.codes.shape[1]:
        span = "TENSOR" if grid.whole_tensor else "ROW"
    return [f"INT{max(bits, 2)}_{span}"]


def packed_on(grid: FoundGrid, fmt: Format) -> Any | None:
    """Pack codes and steps of a grid in a format; None if it has no room for them."""
    n_cols = grid.codes.shape[1]
    length = n_cols if fmt.whole_tensor else fmt.block_length(n_cols)
    if (
        n_cols % length
        or grid.block_length % length
        or (fmt.whole_tensor and not grid.whole_tensor)
    ):
        return None
    steps = np.repeat(grid.steps, grid.block_length // length, axis=1)
    if isinstance(fmt, IntegerFormat):
        return _integers(grid, fmt, steps)
    assert isinstance(fmt, BlockFormat)  # by `OwnGrid.check`
    low, high = BLOCK_TYPES[fmt.name]
    if grid.lowest < low or grid.highest > high:
        return None
    if fmt.name == "TQ2_0":
        return fmt.quantize(grid.restored)  # its scale is the largest weight, which is the step
    codes = grid.codes.reshape(*steps.shape, length)
    scales = steps.astype("<f2")[:, :, None].view(np.uint8)
    payload = _nibbles(codes) if fmt.name == "Q4_0" else codes.astype(np.int8).view(np.uint8)
    return np.concatenate([scales, payload], axis=2).reshape(len(codes), -1)


def _nibbles(codes: NDArray[np.int16]) -> Packed:
    """Two codes a byte, as Q4_0 has them: weight j low, weight j + 16 high."""
    offset = (codes + 8).astype(np.uint8)
    half = offset.shape[2] // 2
    both: Packed = offset[:, :, :half] | offset[:, :, half:] << np.uint8(4)
    return both


def _integers(grid: FoundGrid, fmt: IntegerFormat, steps: Weights) -> IntegerPacked | None:
    """Pack integers: steps are positive, and there are as many codes on either side."""
    most = 2 ** (fmt.code_bits - 1) - 1
    if max(grid.highest, -grid.lowest) > most:
        return None
    signs = np.repeat(np.where(grid.steps < 0, -1, 1), grid.block_length, axis=1)
    scales = np.abs(steps).astype(np.float16)
    return IntegerPacked(
        codes=(grid.codes * signs).astype(np.int8),
        scales=scales[:1] if fmt.whole_tensor else scales,
        zero_points=None,
    )
