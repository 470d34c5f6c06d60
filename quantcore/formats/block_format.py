"""Formats that cut each row of weights into independent blocks of bytes: those of GGUF files."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quantcore.checks import (
    as_float32,
    check_not_empty,
    check_place,
    checked_importance,
    checked_out,
    ragged,
    read_only,
    refuse_non_finite,
)
from quantcore.format import Family, OpenedBlock, Packed, ScaleFactors, Weights
from quantcore.pool import WEIGHTS_PER_THREAD, over_rows


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
    """``(blocks, importance, packed) -> int``: encodes with an importance matrix, ``(blocks a row,
    block_size)``; `blocks` are whole rows then. None where ggml takes no notice of the matrix."""
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

    def block_length(self, n_cols: int) -> int:
        """Weights of a block, however long rows are."""
        return self.block_size

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored."""
        check_not_empty(self.name, shape)
        if shape[-1] % self.block_size:
            raise ValueError(ragged(self.name, self.block_size, shape[-1]))

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
            floats, or it holds a NaN or an infinity; if the importance is not one finite number a
            column, none of them negative, or is missing where the format needs it.
        """
        weights = as_float32(self.name, weights)
        self.check(weights.shape)
        if importance is None and self.needs_importance:
            raise ValueError(
                f"{self.name} needs an importance matrix: the mean squared input of each column, "
                "as importance="
            )
        if importance is not None:
            importance = checked_importance(importance, weights.shape)
        blocks = read_only(weights.reshape(-1, self.block_size))
        packed = np.empty((len(blocks), self.block_bytes), np.uint8)
        if importance is None or self.encode_weighted is None:
            bad_blocks = self._encode_blocks(blocks, packed)
        else:
            bad_blocks = self._encode_rows(blocks, packed, importance)
        if max(bad_blocks) >= 0:
            first = min(block for block in bad_blocks if block >= 0)
            refuse_non_finite(self.name, weights, first * self.block_size)
        return packed.reshape(*weights.shape[:-1], -1)

    def _encode_blocks(self, blocks: Weights, packed: Packed) -> list[int]:
        """Return the first bad block of each thread's part, or -1 where there is none."""
        encode = self.encode
        assert encode is not None  # else `quantize` demanded an importance matrix

        def work(start: int, stop: int) -> int:
            bad = encode(blocks[start:stop], packed[start:stop])
            return bad if bad < 0 else start + bad

        return over_rows(work, len(blocks), self._blocks_per_thread)

    def _encode_rows(self, blocks: Weights, packed: Packed, importance: Weights) -> list[int]:
        """Encode whole rows, for some formats weigh by the mean over a row; as `_encode_blocks`."""
        encode_weighted = self.encode_weighted
        assert encode_weighted is not None  # as `quantize` saw
        importance = read_only(importance.reshape(-1, self.block_size))
        n = len(importance)  # blocks a row

        def work(start: int, stop: int) -> int:
            here = slice(n * start, n * stop)
            bad = encode_weighted(blocks[here], importance, packed[here])
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
