"""Where weights land on the grid of values that their block can hold, and what they miss it by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.by_hand import EvenGrid
from quantcore.format import OpenedBlock, Weights

ROUNDED_STEPS = 0.002  # by so much a weight may seem to miss more: its numbers are float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Weights and what becomes of them on a grid; all arrays but `grid` are (n_weights,)."""

    values: Weights
    codes: NDArray[np.int32]  # places on the grid
    restored: Weights
    grid: Weights  # (n_values,)
    first_code: int = 0  # the code of the first place
    first_weight: int = 0  # the number of the first weight within its block
    even: bool = True  # whether neighbours on the grid are equally far apart

    @property
    def error(self) -> Weights:
        """What each weight moves by."""
        return self.restored - self.values

    @property
    def rms_error(self) -> float:
        """Root mean square of what the weights move by."""
        return rms(self.error)

    @property
    def worst(self) -> int:
        """The weight that moves most, counted from the first one here."""
        return int(np.abs(self.error).argmax())

    @property
    def step(self) -> float:
        """How far neighbours on the grid are apart; 0 where that differs, or there is one value."""
        return float(abs(self.grid[1] - self.grid[0])) if self.even and self.grid.size > 1 else 0.0

    @property
    def error_steps(self) -> NDArray[np.floating]:
        """Size of what each weight moves by, in steps of the grid; all 0 where there is no step."""
        return np.abs(self.error) / self.step if self.step else np.zeros(self.values.size)

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Weights that lie more than half a step outside the grid: they are cut off."""
        low, high = float(self.grid.min()), float(self.grid.max())
        reach = (0.5 + ROUNDED_STEPS) * self.step
        return (self.values < low - reach) | (self.values > high + reach)

    @property
    def to_nearest(self) -> bool:
        """Whether each weight lands on the value nearest to it: codes are not always chosen so."""
        gaps = np.abs(self.grid[None] - self.values[:, None].astype(np.float64)).min(axis=1)
        widest = self.step or float(np.ptp(self.grid)) or 1.0
        return bool((np.abs(self.error) <= gaps + ROUNDED_STEPS * widest).all())


def as_stored(weights: Weights, opened: OpenedBlock, part: int, *, even: bool = True) -> Landing:
    """Land the weights of a block's sub-block where the format stores them."""
    where, grid = opened.parts[part].weights, opened.parts[part].grid
    return Landing(
        values=weights[where],
        codes=opened.codes[where],
        restored=opened.restored[where],
        grid=grid,
        first_code=opened.first_code,
        first_weight=where.start,
        even=even,
    )


def on_grid(grid: EvenGrid, values: Weights, first_weight: int = 0) -> Landing:
    """Land weights on the nearest values of a grid."""
    codes, stored = grid.nearest(values), grid.values.astype(np.float32)
    return Landing(
        values=values,
        codes=codes,
        restored=stored[codes],
        grid=stored,
        first_code=-round(grid.zero_point),
        first_weight=first_weight,
    )


def rms(numbers: NDArray) -> float:
    """Root mean square.

    >>> rms(np.array([3.0, -3.0]))
    3.0
    """
    return float(np.sqrt(np.mean(np.square(numbers, dtype=np.float64))))
