"""What a codebook of vectors is: its points, and the way to the nearest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Packed, Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Codebook:
    """Points of eight dimensions, each with a code of one or two bytes."""

    name: str
    code_bytes: int
    points: Callable[[], Weights]  # (2**(8 * code_bytes), 8)
    nearest: Callable[[Weights, NDArray[np.uint16]], None]  # vectors (n, 8), codes (n,) to fill

    def packed(self, codes: NDArray[np.uint16]) -> Packed:
        """Bytes of codes, the lowest first: (n,) -> (n, code_bytes)."""
        return codes.astype("<u2").view(np.uint8).reshape(-1, 2)[:, : self.code_bytes]

    def restored(self, packed: Packed) -> Weights:
        """Points of packed codes: (n, code_bytes) -> (n, 8)."""
        powers: NDArray[np.int64] = 256 ** np.arange(self.code_bytes)
        return self.points()[packed @ powers]
