"""What a storage format is, in terms that the whole package shares."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]
Packed = NDArray[np.uint8]
Family = Literal["plain", "offset", "K", "uneven", "ternary", "int", "float"]

WEIGHTS_PER_THREAD = 1 << 17  # fewer are not worth handing to another thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A named run of bytes inside a block."""

    name: str  # "scale", "minimum", "sub-scales", "high bits", "codes", ...
    kind: Literal["scale", "minimum", "extra", "codes"]
    where: slice  # bytes of the block
    says: str  # the value, ready to print


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The weights of a block that share one scale: a sub-block, or the whole block.

    ``restored = scale * (first_code + codes) - minimum``, except on uneven grids, where each code
    has a value of its own that the scale multiplies. Where a format stores its codes with an
    offset (Q4_0, Q5_0, Q3_K, Q6_K), the offset is taken off first: Q4_0's nibble 0 is code -8, and
    its minimum is 0.
    """

    weights: slice
    scale: float
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
    first_code: int  # the code of grid[0]: -128 for Q8_0, -8 for Q4_0, 0 for Q4_1 and Q4_K
    code_bytes: tuple[tuple[int, ...], ...]  # for each weight, the bytes that hold bits of its code
    restored: Weights  # (n_weights,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleFactors:
    """The scale factors of a packed tensor; ``restored = scale * code - minimum`` as in `Part`.

    Formats without scales (F32, F16, BF16) have ``scales`` of no columns and 0 weights per scale.
    """

    scales: Weights  # (n_rows, n_sub_blocks), as decoding uses them
    minimums: Weights | None = None  # (n_rows, n_sub_blocks); None, as below, where there are none
    super_scales: Weights | None = None  # (n_rows, n_blocks), the float16 that sub-scales multiply
    super_minimums: Weights | None = None
    scale_codes: NDArray[np.int16] | None = None  # (n_rows, n_sub_blocks), sub-scales as stored
    minimum_codes: NDArray[np.int16] | None = None
    weights_per_scale: int
    overhead_bits: float  # bits a weight spent on scales and minima
    widest_step: float = 1.0  # largest gap between neighbours on the grid, in units of the scale


class Format(Protocol):
    """What every format can do, whatever its packed form.

    `BlockFormat`, `IntegerFormat` (INT2 to INT8) and `ScaledFormat` (FP8, NF4 and others that no
    GGUF holds) fit it. What `quantize` returns is for the methods of the same format: bytes by row
    for a `BlockFormat`, a small dataclass of arrays for the others.
    """

    @property
    def name(self) -> str:
        """As ggml or the paper spells it: ``Q4_K``, ``NF4``, ``INT4_G128``."""

    @property
    def code_bits(self) -> int:
        """Bits of one code; colour follows it."""

    @property
    def family(self) -> Family:
        """What kind of grid restored weights lie on; marker follows it."""

    @property
    def source(self) -> str:
        """Where the format is defined."""

    @property
    def needs_importance(self) -> bool:
        """Whether `quantize` refuses to work without an importance matrix."""

    @property
    def uses_importance(self) -> bool:
        """Whether an importance matrix changes what is stored."""

    @property
    def whole_tensor(self) -> bool:
        """Whether rows depend on each other, so that a tensor must be quantized as a whole."""

    def block_length(self, n_cols: int) -> int:
        """Weights of a row of `n_cols` that `open_block` takes apart at once.

        They share a block, or a scale: a group of columns, or the whole row.
        """

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored."""

    def stored_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes that weights of this shape take, scales included."""

    def quantize(self, weights: Weights, importance: Weights | None = None) -> Any:
        """Encode finite floats ``(n_rows, n_cols)``; anything else raises a `ValueError`.

        `importance` is the mean squared input of each column, ``(n_cols,)``. A format that makes no
        use of it only checks it, and stores what it would store without one, as ggml's do.
        """

    def dequantize(self, packed: Any, out: Weights | None = None) -> Weights:
        """Decode to float32 ``(n_rows, n_cols)``, into `out` if given."""

    def round_trip(
        self, weights: Weights, out: Weights | None = None, importance: Weights | None = None
    ) -> Weights:
        """Quantize, then dequantize: the weights as a model would use them."""

    def scale_factors(self, packed: Any) -> ScaleFactors:
        """Scales and minima of a packed tensor, as decoding uses them."""

    def open_block(self, packed: Any, row: int, block: int) -> OpenedBlock:
        """Take apart one block of a row, or what else `block_length` counts, from 0 on."""


def opened(
    packed: Packed,
    *,
    fields: tuple[Field, ...],
    parts: tuple[Part, ...],
    codes: NDArray[np.int32],
    first_code: int,
    code_bytes: tuple[tuple[int, ...], ...],
) -> OpenedBlock:
    """Make an `OpenedBlock` whose restored weights are read off the grids."""
    restored = np.concatenate([part.grid[codes[part.weights]] for part in parts])
    return OpenedBlock(
        packed=packed,
        fields=fields,
        parts=parts,
        codes=codes,
        first_code=first_code,
        code_bytes=code_bytes,
        restored=restored,
    )
