"""Formats of checkpoints for GPUs, with all that their files hold besides codes.

A GGUF type says how every matrix is stored. These formats are put on the linear layers inside the
blocks only: embedding, output, norms, routers and biases stay in 16 bits, and each format brings
tensors of its own, whose bytes half a byte a weight does not count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from quantcore.recipe.contents import layer_of
from quantcore.recipe.rules import may_quantize
from quantcore.shape.model_shape import is_expert

Parts = dict[str, int]  # name of a stored tensor -> bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedFormat:
    """How one matrix is stored."""

    name: str
    title: str
    parts: Callable[[int, int], Parts]  # of n_rows x n_cols: outputs and inputs
    each: str  # bits of a weight, for formulas
    stays: str  # what is left in 16 bits, in words
    at_run_time: str = ""  # what the figure does not show
    source: str = ""
    covers: Literal["linear", "experts"] = "linear"

    def matrix_bytes(self, n_rows: int, n_cols: int) -> int:
        """Bytes of one matrix, scales and indices included."""
        return sum(self.parts(n_rows, n_cols).values())

    def covers_tensor(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether a tensor, by its GGUF name, is stored in this format."""
        linear = layer_of(name) >= 0 and may_quantize(name, shape)
        return linear and (self.covers == "linear" or is_expert(name))


def packed_int32(bits: int, group: int, indexed: bool, n_rows: int, n_cols: int) -> Parts:
    """Give what GPTQ and AWQ store: int32 words of codes and zero points, float16 scales.

    qweight is (n_cols * bits / 32, n_rows) in GPTQ and (n_cols, n_rows * bits / 32) in AWQ; GPTQ
    also keeps the group of every input channel, in whatever order they were quantized.
    """
    groups = _up(n_cols, group)
    parts = {
        "qweight": 4 * _up(n_rows * n_cols * bits, 32),
        "qzeros": 4 * groups * _up(n_rows * bits, 32),
        "scales": 2 * groups * n_rows,
    }
    return parts | {"g_idx": 4 * n_cols} if indexed else parts


def nf4(twice: bool, n_rows: int, n_cols: int) -> Parts:
    """Give what bitsandbytes stores: codes, an absmax for 64 weights, tables of both codes.

    Some 100 to 200 bytes of JSON (quant_state) a matrix are left out.
    """
    blocks = _up(n_rows * n_cols, 64)
    parts = {"weight": _up(n_rows * n_cols, 2), "absmax": 4 * blocks, "quant_map": 4 * 16}
    if not twice:
        return parts
    nested = {"nested_absmax": 4 * _up(blocks, 256), "nested_quant_map": 4 * 256}
    return parts | {"absmax": blocks} | nested


def int8(n_rows: int, n_cols: int) -> Parts:
    """Give what LLM.int8() stores: a byte a weight and the absmax of each row, float32."""
    return {"weight": n_rows * n_cols, "SCB": 4 * n_rows, "weight_format": 1}


def fp8(scales: Callable[[int, int], int], n_rows: int, n_cols: int) -> Parts:
    """Give a byte a weight, and scales."""
    return {"weight": n_rows * n_cols, "scales": scales(n_rows, n_cols)}


def four_bit_float(group: int, tensor_scales: int, n_rows: int, n_cols: int) -> Parts:
    """Give MXFP4 and NVFP4: two codes a byte, a scale of one byte a group, float32 scales."""
    codes = n_rows * _up(n_cols, 2)
    return {"codes": codes, "scales": n_rows * _up(n_cols, group) + 4 * tensor_scales}


