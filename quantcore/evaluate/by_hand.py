"""Rounding to an even grid whose scale, zero point and bits a person chooses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Part

Floats = NDArray[np.float64]
AT_ONCE = 100_000  # errors that are held in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class EvenGrid:
    """Values ``scale * (place - zero_point)`` for places 0 to ``n_values - 1``."""

    scale: float
    zero_point: float  # may lie between two places, where no code means exactly 0
    n_values: int

    @property
    def values(self) -> Floats:
        """Every value of the grid, in order of place."""
        return self.scale * (np.arange(self.n_values, dtype=np.float64) - self.zero_point)

    def with_bits(self, bits: int) -> "EvenGrid":
        """Keep the range, with the number of values that so many bits give.

        Grids with a place of its own for the largest weight (Q4_0: 16 places, 0 on the ninth) keep
        zero in the upper middle; grids with an odd number of values (INT4: -7 to 7) stay odd.
        """
        odd = self.n_values % 2
        n_values = 2**bits - odd
        if not odd and self.zero_point == self.n_values / 2:
            scale = self.scale * self.n_values / n_values
            return EvenGrid(scale=scale, zero_point=n_values / 2, n_values=n_values)
        ratio = (n_values - 1) / (self.n_values - 1)
        return EvenGrid(
            scale=self.scale / ratio, zero_point=self.zero_point * ratio, n_values=n_values
        )

    def turned(self, scale_percent: float, zero_shift: float) -> "EvenGrid":
        """Change the scale to so many percent, and move the zero point by so many places."""
        return replace(
            self,
            scale=self.scale * scale_percent / 100,
            zero_point=self.zero_point + zero_shift,
        )

    def nearest(self, values: NDArray) -> NDArray[np.int32]:
        """Place of the nearest value of the grid; the ends take what lies beyond them.

        >>> EvenGrid(scale=16, zero_point=8, n_values=16).nearest(np.array([33.0, 500, -500]))
        array([10, 15,  0], dtype=int32)
        """
        if not self.scale:
            return np.zeros(len(values), np.int32)
        places = np.round(np.asarray(values, np.float64) / self.scale + self.zero_point)
        return np.clip(places, 0, self.n_values - 1).astype(np.int32)

    def rms_error(self, values: NDArray) -> float:
        """Root mean square of what the values miss the grid by."""
        return float(self.rms_errors(values, [100], [0])[0])

    def rms_errors(
        self, values: NDArray, percents: Sequence[float], shifts: Sequence[float]
    ) -> Floats:
        """Root mean square of what the values miss the grid by after each turn, (n_turns,).

        The turns are pairs of a percentage of the scale and a shift of the zero point, as `turned`
        takes them.
        """
        values = np.asarray(values, np.float64)
        scales = self.scale * np.asarray(percents, np.float64) / 100
        zeros = self.zero_point + np.asarray(shifts, np.float64)
        errors = np.empty(len(scales))
        if not self.scale:
            errors[:] = np.sqrt(np.mean(np.square(values)))
            return errors
        step = max(1, AT_ONCE // values.size)  # turns: a row of a matrix may be long
        for start in range(0, len(errors), step):
            scale, zero = (each[start : start + step, None] for each in (scales, zeros))
            places = np.clip(np.round(values / scale + zero), 0, self.n_values - 1)
            error = scale * (places - zero) - values
            errors[start : start + step] = np.sqrt(np.mean(np.square(error), axis=1))
        return errors


def grid_of(part: Part, first_code: int) -> EvenGrid:
    """Read the grid of an opened block's part as scale, zero point and number of values."""
    n_values = len(part.grid)
    scale = float(part.grid[-1] - part.grid[0]) / max(n_values - 1, 1)
    zero_point = -float(part.grid[0]) / scale if scale else 0.0
    if abs(zero_point + first_code) < 1e-3:  # codes without minimum: 0 is a code
        zero_point = float(-first_code)
    return EvenGrid(scale=scale, zero_point=zero_point, n_values=n_values)


def best_turn(
    values: NDArray, grid: EvenGrid, percents: Sequence[float], shifts: Sequence[float]
) -> tuple[float, float, float]:
    """Find the least error among all turns: its rms error, percent of the scale, shift of zero.

    Among equals, the turn nearest to 100 % and no shift wins.
    """
    turns = sorted(
        ((p, s) for p in percents for s in shifts),
        key=lambda turn: abs(turn[0] - 100) + abs(turn[1]),
    )
    errors = grid.rms_errors(values, *zip(*turns, strict=True))
    at = int(np.argmin(errors))
    return float(errors[at]), *turns[at]
