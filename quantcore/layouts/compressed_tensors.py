"""The layout of compressed-tensors called pack-quantized, as vLLM and transformers read it.

    weight_packed        int32 (n_rows, n_cols * b / 32)      codes along a row, low bits first
    weight_scale         float16 (n_rows, n_groups)
    weight_zero_point    int32 (n_rows * b / 32, n_groups)    down the rows; only where asymmetric
    weight_shape         int64 (2,)

Words that a row or a column does not fill end in zeros.

Read are, besides, its other layouts, told by their arrays: int-quantized, which has ``weight`` int8
and a zero point int8 shaped as the scales; and the floats of `fp8`, `mxfp4` and `nvfp4`.

Source: vllm-project/compressed-tensors, compressors/pack_quantized.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.formats.integers.integer import IntegerFormat, IntegerPacked
from quantcore.io.words import pack_words, unpack_words, words_for
from quantcore.layouts import fp8, mxfp4, nvfp4
from quantcore.layouts.integers import Integers, group_list
from quantcore.layouts.layout import Part, unsigned, zero_points
from quantcore.layouts.parts import FP8_TYPES, Parts, as_floats
from quantcore.layouts.stored_matrix import StoredMatrix

BITS = (4, 8)
PARTS = (
    *("weight_packed", "weight", "weight_scale", "weight_shape", "weight_zero_point"),
    *("weight_g_idx", "weight_global_scale", "input_global_scale", "input_scale"),
    "input_zero_point",
)


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


def open_matrix(parts: Parts) -> StoredMatrix:
    """Read a matrix by its arrays; a `ModelError` where they do not fit each other."""
    if "weight_packed" in parts and parts.tensors["weight_packed"].dtype == "U8":
        is_nvidias = "weight_global_scale" in parts
        return (nvfp4 if is_nvidias else mxfp4).open_packed(parts)
    if "weight_packed" not in parts and parts.find("weight", "I8", *FP8_TYPES).dtype in FP8_TYPES:
        return fp8.open_matrix(parts)
    scales = as_floats(parts.floats("weight_scale"))
    bits, shape = _size(parts)
    if scales.size == 1:
        scales = scales.reshape(1, 1).repeat(shape[0], axis=0)
    scales = scales.reshape(len(scales), -1)
    if len(scales) != shape[0]:
        raise parts.error(f"has {len(scales):,} rows of scales for {shape[0]:,} rows of weights.")
    groups = None
    if "weight_g_idx" in parts:
        groups = group_list(parts, "weight_g_idx", shape[1], scales.shape[1])
    middle = 2 ** (bits - 1)
    zeros = _zero_points(parts, bits, (shape[0], scales.shape[1]))

    def codes(rows: slice) -> NDArray[np.uint8]:
        if "weight" in parts:
            return (parts.tensors["weight"].codes(rows).astype(np.int16) + middle).astype(np.uint8)
        return unpack_words(parts.tensors["weight_packed"].codes(rows), bits, shape[1])

    return Integers(
        layout="compressed-tensors",
        bits=bits,
        shape=shape,
        n_groups=scales.shape[1],
        symmetric="weight_zero_point" not in parts,
        codes=codes,
        scales=lambda rows: np.ascontiguousarray(scales[rows]),
        zero_points=lambda rows: zeros[rows],
        groups=groups,
        one_scale=parts.tensors["weight_scale"].shape in ((), (1,), (1, 1)) and shape[0] > 1,
    ).stored(parts)


def _size(parts: Parts) -> tuple[int, tuple[int, int]]:
    """Bits of a code, and rows and columns."""
    if "weight_packed" not in parts:
        n_rows, n_cols = parts.matrix("weight", "I8").shape
        return 8, (n_rows, n_cols)
    n_rows, n_words = parts.matrix("weight_packed", "I32").shape
    said = parts.shaped("weight_shape", (2,), "I64", "I32").codes()
    n_cols = int(said[1])
    bits = n_words * 32 // n_cols if n_cols > 0 else 0
    if said[0] != n_rows or not 2 <= bits <= 8 or words_for(n_cols, bits) != n_words:
        raise parts.error(
            f"says weight_shape {said.tolist()}, which weight_packed of {n_rows:,} rows of "
            f"{n_words:,} words is not."
        )
    return bits, (n_rows, n_cols)


def _zero_points(parts: Parts, bits: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Codes that stand for 0, (n_rows, n_groups)."""
    middle = 2 ** (bits - 1)
    if "weight_zero_point" not in parts:
        return np.full(shape, middle, np.uint8)
    if "weight_packed" in parts:
        packed = (words_for(shape[0], bits), shape[1])
        words = parts.shaped("weight_zero_point", packed, "I32").codes()
        codes = unpack_words(np.ascontiguousarray(words.T), bits, shape[0])
        return np.ascontiguousarray(codes.T)
    stored = parts.find("weight_zero_point", "I8").codes().astype(np.int16) + middle
    if stored.size not in (1, shape[0] * shape[1]):
        raise parts.error(f"has weight_zero_point of shape {list(stored.shape)}.")
    return np.broadcast_to(stored.reshape(-1, shape[1]).astype(np.uint8), shape)
