"""Rounding to nearest: every weight goes to the code nearest to it, whatever it is multiplied by.

What all other methods are measured against. With and without zero points, by tensor, row or group:
these are formats (``INT4_G128_ASYM``), not settings. A setting is what the scales are chosen by:

    plain       the format's own rule: for integers the largest weight, of ggml its search
    searched    integers: the share of the range with the least squared error
    weighted    errors of a column count as much as its mean squared input, as an importance matrix
                says: in ggml's searches, and in that of integers
"""

from dataclasses import dataclass

from quantcore.format import Format, Weights
from quantcore.formats.integers.integer import IntegerFormat
from quantcore.methods.method import Chosen, LayerInputs, Statistic
from quantcore.methods.scale_search import quantize_narrowed


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundToNearest:
    """Plain rounding; see the top of this file for the settings.

    Examples
    --------
    >>> from quantcore.formats import get_format
    >>> import numpy as np
    >>> nothing = LayerInputs(n_tokens=1, mean_square=np.ones(4, np.float32),
    ...     mean_abs=np.ones(4, np.float32), largest=np.ones(4, np.float32))
    >>> weights = np.float32([[0.875, -0.3125, 0.375, 0]])
    >>> RoundToNearest().choose(weights, get_format("INT4_ROW"), nothing).restored.tolist()
    [[0.875, -0.25, 0.375, 0.0]]
    """

    searched: bool = False
    weighted: bool = False
    name: str = "rtn"
    title: str = "Round to nearest"
    needs: frozenset[Statistic] = frozenset()
    source: str = "the format's own definition"

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if the format cannot store weights of this shape."""
        fmt.check(shape)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Round weights (n_rows, n_cols); formats that demand an importance matrix get one."""
        self.check(weights.shape, fmt)
        importance = inputs.mean_square if self.weighted or fmt.needs_importance else None
        packed = scaled(fmt, weights, importance, searched=self.searched)
        return Chosen(
            format=fmt,
            packed=packed,
            restored=fmt.dequantize(packed),
            stored_bytes=fmt.stored_bytes(weights.shape),
        )


def scaled(fmt: Format, weights: Weights, importance: Weights | None, *, searched: bool):
    """Quantize with scales by the format's own rule, or by a search where it is of integers."""
    if searched and isinstance(fmt, IntegerFormat):
        return quantize_narrowed(fmt, weights, importance)
    return fmt.quantize(weights, importance)
