"""How a format with a codebook is filled: eight weights at a time get patterns and signs together.

Where a whole run of weights has one code, GPTQ's column is a block of columns: of all patterns the
one is taken whose error, with all that later columns can do about it, costs least, and the error of
the run is pushed on as a whole. The cost is ``|e R|^2``, R the run's own part of the factor of the
second moment.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import read_only
from quantcore.format import Packed, Weights
from quantcore.formats import FORMATS
from quantcore.formats.codebook.blocks import CodebookFormat, with_signs
from quantcore.formats.codebook.codebooks import grid
from quantcore.methods.columns.codebook_kernels import (
    FIXED_SHIFT,
    SHIFTED,
    SIGNED,
    SIGNED_EVENLY,
    round_eights,
)
from quantcore.methods.columns.work import MIN_ROWS, Work
from quantcore.pool import over_rows

EIGHT = 8


class CodebookFilling:
    """Fills blocks whose scales, and in IQ1_S shifts, the format itself has chosen."""

    def __init__(self, fmt: CodebookFormat, weights: Weights, importance: Weights | None) -> None:
        self._fmt = fmt
        self._start: Packed = fmt.quantize(weights, importance)
        scales = fmt.scale_factors(self._start).scales
        self._scales = read_only(np.ascontiguousarray(scales))
        blocks = self._start.reshape(-1, fmt.block_bytes)
        n_eights = fmt.block_size // EIGHT
        table = grid(fmt.contents.book, fmt.contents.levels)
        contents, per_eight = fmt.contents, EIGHT // table.shape[1]
        self._table = read_only(np.ascontiguousarray(table.T))
        entries = contents.read(contents.entry_of, blocks, n_eights * per_eight)
        self._entries = entries.astype(np.int32).reshape(len(weights), -1, per_eight)
        signs = contents.read(contents.signs_of, blocks, n_eights)
        self._signs = signs.astype(np.int32).reshape(len(weights), -1)

    def round(self, work: Work) -> Weights:
        """Choose for each eight columns; their order must be that of the weights."""
        restored = np.empty(work.aimed.shape, np.float32)
        first = int(work.places[0])
        here = slice(first // EIGHT, (first + len(work.places)) // EIGHT)
        per_scale = self._entries.shape[1] * EIGHT // self._scales.shape[1]
        which = read_only((work.places[::EIGHT] // per_scale).astype(np.int32))
        entries = np.ascontiguousarray(self._entries[:, here])
        signs = np.ascontiguousarray(self._signs[:, here])
        pushes = np.empty((0, 0), np.float32) if work.pushes is None else work.pushes
        kind = _kind(self._fmt)

        def rows(start: int, stop: int) -> None:
            part = slice(start, stop)
            round_eights(
                (work.target[part], work.aimed[part], restored[part], entries[part], signs[part]),
                (self._scales[part], which),
                (self._table, kind),
                (read_only(work.feedback), read_only(work.root), read_only(pushes)),
            )

        over_rows(rows, len(restored), MIN_ROWS)
        self._entries[:, here], self._signs[:, here] = entries, signs
        return restored

    def packed(self) -> Packed:
        """Put patterns and signs into the place of those that came with the scales."""
        places = _number_bits(self._fmt.name)
        numbers = (self._entries, self._signs)
        bits = np.unpackbits(
            self._start.reshape(-1, self._fmt.block_bytes), axis=1, bitorder="little"
        )
        for number, where in zip(numbers, places, strict=True):
            by_block = number.reshape(len(bits), -1)
            for k in range(where.shape[1]):
                stored = where[:, k] >= 0
                bits[:, where[stored, k]] = by_block[:, stored] >> k & 1
        return np.packbits(bits, axis=1, bitorder="little").reshape(self._start.shape)


def _kind(fmt: CodebookFormat) -> int:
    """Say what the second number of eight weights is: signs, or which way they are shifted."""
    if fmt.contents.signed is not with_signs:
        return SHIFTED if _number_bits(fmt.name)[1].min() >= 0 else FIXED_SHIFT
    return SIGNED if _number_bits(fmt.name)[1].shape[1] == EIGHT else SIGNED_EVENLY


@cache
def _number_bits(name: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find where in a block the bits of patterns and of signs or shifts lie.

    Returns
    -------
    entries : (n_runs, n_bits)
        Bits of a block, counted from the lowest of its first byte.
    signs : (n_eights, n_bits)
        The same of signs that are stored, the eighth of seven is not; of IQ1's shifts, where each
        eight weights have their own. -1 where several share one.
    """
    fmt = FORMATS[name]
    assert isinstance(fmt, CodebookFormat)  # only those come here
    contents, n_bits = fmt.contents, 8 * fmt.block_bytes
    blocks = np.packbits(np.eye(n_bits, dtype=np.uint8), axis=1, bitorder="little")
    per_block = fmt.block_size // grid(contents.book, contents.levels).shape[1]
    found = []
    for reader, n in (
        (contents.entry_of, per_block),
        (contents.signs_of, fmt.block_size // EIGHT),
    ):
        numbers = contents.read(reader, blocks, n).astype(np.int32)
        own = np.count_nonzero(numbers, axis=1) == 1
        bit, which = np.nonzero(np.where(own[:, None], numbers, 0))
        # A stored sign may turn over the eighth one too: the lowest bit is its own.
        place = np.log2(numbers[bit, which] & -numbers[bit, which]).astype(np.intp)
        where = np.full((n, int(place.max(initial=0)) + 1), -1, np.intp)
        where[which, place] = bit
        found.append(where)
    return found[0], found[1]
