"""Every tensor type that a GGUF file can hold: its number there, and the size of its blocks.

Source: ggml.h (numbers) and ggml-common.h (blocks) of ggml; gguf.constants says the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Number in the file: name, weights a block, bytes a block.
_ROWS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18), 42: ("Q2_0", 64, 18),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgmlType:
    """One type: `n` weights of a row take ``n / block_size * block_bytes`` bytes."""

    name: str
    number: int  # in a GGUF file
    block_size: int  # weights
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, scales included."""
        return 8 * self.block_bytes / self.block_size


GGML_TYPES = {name: GgmlType(name, number, *sizes) for number, (name, *sizes) in _ROWS.items()}
BY_NUMBER = {ggml_type.number: ggml_type for ggml_type in GGML_TYPES.values()}

# Types that files hold and ggml does not read: those that it has dropped, and ik_llama.cpp's own.
ELSEWHERE = {
    4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 133: "Q6_0", 134: "IQ1_BN", 135: "IQ2_BN", 137: "IQ2_K",
    138: "IQ3_K", 139: "IQ4_K", 140: "IQ5_K", 141: "IQ6_K", 144: "IQ4_KS", 145: "IQ2_KS",
    146: "IQ4_KSS", 151: "Q8_KV", 152: "IQ5_KS", 153: "IQ2_KT", 154: "IQ3_KT", 155: "IQ4_KT",
    156: "IQ3_KS", 157: "IQ2_KL", 158: "IQ1_KT",
}  # fmt: skip


def type_name(number: int) -> str:
    """Name a type by its number in a file, also one whose values the lab cannot read.

    >>> type_name(12), type_name(144), type_name(999)
    ('Q4_K', 'IQ4_KS', 'type 999')
    """
    if number in BY_NUMBER:
        return BY_NUMBER[number].name
    return ELSEWHERE.get(number, f"type {number}")


def code_bits_of(name: str) -> int:
    """Bits of one code, as the name tells them; 0 where it tells none.

    >>> code_bits_of("I8"), code_bits_of("IQ4_KS"), code_bits_of("type 999")
    (8, 4, 0)
    """
    if name in GGML_TYPES:
        return int(GGML_TYPES[name].bits_per_weight)
    return int(name.partition("Q")[2][:1]) if name in ELSEWHERE.values() else 0


# What takes the place of a type whose blocks do not divide the rows (llama.cpp's llama-quant.cpp).
FALLBACK = (
    dict.fromkeys("IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ4_XS".split(), "IQ4_NL")
    | dict.fromkeys("Q2_K Q3_K TQ1_0 TQ2_0".split(), "Q4_0")
    | {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
)


def fitting(wanted: str, n_cols: int) -> str:
    """Return the wanted type, or what llama-quantize takes where rows do not divide into blocks.

    >>> fitting("Q4_K", 576), fitting("Q4_K", 40)
    ('Q5_0', 'F16')
    """
    for name in (wanted, FALLBACK.get(wanted, wanted)):
        if n_cols % GGML_TYPES[name].block_size == 0:
            return name
    return "F16"


# Where blocks hold numbers of several bytes: their size, and the first bytes of each.
_WIDE = {
    "F32": (4, (0,)), "I32": (4, (0,)), "F64": (8, (0,)), "I64": (8, (0,)),
    "Q4_1": (2, (0, 2)), "Q5_1": (2, (0, 2)), "Q4_K": (2, (0, 2)), "Q5_K": (2, (0, 2)),
    "Q2_K": (2, (80, 82)), "Q3_K": (2, (108,)), "Q6_K": (2, (208,)), "TQ1_0": (2, (52,)),
    "TQ2_0": (2, (64,)), "IQ4_XS": (2, (0, 2)), "IQ2_XXS": (2, tuple(range(0, 66, 2))),
    "IQ2_XS": (2, tuple(range(0, 66, 2))), "IQ1_S": (2, (0, *range(34, 50, 2))),
} | {
    name: (2, (0,))
    for name in "F16 BF16 I16 Q1_0 Q2_0 Q4_0 Q5_0 Q8_0 IQ4_NL IQ3_XXS IQ3_S IQ2_S".split()
}  # fmt: skip


def in_little_endian(name: str, packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn the bytes of blocks round that a big-endian machine stored; the result is a copy.

    >>> in_little_endian("Q8_0", np.arange(34, dtype=np.uint8))[:4]
    array([1, 0, 2, 3], dtype=uint8)
    """
    blocks = packed.reshape(-1, GGML_TYPES[name].block_bytes).copy()
    size, starts = _WIDE.get(name, (1, ()))
    for start in starts:
        blocks[:, start : start + size] = blocks[:, start : start + size][:, ::-1].copy()
    return blocks.reshape(packed.shape)
