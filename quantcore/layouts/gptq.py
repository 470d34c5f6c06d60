"""GPTQ's layout, as AutoGPTQ, GPTQModel, transformers and vLLM read it.

    qweight    int32 (n_cols * b / 32, n_rows)       codes of a row down the columns, low bits first
    qzeros     int32 (n_groups, n_rows * b / 32)     zero points, less 1 in the first version
    scales     float16 (n_groups, n_rows)
    g_idx      int32 (n_cols,)                       group of each column: written in their order,
                                                     read in any, or not there

The first version ("gptq") takes 1 off every zero point, which a zero point of 0 does not survive:
readers disagree on what it becomes. Symmetric codes have none, and go into it. Where there are zero
points of their own the second ("gptq_v2") is written, which stores them as they are.

Source: GPTQModel, nn_modules/qlinear and utils/model.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked
from quantcore.io.words import pack_words, unpack_words, words_for
from quantcore.layouts.integers import Integers, group_list
from quantcore.layouts.layout import (
    Part,
    group_or_row,
    unsigned,
    zero_points,
)
from quantcore.layouts.parts import Parts
from quantcore.layouts.stored_matrix import StoredMatrix

BITS = (2, 3, 4, 8)
VERSIONS = {"gptq": 1, "gptq_v2": 0}  # what was taken off zero points
PARTS = ("qweight", "qzeros", "scales", "g_idx")


@dataclass(frozen=True, slots=True)
class GptqLayout:
    """See the top of this file."""

    name: str = "gptq"
    unit: tuple[int, int] = (32, 32)

    def check(self, fmt: IntegerFormat) -> None:
        """Refuse other bits than 2, 3, 4 and 8."""
        if fmt.code_bits not in BITS:
            raise ValueError(
                f"GPTQ's layout has codes of 2, 3, 4 or 8 bits, not the {fmt.code_bits} of "
                f"{fmt.name}: take INT4_G128, say."
            )

    def parts(self, fmt: IntegerFormat, shape: tuple[int, ...]) -> tuple[Part, ...]:
        """Arrays of a matrix."""
        (n_rows, n_cols), bits = shape, fmt.code_bits
        length = fmt.block_length(n_cols)
        n_groups, less = n_cols // length, 1 if fmt.symmetric else 0

        def qweight(packed: IntegerPacked) -> NDArray[np.int32]:
            return pack_words(unsigned(packed, fmt), bits).T

        def qzeros(packed: IntegerPacked) -> NDArray[np.int32]:
            return pack_words(zero_points(packed, fmt).T - np.uint8(less), bits)

        return (
            Part("qweight", "I32", (words_for(n_cols, bits), n_rows), qweight),
            Part("qzeros", "I32", (n_groups, words_for(n_rows, bits)), qzeros),
            Part("scales", "F16", (n_groups, n_rows), lambda packed: packed.scales.T),
            Part("g_idx", "I32", (n_cols,), lambda _: np.arange(n_cols) // length),
        )

    def config(self, fmt: IntegerFormat) -> dict[str, Any]:
        """Say how to read it."""
        return {
            "quant_method": self.name,
            "checkpoint_format": "gptq" if fmt.symmetric else "gptq_v2",
            "bits": fmt.code_bits,
            "group_size": group_or_row(fmt),
            "sym": fmt.symmetric,
            "desc_act": False,  # groups are of neighbours, whatever order codes were chosen in
            "lm_head": False,
        }


def open_matrix(parts: Parts) -> StoredMatrix:
    """Read a matrix by its arrays; a `ModelError` where they do not fit each other."""
    version = parts.how.get("checkpoint_format", "gptq")
    if version not in VERSIONS:
        raise parts.error(f"is packed for {version!r}; the lab reads gptq and gptq_v2.")
    qweight, scales = parts.matrix("qweight", "I32"), parts.floats("scales")
    (n_words, n_rows), bits = qweight.shape, parts.how.get("bits", 4)
    if "g_idx" in parts and parts.tensors["g_idx"].shape:  # bits of a module can be its own
        bits = n_words * 32 // max(1, parts.tensors["g_idx"].shape[0])
    if bits not in BITS:
        raise parts.error(f"has codes of {bits} bits; the lab reads those of 2, 3, 4 and 8.")
    n_cols = n_words * 32 // bits
    n_groups = scales.shape[0] if len(scales.shape) == 2 else 0
    if scales.shape != (n_groups, n_rows) or not n_groups:
        raise parts.error(f"has scales of shape {list(scales.shape)} for {n_rows:,} rows.")
    if words_for(n_cols, bits) != n_words:
        raise parts.error(f"has {n_words:,} words in a column, which codes of {bits} bits leave.")
    qzeros = parts.shaped("qzeros", (n_groups, words_for(n_rows, bits)), "I32")
    groups = group_list(parts, "g_idx", n_cols, n_groups) if "g_idx" in parts else None

    def codes(rows: slice) -> NDArray[np.uint8]:
        words = np.ascontiguousarray(qweight.columns(rows).T)
        return unpack_words(words, bits, n_cols)

    def read_scales(rows: slice) -> Weights:
        return np.ascontiguousarray(scales.read()[:, rows].T)

    def zeros(rows: slice) -> NDArray[np.integer]:
        stored = unpack_words(qzeros.codes(), bits, n_rows)[:, rows]
        return np.ascontiguousarray(stored.T).astype(np.int16) + np.int16(VERSIONS[version])

    return Integers(
        layout="GPTQ",
        bits=bits,
        shape=(n_rows, n_cols),
        n_groups=n_groups,
        symmetric=parts.how.get("sym") is not False,
        codes=codes,
        scales=read_scales,
        zero_points=zeros,
        groups=groups,
    ).stored(parts)
