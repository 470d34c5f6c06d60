"""What AutoRound trains of one matrix: how each weight is rounded, and how far each group reaches.

    restored = s * (clip(round(w / s + v) + z) - z)

v, one number for each weight, is 0 at first and ends within half a step; low and high, two numbers
for each group within 0 and 1, shorten its range. With least and greatest weight taken to include 0:

    asymmetric  s = (high * greatest - low * least) / (2**b - 1),  z = round(-low * least / s)
    symmetric   s = max(high * greatest, -low * least) / (2**(b-1) - 1),  z = 0,  no code -2**(b-1)
    full range  s = the same / 2**(b-1), signed so that the larger side gets code -2**(b-1)

Scales are float16. Full range is what auto-round calls symmetric; what the lab calls so is the
format INT4_G128. With v = 0 and low = high = 1 the first two are rounding to nearest.

Rounding has no slope, so slopes go straight through it, as through a line. Only their signs count.

Source: Cheng et al., SignRound, 2023; auto_round/data_type/int.py, quant_tensor_sym and _asym.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quantcore.format import Weights
from quantcore.formats import get_format
from quantcore.formats.integers.integer import LARGEST_HALF, IntegerFormat, IntegerPacked
from quantcore.formats.shared.spans import groups_per_thread
from quantcore.pool import over_rows

PART = 1 << 14  # weights that are worked on at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tuned:
    """What is trained; arrays are never changed, but replaced."""

    shifts: Weights  # v, (n_groups, group_length)
    low: Weights  # (n_groups, 1)
    high: Weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rounded:
    """A matrix rounded with some `Tuned`, and what slopes need of it."""

    restored: Weights  # (n_groups, group_length)
    codes: Weights  # before z is taken off
    scales: Weights  # (n_groups, 1)
    zeros: Weights
    inside: np.ndarray  # whether the code was not cut off


class TunedRounding:
    """The rounding of weights (n_rows, n_cols) in an integer format, by row or by group.

    Parameters
    ----------
    weights, fmt
        Finite weights that `fmt` can store.
    full_range
        Use the code of a symmetric format that the lab's own leaves out. It is stored with a zero
        point, which then is the same for all groups.
    """

    def __init__(self, weights: Weights, fmt: IntegerFormat, *, full_range: bool = False) -> None:
        self._shape = weights.shape
        self._groups = weights.reshape(-1, fmt.block_length(weights.shape[1]))
        self._least = np.minimum(self._groups.min(axis=1, keepdims=True), 0)
        self._greatest = np.maximum(self._groups.max(axis=1, keepdims=True), 0)
        self._full = full_range and fmt.symmetric
        self.format = fmt if not self._full else _with_zero_point(fmt)
        half = 2 ** (fmt.code_bits - 1)
        self._bounds = (-half, half - 1) if self._full else (1 - half, half - 1)
        if not fmt.symmetric:
            self._bounds = (0, 2 * half - 1)
        self._steps = np.float32(half if self._full else self._bounds[1])

    @property
    def start(self) -> Tuned:
        """Nothing trained: rounding to nearest."""
        ones = np.ones_like(self._least)
        return Tuned(shifts=np.zeros_like(self._groups), low=ones, high=ones)

    def rounded(self, tuned: Tuned) -> Rounded:
        """Round with what was trained so far."""
        scales, zeros = self._scales(tuned)
        safe = _never_zero(scales)
        codes, restored = np.empty_like(self._groups), np.empty_like(self._groups)
        inside = np.empty(self._groups.shape, bool)

        def work(part: slice) -> None:
            here = codes[part]
            np.divide(self._groups[part], safe[part], out=here)
            here += tuned.shifts[part]
            np.rint(here, out=here)
            here += zeros[part]
            np.clip(here, *self._bounds, out=restored[part])
            np.equal(here, restored[part], out=inside[part])
            here[:] = restored[part]
            restored[part] -= zeros[part]
            restored[part] *= scales[part]

        self._in_parts(work)
        return Rounded(restored=restored, codes=codes, scales=scales, zeros=zeros, inside=inside)

    def weights_of(self, rounded: Rounded) -> Weights:
        """Weights as a model uses them, (n_rows, n_cols)."""
        return rounded.restored.reshape(self._shape)

    def slopes(self, tuned: Tuned, rounded: Rounded, slope: Weights) -> Tuned:
        """Slopes by all that is trained, from that by the restored weights (n_rows, n_cols)."""
        slope = slope.reshape(self._groups.shape)
        scales, zeros, safe = rounded.scales, rounded.zeros, _never_zero(rounded.scales)
        by_shifts = np.empty_like(self._groups)
        by_scale, cut_off = np.empty_like(scales), np.empty_like(scales)

        def work(part: slice) -> None:
            through = slope[part] * rounded.inside[part]
            cut_off[part] = (slope[part] - through).sum(axis=1, keepdims=True)
            np.multiply(through, scales[part], out=by_shifts[part])
            through *= self._groups[part] / safe[part]
            of_codes = slope[part] * (rounded.codes[part] - zeros[part])
            by_scale[part] = (of_codes - through).sum(axis=1, keepdims=True)

        self._in_parts(work)
        if self._bounds[0] == 0:  # where codes are cut off, the zero point alone moves them
            cut_off *= self._least
            by_scale -= cut_off * tuned.low / safe
            by_low = cut_off - by_scale * self._least / self._steps
            by_high = by_scale * self._greatest / self._steps
        else:
            sign = np.sign(scales) / self._steps
            above = self._greatest * tuned.high >= -self._least * tuned.low
            by_low = np.where(above, 0, -by_scale * self._least * sign)
            by_high = np.where(above, by_scale * self._greatest * sign, 0)
        return Tuned(shifts=by_shifts, low=by_low, high=by_high)

    def stored(self, tuned: Tuned, rounded: Rounded) -> IntegerPacked:
        """Pack the codes, as `format` restores them."""
        shape = (self._shape[0], -1)
        scales = rounded.scales.astype(np.float16).reshape(shape)
        if self.format.symmetric:
            codes = rounded.codes.astype(np.int8)
            return IntegerPacked(codes=codes.reshape(self._shape), scales=scales, zero_points=None)
        zero = -self._bounds[0] if self._full else 0
        return IntegerPacked(
            codes=(rounded.codes + zero).astype(np.uint8).reshape(self._shape),
            scales=scales,
            zero_points=(rounded.zeros + zero).astype(np.uint8).reshape(shape),
        )

    def _in_parts(self, work: Callable[[slice], None]) -> None:
        """Work on a few groups at a time, so that they stay in a core's cache."""
        n_groups, length = self._groups.shape
        step = -(-PART // length)

        def several(start: int, stop: int) -> None:
            for first in range(start, stop, step):
                work(slice(first, min(first + step, stop)))

        over_rows(several, n_groups, max(step, groups_per_thread(length) // 4))

    def _scales(self, tuned: Tuned) -> tuple[Weights, Weights]:
        below, above = -self._least * tuned.low, self._greatest * tuned.high
        if self._bounds[0] == 0:
            scales = _half((above + below) / self._steps)
            steps = below / _never_zero(scales)
            return scales, np.clip(np.rint(steps), 0, self._steps)
        scales = _half(np.maximum(above, below) / self._steps)
        if self._full:
            scales = np.where(above >= below, -scales, scales)
        return scales, np.zeros_like(scales)


def _never_zero(scales: Weights) -> Weights:
    safe: Weights = np.where(scales == 0, np.float32(np.inf), scales)
    return safe


def _half(scales: Weights) -> Weights:
    rounded: Weights = np.minimum(scales, LARGEST_HALF).astype(np.float16).astype(np.float32)
    return rounded


def _with_zero_point(fmt: IntegerFormat) -> IntegerFormat:
    found = get_format(f"{fmt.name}_ASYM")
    assert isinstance(found, IntegerFormat)
    return found
