"""HQQ, half-quadratic quantization: searches zero points, and looks at no input.

It lowers the sum of |error|**p with p = 0.7, which forgives a few large errors for many small ones.
The error is split in two: e, which may be large where it must, and what codes and zero point leave
of the rest. In turn

    code = round(w / scale + zero)              clipped to what b bits hold
    e    = shrink(w - restored)                 sign(x) * max(|x| - |x|**(p - 1) / beta, 0)
    zero = mean of code - (w - e) / scale       over the group

for at most 20 rounds, until the mean |w - restored| of the whole tensor no longer falls; scales
never change. As in hqq's default, `optimize_weights_proximal_legacy`, in float32 as on its CPU:
beta stays 10 (the paper lets it grow by kappa = 1.01 each round), and the zero point of the round
that was worse is the one that is kept.

Source: Badri and Shaji, Half-Quadratic Quantization of Large Machine Learning Models, 2023.
"""

from dataclasses import dataclass

import numpy as np

from quantcore.format import WEIGHTS_PER_THREAD, Format, Weights
from quantcore.formats import get_format
from quantcore.formats.integers.float_zero import FloatZeroFormat
from quantcore.formats.integers.integer import IntegerFormat
from quantcore.methods.method import Chosen, LayerInputs, Statistic
from quantcore.pool import over_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class HQQ:
    """HQQ with hqq's defaults; `round_zero` as hqq sets it, at four bits only."""

    n_rounds: int = 20
    norm: float = 0.7  # the exponent p
    beta: float = 10.0
    name: str = "hqq"
    title: str = "HQQ"
    source: str = "Badri and Shaji, 2023; hqq/core/optimize.py"
    needs: frozenset[Statistic] = frozenset()

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored as HQQ stores them."""
        float_zero(fmt).check(shape)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs | None = None) -> Chosen:
        """Choose codes and zero points for weights (n_rows, n_cols); inputs change nothing.

        Raises
        ------
        ValueError
            If the format is not one of integers in groups, or weights do not suit it.
        """
        stored = float_zero(fmt)
        groups = stored.groups(weights)
        inverse, zero = stored.ranges(groups)
        if stored.code_bits == 4:
            zero = np.rint(zero)
        zero = self._searched(stored, groups, inverse, zero)
        packed = stored.pack(stored.codes(groups, inverse, zero), inverse, zero)
        return Chosen(
            format=stored,
            packed=packed,
            restored=stored.dequantize(packed),
            stored_bytes=stored.stored_bytes(np.shape(weights)),
            note=f"Zero points are float16, so it takes {8 * self._extra(stored, fmt):.3g} bits a "
            f"weight more than {fmt.name}."
            if stored != fmt
            else "",
        )

    def _searched(
        self, fmt: FloatZeroFormat, groups: Weights, inverse: Weights, zero: Weights
    ) -> Weights:
        best, zero = np.float32(np.inf), zero.copy()
        least_rows = -(-WEIGHTS_PER_THREAD // groups[0].size)
        errors = np.empty(len(groups))

        def work(start: int, stop: int) -> None:
            part = slice(start, stop)
            zero[part], errors[part] = self._round(fmt, groups[part], inverse[part], zero[part])

        for _ in range(self.n_rounds):
            over_rows(work, len(groups), least_rows)
            mean = np.float32(errors.mean())
            if mean >= best:
                break
            best = mean
        return zero

    def _round(
        self, fmt: FloatZeroFormat, groups: Weights, inverse: Weights, zero: Weights
    ) -> tuple[Weights, Weights]:
        """Return new zero points, and the mean absolute error of each row with the old ones."""
        codes = fmt.codes(groups, inverse, zero)
        missed = groups - (codes - zero) / inverse
        size = np.abs(missed)
        with np.errstate(divide="ignore"):  # nothing missed: infinity, and so nothing is left of it
            less = size ** np.float32(self.norm - 1)
        less *= np.float32(1 / self.beta)
        kept = np.maximum(size - less, 0)
        kept *= np.sign(missed)
        codes -= (groups - kept) * inverse
        return codes.mean(axis=-1, keepdims=True), size.mean(axis=(1, 2))

    @staticmethod
    def _extra(stored: FloatZeroFormat, fmt: Format) -> float:
        row = (1, 8 * stored.group_size)
        return (stored.stored_bytes(row) - fmt.stored_bytes(row)) / row[1]


def float_zero(fmt: Format) -> FloatZeroFormat:
    """Find the format in which HQQ stores what was asked for, of as many bits and as large groups.

    Raises
    ------
    ValueError
        For any other format.

    Examples
    --------
    >>> float_zero(get_format("INT3_G64_ASYM")).name, float_zero(get_format("INT4_G32")).name
    ('INT3_G64_HQQ', 'INT4_G32_HQQ')
    """
    if isinstance(fmt, FloatZeroFormat):
        return fmt
    if isinstance(fmt, IntegerFormat) and fmt.group_size:
        found = get_format(f"INT{fmt.code_bits}_G{fmt.group_size}_HQQ")
        assert isinstance(found, FloatZeroFormat)
        return found
    raise ValueError(
        f"HQQ searches a zero point for each group of integers, and {fmt.name} has no such groups; "
        "take a type such as INT4_G64 or INT3_G64_ASYM."
    )
