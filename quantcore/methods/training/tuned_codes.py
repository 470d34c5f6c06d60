"""What AutoRound trains of a matrix in a block format, or of small floats: which code, scales stay.

    restored = grid[round(p + v)] * scale - minimum

p is a weight's place on the format's grid of values, a number between two codes; v, one for each
weight, is 0 at first and ends within half a step. Scales and minima are those that the format
itself chooses, and where nothing was trained it is stored as the format stores it.

Codebooks and ternary formats choose several codes at once and are left out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Format, Weights
from quantcore.formats.codebook.blocks import CodebookFormat
from quantcore.methods.columns.grids import grid_of
from quantcore.methods.training.tuned_rounding import Tuned


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoundedCodes:
    """A matrix rounded with some `Tuned`."""

    numbers: NDArray[np.intp]  # places on the grid, (n_rows, n_cols)
    restored: Weights


class TunedCodes:
    """The codes of weights (n_rows, n_cols) in a format with one code for each weight."""

    def __init__(self, weights: Weights, fmt: Format) -> None:
        self.format, self._start, self._grid = fmt, fmt.quantize(weights), grid_of(fmt)
        factors, values = fmt.scale_factors(self._start), self._grid.values
        self._scales = _by_weight(factors.scales, weights.shape)
        none = np.zeros((1, 1), np.float32)
        minimums = none if factors.minimums is None else factors.minimums
        self._minimums = _by_weight(minimums, weights.shape)
        safe = np.where(self._scales == 0, np.float32(np.inf), self._scales)
        at = (weights + self._minimums) / safe
        self._places = np.interp(at, values, np.arange(len(values))).astype(np.float32)
        below = np.minimum(self._places.astype(np.intp), len(values) - 2)
        self._steps = (values[below + 1] - values[below]) * self._scales

    @property
    def start(self) -> Tuned:
        """Nothing trained; there are no ranges to train."""
        none = np.zeros((0, 1), np.float32)
        return Tuned(shifts=np.zeros_like(self._places), low=none, high=none)

    def rounded(self, tuned: Tuned) -> RoundedCodes:
        """Round with what was trained so far."""
        numbers = np.rint(self._places + tuned.shifts).astype(np.intp)
        np.clip(numbers, 0, len(self._grid.values) - 1, out=numbers)
        restored = self._grid.values[numbers] * self._scales - self._minimums
        return RoundedCodes(numbers=numbers, restored=restored)

    def weights_of(self, rounded: RoundedCodes) -> Weights:
        """Weights as a model uses them, (n_rows, n_cols)."""
        return rounded.restored

    def slopes(self, tuned: Tuned, rounded: RoundedCodes, slope: Weights) -> Tuned:
        """Slopes by the shifts, from that by the restored weights (n_rows, n_cols)."""
        return Tuned(shifts=slope * self._steps, low=tuned.low, high=tuned.high)

    def stored(self, tuned: Tuned, rounded: RoundedCodes) -> Any:
        """Pack the codes beside the scales that the format chose."""
        if not tuned.shifts.any():
            return self._start
        return self._grid.put(self._start, self._grid.codes[rounded.numbers])


def check_trainable(fmt: Format) -> None:
    """Raise a `ValueError` if there is no code of its own for each weight."""
    if isinstance(fmt, CodebookFormat) or fmt.family == "ternary":
        raise ValueError(
            f"{fmt.name} has no code of its own for each weight that AutoRound could train; take a "
            "type such as INT4_G128, Q4_K or Q2_K."
        )
    grid_of(fmt)


def _by_weight(numbers: Weights, shape: tuple[int, ...]) -> Weights:
    """Repeat what a tensor, a row or a run of columns shares, (n_rows, n_cols)."""
    by_row = np.broadcast_to(numbers, (shape[0], numbers.shape[1]))
    return by_row.repeat(shape[1] // numbers.shape[1], axis=1)
