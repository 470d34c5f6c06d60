"""What a storage format is, in terms that the whole package shares."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]
Packed = NDArray[np.uint8]
Family = Literal["plain", "offset", "K", "uneven", "ternary", "int", "float"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A named run of bytes inside a block."""

    name: str  # "scale", "minimum", "sub-scales", "high bits", "codes", ...
    kind: Literal["scale", "minimum", "extra", "codes"]
    where: slice  # bytes of the block
    says: str  # the value, ready to print


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The weights of a block that share one scale: a sub-block, or the whole block."""

    weights: slice
    scale: float  # restored = scale * stored_code - minimum
    minimum: float
    grid: NDArray[np.float32]  # every value that a weight here can take, in order of code
    scale_code: int | None = None  # the stored sub-scale, where a super-block holds one
    minimum_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedBlock:
    """One block taken apart. ``restored[i] == part.grid[codes[i]]`` for the part that holds i."""

    packed: Packed  # (block_bytes,)
    fields: tuple[Field, ...]
    parts: tuple[Part, ...]
    codes: NDArray[np.int32]  # (n_weights,), place in the grid, from 0
    first_code: int  # the stored code of grid[0]: -128 for Q8_0, 0 where codes are unsigned
    code_bytes: tuple[tuple[int, ...], ...]  # for each weight, the bytes that hold bits of its code
    restored: Weights  # (n_weights,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleFactors:
    """The scale factors of a packed tensor; ``restored = scale * code - minimum``."""

    scales: Weights  # (n_rows, n_sub_blocks), as decoding uses them
    minimums: Weights | None  # likewise, None where the format has none
    super_scales: Weights | None  # (n_rows, n_blocks), the float16 that sub-scales multiply
    super_minimums: Weights | None
    scale_codes: NDArray[np.int16] | None  # (n_rows, n_sub_blocks), the sub-scales as stored
    minimum_codes: NDArray[np.int16] | None
    weights_per_scale: int
    overhead_bits: float  # bits a weight spent on scales and minima
