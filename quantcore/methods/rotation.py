"""Rotation: weights turned on both sides by a Hadamard transform, then rounded to nearest.

It minimizes nothing: it spreads outliers over all places, where no block scale has to stretch for
them. As in QuaRot (Ashkboos et al., 2024), and the first step of QuIP#. With a `run` of columns it
is the block Hadamard of MR-GPTQ (Egiazarian et al., 2025): only blocks are mixed, without signs,
and inputs are turned block by block.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from quantcore.format import Format, Weights
from quantcore.methods.method import Chosen, LayerInputs, Statistic
from quantcore.methods.rotations.hadamard import RandomHadamard, mixed_length
from quantcore.methods.rotations.incoherence import Incoherence


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Rotate, round to nearest, rotate back."""

    seed: int = 0  # of the signs
    run: int | None = None  # columns that are mixed; None for all of them, and all rows

    name: ClassVar[str] = "rotation"
    title: ClassVar[str] = "Rotation"
    source: ClassVar[str] = "Ashkboos et al., QuaRot: Outlier-Free 4-Bit Inference, 2024"
    needs: ClassVar[frozenset[Statistic]] = frozenset()

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if the format cannot store the shape, or runs do not divide it."""
        fmt.check(shape)
        self._rotation(shape)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Choose codes for weights (n_rows, n_cols).

        Signs are stored as a bit each. Formats that need an importance matrix are given the same
        number for all columns: what each of them counts on average once they are mixed.
        """
        self.check(weights.shape, fmt)
        rotation = self._rotation(weights.shape)
        importance = None
        if fmt.needs_importance:
            importance = np.full(weights.shape[1], inputs.mean_square.mean(), np.float32)
        packed = fmt.quantize(rotation.rotate(weights), importance)
        signs = rotation.n_signs if self.run is None else 0
        return Chosen(
            format=fmt,
            packed=packed,
            restored=rotation.rotate_back(fmt.dequantize(packed)),
            stored_bytes=fmt.stored_bytes(weights.shape) + -(-signs // 8),
            rotation=rotation,
            note=note_on_runs(weights.shape) if self.run is None else "",
        )

    def _rotation(self, shape: tuple[int, ...]) -> Incoherence:
        if self.run is None:
            return Incoherence.drawn(shape, self.seed)
        return Incoherence(columns=RandomHadamard.drawn(shape[1], None, self.run), rows=None)


def note_on_runs(shape: tuple[int, ...]) -> str:
    """Say where a side has a length for which no Hadamard matrix is known; "" if none has.

    >>> note_on_runs((256, 188))
    'No Hadamard matrix of 188 is known to the lab: runs of 4 are mixed apart.'
    """
    for n in shape:
        if (length := mixed_length(n)) < n:
            return (
                f"No Hadamard matrix of {n} is known to the lab: runs of {length} are mixed apart."
            )
    return ""
