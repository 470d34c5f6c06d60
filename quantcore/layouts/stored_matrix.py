"""A quantized matrix in a safetensors file: its shape, what it is stored in, and rows of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights

WEIGHTS_AT_ONCE = 1 << 22  # decoded; 16 MiB as floats


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMatrix:
    """Where a quantized matrix lies, and how some of its rows are decoded."""

    path: Path
    dtype: str
    """The lab's name of the format, such as INT4_G128, or one like it: FP8_E4M3_B128X128."""
    layout: str  # whose arrays: "GPTQ", "compressed-tensors", "FP8", ...
    shape: tuple[int, ...]  # (n_rows, n_cols)
    n_bytes: int  # of all its arrays
    rows: Callable[[slice], Weights]  # decodes some rows (first, last), all of them in memory
    packed: Callable[[], Any] = lambda: None
    """The whole matrix as the lab's format of this name packs it; None where there is none. Where a
    loader multiplies in another order, what that restores can differ in the last bit."""

    def read(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """All values, or some rows, read-only; some rows are decoded at a time."""
        first, last, _ = rows.indices(self.shape[0])
        values = np.empty((max(0, last - first), self.shape[1]), np.float32)
        step = max(1, WEIGHTS_AT_ONCE // self.shape[1])
        for start in range(first, last, step):
            part = slice(start, min(start + step, last))
            values[part.start - first : part.stop - first] = self.rows(part)
        values.flags.writeable = False
        return values