def _up(count: int, unit: int) -> int:
    return -(-count // unit)


_LINEAR = "embedding, output, norms, routers and biases stay in 16 bits"
_GPTQ: dict[str, Any] = {
    "stays": _LINEAR,
    "at_run_time": "Kernels such as Marlin repack the words when they load them; the size stays.",
    "source": "GPTQModel, qlinear/__init__.py (pack_original); sizes of TheBloke/LLaMa-7B-GPTQ",
}
_FP8: dict[str, Any] = {
    "stays": _LINEAR,
    "at_run_time": "Activations become FP8 before each product.",
}


def _gptq(bits: int) -> DeployedFormat:
    name = "GPTQ" if bits == 4 else f"GPTQ_{bits}BIT"
    return DeployedFormat(
        name=name,
        title=f"GPTQ, {bits} bits, groups of 128",
        parts=partial(packed_int32, bits, 128, True),
        each=f"({bits} + (16 + {bits}) / 128) bits and 32 bits an input channel",
        **_GPTQ,
    )


_ALL = (
    _gptq(4),
    _gptq(3),
    _gptq(8),
    DeployedFormat(
        name="AWQ",
        title="AWQ, 4 bits, groups of 128",
        parts=partial(packed_int32, 4, 128, False),
        each="(4 + (16 + 4) / 128) bits",
        stays=_LINEAR,
        source="AutoAWQ, modules/linear/gemm.py; sizes of TheBloke/Llama-2-70B-AWQ",
    ),
    DeployedFormat(
        name="INT8",
        title="bitsandbytes LLM.int8(), a scale a row",
        parts=int8,
        each="8 bits and 32 bits a row",
        stays=_LINEAR,
        at_run_time="Input columns with a value of 6 or more are multiplied in 16 bits, with rows "
        "of weights that are restored for it in every step.",
        source="bitsandbytes, nn/modules.py, Linear8bitLt; Dettmers et al., LLM.int8(), 2022",
    ),
    DeployedFormat(
        name="NF4",
        title="bitsandbytes NF4, an absmax for 64 weights",
        parts=partial(nf4, False),
        each="(4 + 32 / 64) bits",
        stays=_LINEAR,
        at_run_time="A matrix is restored to 16 bits for each product with more than one token.",
        source="bitsandbytes, functional.py, quantize_4bit; Dettmers et al., QLoRA, 2023",
    ),
    DeployedFormat(
        name="NF4_DQ",
        title="bitsandbytes NF4 with double quantization",
        parts=partial(nf4, True),
        each="(4 + 8 / 64 + 32 / (64 × 256)) bits",
        stays=_LINEAR,
        at_run_time="A matrix is restored to 16 bits for each product with more than one token.",
        source="bitsandbytes, functional.py; sizes of unsloth/mistral-7b-bnb-4bit",
    ),
    DeployedFormat(
        name="FP8",
        title="FP8 E4M3, a scale a tensor",
        parts=partial(fp8, lambda n_rows, n_cols: 8),  # of weights, and of the layer's input
        each="8 bits",
        source="vLLM, FP8 checkpoints; neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8",
        **_FP8,
    ),
    DeployedFormat(
        name="FP8_CHANNEL",
        title="FP8 E4M3, a scale a row",
        parts=partial(fp8, lambda n_rows, n_cols: 2 * n_rows),
        each="8 bits and 16 bits a row",
        source="compressed-tensors, strategy channel, as in FP8-dynamic checkpoints",
        **_FP8,
    ),
    DeployedFormat(
        name="FP8_BLOCK",
        title="FP8 E4M3, a scale for 128 × 128 weights, as DeepSeek-V3",
        parts=partial(fp8, lambda n_rows, n_cols: 4 * _up(n_rows, 128) * _up(n_cols, 128)),
        each="(8 + 32 / 128²) bits",
        source="deepseek-ai/DeepSeek-V3, README_WEIGHTS.md (weight_scale_inv, float32)",
        **_FP8,
    ),
    DeployedFormat(
        name="MXFP4",
        title="MXFP4 on the experts, as gpt-oss",
        parts=partial(four_bit_float, 32, 0),
        each="(4 + 8 / 32) bits",
        stays="everything but the experts stays in 16 bits, attention and router too",
        source="OCP Microscaling Formats 1.0; openai/gpt-oss-20b, model.safetensors.index.json",
        covers="experts",
    ),
    DeployedFormat(
        name="NVFP4",
        title="NVFP4, an E4M3 scale for 16 weights",
        parts=partial(four_bit_float, 16, 2),  # float32: of the tensor, and of the layer's input
        each="(4 + 8 / 16) bits",
        stays=_LINEAR,
        source="NVIDIA Model Optimizer; compressed-tensors, nvfp4-pack-quantized",
    ),
)
DEPLOYED: dict[str, DeployedFormat] = {fmt.name: fmt for fmt in _ALL}
