"""The layout of compressed-tensors called pack-quantized, as vLLM and transformers read it.

    weight_packed        int32 (n_rows, n_cols * b / 32)      codes along a row, low bits first
    weight_scale         float16 (n_rows, n_groups)
    weight_zero_point    int32 (n_rows * b / 32, n_groups)    down the rows; only where asymmetric
    weight_shape         int64 (2,)

Words that a row or a column does not fill end in zeros.

Source: vllm-project/compressed-tensors, compressors/pack_quantized.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.checkpoint.layout import Part, unsigned, zero_points
from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked
from quantcore.io.words import pack_words, words_for

BITS = (4, 8)


@dataclass(frozen=True, slots=True)
class CompressedTensorsLayout:
    """See the top of this file."""

    name: str = "compressed-tensors"
    unit: tuple[int, int] = (1, 1)

    def check(self, fmt: IntegerFormat) -> None:
        """Refuse other bits than 4 and 8, which vLLM does not run."""
        if fmt.code_bits not in BITS:
            raise ValueError(
                f"Loaders of compressed-tensors run codes of 4 or 8 bits, not the {fmt.code_bits} "
                f"of {fmt.name}: take INT4_G128, or export it as gptq."
            )

    def parts(self, fmt: IntegerFormat, shape: tuple[int, ...]) -> tuple[Part, ...]:
        """Arrays of a matrix."""
        (n_rows, n_cols), bits = shape, fmt.code_bits
        n_groups = n_cols // fmt.block_length(n_cols)

        def weight_packed(packed: IntegerPacked) -> NDArray[np.int32]:
            return pack_words(unsigned(packed, fmt), bits)

        def weight_zero_point(packed: IntegerPacked) -> NDArray[np.int32]:
            return pack_words(zero_points(packed, fmt).T, bits).T

        parts = (
            Part("weight_packed", "I32", (n_rows, words_for(n_cols, bits)), weight_packed),
            Part("weight_scale", "F16", (n_rows, n_groups), lambda packed: packed.scales),
            Part("weight_shape", "I64", (2,), lambda _: np.array(shape)),
        )
        if fmt.symmetric:
            return parts
        shape_of_zeros = (words_for(n_rows, bits), n_groups)
        return (*parts, Part("weight_zero_point", "I32", shape_of_zeros, weight_zero_point))

    def config(self, fmt: IntegerFormat) -> dict[str, Any]:
        """Say how to read it."""
        weights = {
            "num_bits": fmt.code_bits,
            "type": "int",
            "symmetric": fmt.symmetric,
            "strategy": "channel" if fmt.group_size is None else "group",
            "group_size": fmt.group_size,
            "dynamic": False,
        }
        group: dict[str, Any] = {"targets": ["Linear"], "weights": weights}
        group |= {"input_activations": None, "output_activations": None}
        return {
            "quant_method": self.name,
            "format": "pack-quantized",
            "quantization_status": "compressed",
            "config_groups": {"group_0": group},
            "ignore": ["lm_head"],
            "kv_cache_scheme": None,
        }
