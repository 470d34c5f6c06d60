"""What every layout of packed integers must say, and what they share.

    weight = scale * (code - zero point)        codes from 0 to 2**b - 1

That is how all of them count. The lab's symmetric integers go from ``-(2**(b-1) - 1)`` to
``2**(b-1) - 1`` without a zero point; here ``2**(b-1)`` is added to codes, and is the zero point.
Code 0 is never used there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked


@dataclass(frozen=True, slots=True)
class Part:
    """One of the arrays that stand for a matrix."""

    suffix: str  # behind the module's name: "qweight"
    dtype: str  # as safetensors spells it
    shape: tuple[int, ...]
    make: Callable[[IntegerPacked], NDArray]


class Layout(Protocol):
    """How a family of loaders stores a linear layer."""

    @property
    def name(self) -> str:
        """As commands and ``quant_method`` in config.json spell it."""

    @property
    def unit(self) -> tuple[int, int]:
        """What rows and columns of a matrix must be multiples of, so that they fill words."""

    def check(self, fmt: IntegerFormat) -> None:
        """Raise a `ValueError` if matrices in a format cannot be said."""

    def parts(self, fmt: IntegerFormat, shape: tuple[int, ...]) -> tuple[Part, ...]:
        """Arrays of a matrix (n_rows, n_cols)."""

    def config(self, fmt: IntegerFormat) -> dict[str, Any]:
        """``quantization_config`` of config.json."""


def unsigned(packed: IntegerPacked, fmt: IntegerFormat) -> NDArray[np.uint8]:
    """Codes (n_rows, n_cols), counted from 0."""
    if packed.zero_points is not None:
        return packed.codes.view(np.uint8)
    return (packed.codes.astype(np.int16) + middle(fmt)).astype(np.uint8)


def zero_points(packed: IntegerPacked, fmt: IntegerFormat) -> NDArray[np.uint8]:
    """Codes that stand for 0, shaped as the scales: (n_rows, n_groups)."""
    if packed.zero_points is not None:
        return packed.zero_points
    return np.full(packed.scales.shape, middle(fmt), np.uint8)


def middle(fmt: IntegerFormat) -> int:
    """Say which code is 0 where a format is symmetric."""
    return 2 ** (fmt.code_bits - 1)


def group_or_row(fmt: IntegerFormat) -> int:
    """Columns that share a scale as config.json says it: -1 for the whole row."""
    return fmt.group_size or -1


def refuse_uneven(layout: Layout, shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` if a matrix does not fill its words."""
    rows, cols = layout.unit
    if shape[0] % rows or shape[1] % cols:
        unit = f"rows in {rows}s" + (f" and columns in {cols}s" if cols > 1 else "")
        raise ValueError(
            f"The layout {layout.name} packs {unit}, which {shape[0]:,} x {shape[1]:,} is not: "
            "export it as compressed-tensors."
        )
