"""What is rounded at once, and what does it: the contract between GPTQ and the formats it fills."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights

MIN_ROWS = 64  # that are worth a thread


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Columns that are rounded now, in the order in which they are."""

    places: NDArray[np.intp]  # (k,) of these columns among those whose scales were chosen
    target: Weights  # (n_rows, k), what their weights should be
    aimed: Weights  # (n_rows, k), the target with errors so far; gets errors from inside too
    feedback: Weights  # (k, k), see `quantcore.methods.columns.factor`
    root: Weights  # (k, k), the same
    pushes: Weights | None  # (k, k): what each aim adds to later targets, see `gptaq`


class Filling(Protocol):
    """Packed weights with scales, whose codes are chosen one after the other."""

    def round(self, work: Work) -> Weights:
        """Choose codes for some columns; returns what they are restored as, (n_rows, k)."""

    def packed(self) -> Any:
        """Give the weights as packed by the format, once all columns have codes."""
