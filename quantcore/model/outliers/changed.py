"""Tensors of a model with outlier channels, made when they are read of those without."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quantcore.io.imatrix import Imatrix
from quantcore.model.config import LlamaConfig
from quantcore.model.names import expected_shapes
from quantcore.model.outliers.changes import Change, Scaled
from quantcore.model.outliers.pairs import Pairs, draw_into, norms_of
from quantcore.model.outliers.settings import OutlierSettings

FLOATS_THAT_SCALE = ("F32", "BF16")  # wide enough in the exponent for every power of two


class Stored(Protocol):
    """What `quantcore.model.source.Stored` is."""

    @property
    def path(self) -> Path:
        """As there."""

    @property
    def dtype(self) -> str:
        """As there."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As there."""

    @property
    def n_bytes(self) -> int:
        """As there."""

    def read(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """As there."""


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """A tensor with changes, one after the other."""

    stored: Stored
    changes: Sequence[Change]

    @property
    def path(self) -> Path:
        """The file that holds what it is made of."""
        return self.stored.path

    @property
    def dtype(self) -> str:
        """What holds its numbers without rounding: what held those before, or F32."""
        scaled = [change for change in self.changes if isinstance(change, Scaled) and change.exact]
        kept = self.stored.dtype in FLOATS_THAT_SCALE and len(scaled) == len(self.changes)
        return self.stored.dtype if kept else "F32"

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_rows, n_cols), or (n,)."""
        return self.stored.shape

    @property
    def n_bytes(self) -> int:
        """Bytes in what holds its numbers."""
        same = self.dtype == self.stored.dtype
        return self.stored.n_bytes if same else 4 * math.prod(self.shape)

    def read(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """All values, or some rows, read-only."""
        by_row = all(isinstance(change, Scaled) for change in self.changes)
        at_once = rows if by_row else slice(None)
        values = self.stored.read(at_once)
        for change in self.changes:
            values = change(values, at_once)
        values = values if by_row else values[rows]
        values.flags.writeable = False
        return values

    @property
    def column_factors(self) -> NDArray[np.float64] | None:
        """What columns are multiplied by, (n_cols,) or one number; None where they are mixed."""
        product = np.ones(())
        for change in (each for each in self.changes if each.axis == -1):
            if not isinstance(change, Scaled):
                return None
            product = product * change.factors
        return product


def changed(
    stored: Mapping[str, Stored],
    config: LlamaConfig,
    settings: OutlierSettings,
    direction: NDArray[np.float64] | None = None,
) -> tuple[LlamaConfig, dict[str, Changed]]:
    """Give a model outlier channels: its config and tensors, in the model's order.

    Raises
    ------
    ValueError
        If settings ask for more channels than there are, or the direction of states that are to be
        rotated is missing or of another size.
    """
    if settings.rotated:
        if direction is None or direction.shape != (config.hidden_size,):
            raise ValueError(
                f"Rotated states need their main direction, {config.hidden_size:,} numbers: "
                "measure it by principal_direction."
            )
        stored = {"output.weight": stored["token_embd.weight"], **stored}
        config = replace(config, tied_embedding=False)
    pairs = Pairs(config)
    if direction is not None and settings.rotated:
        gains = {f"{name}.weight": stored[f"{name}.weight"].read() for name in norms_of(config)}
        pairs.reflected(direction, gains)
    draw_into(pairs, settings)
    changes = pairs.changes
    return config, {
        name: Changed(stored[name], tuple(changes.get(name, ())))
        for name in expected_shapes(config)
    }


def scaled_imatrix(imatrix: Imatrix, tensors: Mapping[str, Changed]) -> Imatrix | None:
    """Make the importance matrix of a changed model of the one before; None where inputs are mixed.

    Columns that are divided by f read inputs that are multiplied by it, and sums of squares by its
    square: to the last bit what measuring gives, f being a power of two.
    """
    sums = {}
    for name, before in imatrix.sums.items():
        factors = tensors[name].column_factors if name in tensors else None
        if factors is None:
            return None
        sums[name] = (before * (1 / factors**2)).astype(np.float32)
    return replace(imatrix, sums=sums)
