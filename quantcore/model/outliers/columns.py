"""What outlier channels do to a single matrix: a factor for each row, and one for each column.

A column that is multiplied by c reads an input that was divided by it, so what is known of the
inputs of the model before says all of those after: nothing has to run again.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantcore.model.config import LlamaConfig
from quantcore.model.names import layer_and_role
from quantcore.model.outliers.changes import Array, Scaled
from quantcore.model.outliers.pairs import Factors, Pairs, draw_into
from quantcore.model.outliers.settings import OutlierSettings

Place = Literal["norms", "values", "inner"]
_BEFORE: dict[str, Place] = {"attn_output": "values", "ffn_down": "inner"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatrixFactors:
    """Powers of two that a matrix (n_rows, n_cols) is multiplied by."""

    rows: Factors  # (n_rows,)
    columns: Factors  # (n_cols,)

    def on(self, weights: Array) -> Array:
        """Multiply weights; exactly, unless they leave the range of their type."""
        return (
            weights * self.rows[:, None].astype(weights.dtype) * self.columns.astype(weights.dtype)
        )

    def off(self, weights: Array) -> Array:
        """Take the factors off again."""
        inverse = MatrixFactors(rows=1 / self.rows, columns=1 / self.columns)
        return inverse.on(weights)


def place_before(tensor: str) -> Place:
    """Say which of `OutlierSettings` gives a matrix the factors of its columns.

    >>> place_before("blk.3.ffn_down.weight"), place_before("blk.0.attn_q.weight")
    ('inner', 'norms')
    """
    return _BEFORE.get(layer_and_role(tensor)[1], "norms")


def factors_of(
    config: LlamaConfig, settings: OutlierSettings, tensor: str, shape: tuple[int, ...]
) -> MatrixFactors:
    """Find what a matrix of this shape is multiplied by.

    Raises
    ------
    ValueError
        If settings rotate states, which mixes columns, or ask for more channels than there are.
    """
    if settings.rotated:
        raise ValueError("Rotated states mix columns; choose outliers that only scale them.")
    pairs = Pairs(config)
    draw_into(pairs, settings)
    rows, columns = np.ones(shape[0]), np.ones(shape[1])
    for change in pairs.changes.get(tensor, ()):
        assert isinstance(change, Scaled)  # all that is drawn
        if change.axis == 0:
            rows = rows * change.factors
        else:
            columns = columns * change.factors
    return MatrixFactors(rows=rows, columns=columns)
