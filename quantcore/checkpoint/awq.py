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

from quantcore.checkpoint.layout import (
    Part,
    group_or_row,
    unsigned,
    zero_points,
)
from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked
from quantcore.io.words import pack_words

CODE_BITS = 4
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
