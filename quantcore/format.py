"""What a storage format is, in terms that the whole package shares."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import (
    as_float32,
    check_not_empty,
    check_place,
    checked_importance,
    checked_out,
    read_only,
    refuse_non_finite,
)
from quantcore.pool import over_rows

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
    minimums: Weights | None = None  # likewise; None, here and below, where the format has none
    super_scales: Weights | None = None  # (n_rows, n_blocks), the float16 that sub-scales multiply
    super_minimums: Weights | None = None
    scale_codes: NDArray[np.int16] | None = None  # (n_rows, n_sub_blocks), sub-scales as stored
    minimum_codes: NDArray[np.int16] | None = None
    weights_per_scale: int
    overhead_bits: float  # bits a weight spent on scales and minima
    widest_step: float = 1.0  # largest gap between neighbours on the grid, in units of the scale


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFormat:
    """A storage format that cuts each row of weights into independent blocks.

    Examples
    --------
    >>> from quantcore.formats import FORMATS
    >>> weights = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 64)
    >>> packed = FORMATS["Q8_0"].quantize(weights)
    >>> packed.shape  # two blocks of 34 bytes
    (1, 68)
    >>> bool(abs(FORMATS["Q8_0"].dequantize(packed) - weights).max() < 0.005)
    True
    """

    name: str
    code_bits: int  # bits of one code; colour follows it
    family: Family  # marker follows it
    block_size: int  # weights per block
    block_bytes: int  # stored bytes per block, scales included
    encode: Callable[[Weights, Packed], int] | None
    """``(blocks (n, block_size), packed (n, block_bytes)) -> int``: fills `packed`. Returns -1, or
    the index of the first block with a NaN or an infinity. `blocks` is read-only. None where ggml
    demands an importance matrix."""
    encode_weighted: Callable[[Weights, Weights, Packed], int] | None = None
    """The same with an importance matrix between, ``(blocks a row, block_size)``; `blocks` are
    whole rows then. None where ggml takes no notice of the matrix."""
    decode: Callable[[Packed, Weights], None]
    """``(packed (n, block_bytes), out (n, block_size))``: fills `out`. `packed` is read-only."""
    open: Callable[[Packed], OpenedBlock]  # (block_bytes,) -> what is inside
    factors: Callable[[Packed], ScaleFactors]  # (n_rows, n_blocks, block_bytes) -> scale factors
    source: str  # where the byte layout is defined

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, scales included."""
        return 8 * self.block_bytes / self.block_size

    @property
    def needs_importance(self) -> bool:
        """Whether `quantize` refuses to work without an importance matrix."""
        return self.encode is None

    @property
    def uses_importance(self) -> bool:
        """Whether an importance matrix changes what is stored."""
        return self.encode_weighted is not None

    @property
    def whole_tensor(self) -> bool:
        """Whether rows depend on each other; blocks never do."""
        return False

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored."""
        check_not_empty(self.name, shape)
        if shape[-1] % self.block_size:
            raise ValueError(
                f"{self.name} needs rows of a multiple of {self.block_size} weights, "
                f"got {shape[-1]}"
            )

    def stored_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes that weights of this shape take, scales included."""
        self.check(shape)
        return math.prod(shape) // self.block_size * self.block_bytes

    def quantize(self, weights: Weights, importance: Weights | None = None) -> Packed:
        """Encode weights.

        Parameters
        ----------
        weights
            Floats ``(..., n_cols)``, finite; usually ``(n_rows, n_cols)``.
        importance
            Mean squared input of each column, ``(n_cols,)``: what llama.cpp calls an imatrix. Some
            formats take no notice of it, as in ggml.

        Returns
        -------
        Packed
            Bytes as in a GGUF file, ``(..., n_cols / block_size * block_bytes)``.

        Raises
        ------
        ValueError
            If there is nothing to store, rows do not divide into blocks, the array is not of
            floats, or it holds a NaN or an infinity; likewise for the importance, and if there is
            none where the format needs it.
        """
        weights = as_float32(self.name, weights)
        self.check(weights.shape)
        if importance is None and self.needs_importance:
            raise ValueError(
                f"{self.name} needs an importance matrix: the mean squared input of each column, "
                "as importance="
            )
        blocks = read_only(weights.reshape(-1, self.block_size))
        packed = np.empty((len(blocks), self.block_bytes), np.uint8)
        if importance is None or self.encode_weighted is None:
            found = self._encode_blocks(blocks, packed)
        else:
            found = self._encode_rows(blocks, packed, checked_importance(importance, weights.shape))
        if max(found) >= 0:
            first = min(block for block in found if block >= 0)
            refuse_non_finite(self.name, weights, first * self.block_size)
        return packed.reshape(*weights.shape[:-1], -1)

    def _encode_blocks(self, blocks: Weights, packed: Packed) -> list[int]:
        def work(start: int, stop: int) -> int:
            bad = self.encode(blocks[start:stop], packed[start:stop])
            return bad if bad < 0 else start + bad

        return over_rows(work, len(blocks), self._blocks_per_thread)

    def _encode_rows(self, blocks: Weights, packed: Packed, importance: Weights) -> list[int]:
        """Encode whole rows: some formats weigh by the mean over a row."""
        importance = read_only(importance.reshape(-1, self.block_size))
        n = len(importance)  # blocks a row

        def work(start: int, stop: int) -> int:
            here = slice(n * start, n * stop)
            bad = self.encode_weighted(blocks[here], importance, packed[here])
            return bad if bad < 0 else n * start + bad

        return over_rows(work, len(blocks) // n, self._blocks_per_thread // n)

    def dequantize(self, packed: Packed, out: Weights | None = None) -> Weights:
        """Decode bytes ``(..., row_bytes)`` that `quantize` returned or a GGUF file holds.

        With `out`, a C-contiguous float32 array ``(..., n_cols)``, the result is written there.
        """
        blocks = self._as_blocks(packed)
        *rows, row_bytes = np.shape(packed)
        shape = (*rows, row_bytes // self.block_bytes * self.block_size)
        out = np.empty(shape, np.float32) if out is None else checked_out(self.name, out, shape)
        restored = out.reshape(-1, self.block_size)

        def work(start: int, stop: int) -> None:
            self.decode(blocks[start:stop], restored[start:stop])

        over_rows(work, len(blocks), self._blocks_per_thread)
        return out

    def round_trip(
        self, weights: Weights, out: Weights | None = None, importance: Weights | None = None
    ) -> Weights:
        """Quantize, then dequantize: the weights as a model would use them."""
        return self.dequantize(self.quantize(weights, importance), out)

    def scale_factors(self, packed: Packed) -> ScaleFactors:
        """Scales and minima of a packed tensor ``(n_rows, row_bytes)``."""
        return self.factors(self._as_rows(packed))

    def open_block(self, packed: Packed, row: int, block: int) -> OpenedBlock:
        """Take one block of a packed tensor ``(n_rows, row_bytes)`` apart."""
        rows = self._as_rows(packed)
        check_place(rows.shape[:2], row, block)
        return self.open(rows[row, block].copy())

    def _as_rows(self, packed: Packed) -> Packed:
        """(n_rows, n_blocks, block_bytes)."""
        blocks = self._as_blocks(packed)
        if np.ndim(packed) != 2:
            raise ValueError(f"{self.name} opens rows of bytes, got shape {np.shape(packed)}")
        return blocks.reshape(len(packed), -1, self.block_bytes)

    def _as_blocks(self, packed: Packed) -> Packed:
        packed = np.asarray(packed)
        fits = packed.ndim and packed.size and packed.shape[-1] % self.block_bytes == 0
        if packed.dtype != np.uint8 or not fits:
            raise ValueError(
                f"{self.name} is stored as uint8 in rows of a multiple of {self.block_bytes} "
                f"bytes, got {packed.dtype} {packed.shape}"
            )
        return read_only(np.ascontiguousarray(packed).reshape(-1, self.block_bytes))

    @property
    def _blocks_per_thread(self) -> int:
        return WEIGHTS_PER_THREAD // self.block_size


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
