"""AWQ's layout, the one that AutoAWQ calls GEMM, as transformers and vLLM read it.

    qweight    int32 (n_cols, n_rows / 8)      codes of 4 bits of eight rows in a word, see `ORDER`
    qzeros     int32 (n_groups, n_rows / 8)    zero points, likewise; nothing is taken off
    scales     float16 (n_groups, n_rows)

Source: AutoAWQ, modules/linear/gemm.py and utils/packing_utils.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked
from quantcore.io.words import pack_words, unpack_words
from quantcore.layouts.integers import Integers
from quantcore.layouts.layout import (
    Part,
    group_or_row,
    unsigned,
    zero_points,
)
from quantcore.layouts.parts import Parts
from quantcore.layouts.stored_matrix import StoredMatrix

CODE_BITS = 4
PARTS = ("qweight", "qzeros", "scales")
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # which of eight rows a word holds in its lowest bits, and so on


@dataclass(frozen=True, slots=True)
class AwqLayout:
    """See the top of this file."""

    name: str = "awq"
    unit: tuple[int, int] = (8, 1)

    def check(self, fmt: IntegerFormat) -> None:
        """Refuse all but 4 bits with a zero point."""
        if fmt.code_bits != CODE_BITS or fmt.symmetric:
            raise ValueError(
                f"AWQ's layout has 4 bits with a zero point: take INT4_G128_ASYM, not {fmt.name}."
            )

    def parts(self, fmt: IntegerFormat, shape: tuple[int, ...]) -> tuple[Part, ...]:
        """Arrays of a matrix."""
        n_rows, n_cols = shape
        n_groups, n_words = n_cols // fmt.block_length(n_cols), n_rows // len(ORDER)

        def qweight(packed: IntegerPacked) -> NDArray[np.int32]:
            return _by_eights(unsigned(packed, fmt))

        def qzeros(packed: IntegerPacked) -> NDArray[np.int32]:
            return _by_eights(zero_points(packed, fmt))

        return (
            Part("qweight", "I32", (n_cols, n_words), qweight),
            Part("qzeros", "I32", (n_groups, n_words), qzeros),
            Part("scales", "F16", (n_groups, n_rows), lambda packed: packed.scales.T),
        )

    def config(self, fmt: IntegerFormat) -> dict[str, Any]:
        """Say how to read it."""
        return {
            "quant_method": self.name,
            "version": "gemm",
            "bits": CODE_BITS,
            "group_size": group_or_row(fmt),
            "zero_point": True,
            "modules_to_not_convert": ["lm_head"],
        }


def _by_eights(codes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Pack codes (n_rows, n) into (n, n_rows / 8)."""
    eights = codes.T.reshape(codes.shape[1], -1, len(ORDER))
    return pack_words(eights[:, :, ORDER].reshape(codes.shape[1], -1), CODE_BITS)


def _from_eights(words: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Undo `_by_eights`: (n, n_words) -> codes (8 * n_words, n)."""
    n = len(words)
    stored = unpack_words(np.ascontiguousarray(words), CODE_BITS, words.shape[1] * len(ORDER))
    codes = np.empty((n, words.shape[1], len(ORDER)), np.uint8)
    codes[:, :, ORDER] = stored.reshape(codes.shape)
    return np.ascontiguousarray(codes.reshape(n, -1).T)


def open_matrix(parts: Parts) -> StoredMatrix:
    """Read a matrix by its arrays; a `ModelError` where they do not fit each other."""
    version, bits = str(parts.how.get("version", "gemm")).lower(), parts.how.get("bits", CODE_BITS)
    if version != "gemm" or bits != CODE_BITS:
        raise parts.error(f"has {bits} bits in AWQ's order {version!r}; the lab reads 4 in 'gemm'.")
    qweight, scales = parts.matrix("qweight", "I32"), parts.floats("scales")
    n_cols, n_words = qweight.shape
    n_rows = n_words * len(ORDER)
    n_groups = scales.shape[0] if len(scales.shape) == 2 else 0
    if scales.shape != (n_groups, n_rows) or not n_groups:
        raise parts.error(f"has scales of shape {list(scales.shape)} for {n_rows:,} rows.")
    qzeros = parts.shaped("qzeros", (n_groups, n_words), "I32") if "qzeros" in parts else None
    if qzeros is None and parts.how.get("zero_point") is not False:
        raise parts.error("lacks qzeros, its zero points.")

    def codes(rows: slice) -> NDArray[np.uint8]:
        first = rows.start // len(ORDER)
        words = qweight.columns(slice(first, -(-rows.stop // len(ORDER))))
        return _from_eights(words)[rows.start - first * len(ORDER) :][: rows.stop - rows.start]

    def read_scales(rows: slice) -> Weights:
        return np.ascontiguousarray(scales.read()[:, rows].T)

    def zeros(rows: slice) -> NDArray[np.integer]:
        if qzeros is None:
            return np.full((rows.stop - rows.start, n_groups), 2 ** (CODE_BITS - 1), np.uint8)
        return _from_eights(qzeros.codes())[rows]

    return Integers(
        layout="AWQ",
        bits=CODE_BITS,
        shape=(n_rows, n_cols),
        n_groups=n_groups,
        symmetric=qzeros is None,
        codes=codes,
        scales=read_scales,
        zero_points=zeros,
    ).stored(parts)
