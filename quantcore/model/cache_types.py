"""How a model keeps keys and values: the types of its cache.

llama.cpp writes each key, after its rotary embedding, and each value into its cache in a type that
one can choose (`--cache-type-k`, `--cache-type-v`). What a later token attends to is what the type
restores. Beside quantized keys, on a CPU, the query is rounded too, as any input of a product is.

Before it stores in a quantized type llama.cpp rotates, so that no outlier spoils a block:

    keys      by the largest Hadamard matrix of 64 * 2**k that divides the head; so are queries
    values    by one of 64; so is, once more, what attention made of them

if the head is a multiple of 64. Products of rotated queries and keys are those of unrotated ones:
here a key or value is rotated, rounded and rotated back at once. The numbers are the same, up to
float32. Which numbers of a key share a block is a matter of their order in llama.cpp, where both
of a rotary pair stand side by side in most architectures.

Source: llama.cpp, src/llama-kv-cache.cpp; ggml/src/ggml-cpu/ops.cpp, ggml_compute_forward_set_rows,
which takes `from_float` of ggml-cpu.c: quantize_row_q8_0 of ggml-cpu/arch, the reference of others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.architectures import RUNNABLE
from quantcore.formats import FORMATS
from quantcore.formats.iq4.plain import round_plainly
from quantcore.model import turbo_quant
from quantcore.model.activations import input_type, rounded
from quantcore.model.config import LlamaConfig
from quantcore.model.hadamard import largest_power_of_two, rotated

Floats = NDArray[np.float32]
FLOATS = ("F32", "F16", "BF16")  # never rotated
IN_LLAMA_CPP = (*FLOATS, "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL")
TURBO = {f"TURBO{bits}": bits for bits in reversed(turbo_quant.BITS)}
CACHE_TYPES = (*IN_LLAMA_CPP, *TURBO)
UNIT = 64  # llama.cpp rotates heads that this divides


@dataclass(frozen=True, slots=True)
class CacheTypes:
    """Types of keys and of values, one of `CACHE_TYPES` each, however spelled.

    >>> CacheTypes("q8_0", "turbo3").name
    'K Q8_0, V TURBO3'
    """

    keys: str = "F16"
    values: str = "F16"
    rotation: bool = True  # llama.cpp's; TurboQuant always has its own

    def __post_init__(self) -> None:
        """Spell the types as the lab does; `ValueError` for one that there is not."""
        for part in ("keys", "values"):
            wanted = getattr(self, part)
            if wanted.upper() not in CACHE_TYPES:
                known = ", ".join(CACHE_TYPES)
                raise ValueError(f"There is no cache of type {wanted}; there are {known}.")
            object.__setattr__(self, part, wanted.upper())

    @classmethod
    def usual(cls, rounds_queries: bool) -> "CacheTypes":
        """Return llama.cpp's own types for who rounds as it does, else those that round nothing."""
        return cls() if rounds_queries else cls("F32", "F32")

    @property
    def rounds(self) -> bool:
        """Whether anything is rounded."""
        return self != CacheTypes("F32", "F32", self.rotation)

    @property
    def name(self) -> str:
        """Both types, and whether they are kept as they come where llama.cpp would rotate."""
        plain = "" if self.rotation else ", unrotated"
        return f"K {self.keys}, V {self.values}{plain}"

    def check(self, config: LlamaConfig, rounds_queries: bool = False) -> None:
        """Raise a `ValueError` if the heads of a model do not divide into blocks of a type.

        Or, where queries are to be rounded as llama.cpp does, if it has no such keys.
        """
        size = config.head_size
        if rounds_queries and self.keys in TURBO:
            raise ValueError(
                f"llama.cpp has no {self.keys} cache, so nothing says how it would round queries: "
                "leave activations in F32, or choose another type of keys."
            )
        for name in (self.keys, self.values):
            if name in TURBO and (size < 8 or size & (size - 1)):
                raise ValueError(
                    f"A {name} cache needs heads whose size is a power of two, got {size}: choose "
                    "F16 or Q8_0."
                )
            if name not in TURBO and size % (block := FORMATS[name].block_size):
                raise ValueError(
                    f"A {name} cache needs heads of a multiple of {block}, got {size}: choose F16 "
                    "or BF16."
                )

    def bytes_per_token(self, config: LlamaConfig) -> int:
        """Bytes that a token takes in the caches of all layers, scales included."""
        of_a_head = sum(_stored_bytes(name, config.head_size) for name in (self.keys, self.values))
        return config.n_layers * config.n_kv_heads * of_a_head

    def rotated_keys(self, head_size: int) -> int:
        """Size of the rotation of keys and queries; 0 for none."""
        rotates = self._rotates(self.keys, head_size)
        return largest_power_of_two(head_size, UNIT) if rotates else 0

    def rotated_values(self, head_size: int) -> int:
        """Size of the rotation of values; 0 for none."""
        return UNIT if self._rotates(self.values, head_size) else 0

    def _rotates(self, name: str, head_size: int) -> bool:
        quantized = name not in FLOATS and name not in TURBO
        return self.rotation and quantized and head_size % UNIT == 0

    def round_queries(self, heads: Floats, config: LlamaConfig) -> Floats:
        """Round queries (n_rows, n_heads, head_size) as llama.cpp does on a CPU beside its keys."""
        rotation, neighbours = self.rotated_keys(config.head_size), _rotates_neighbours(config)
        return _through(heads, input_type(self.keys), rotation, neighbours)

    def round_keys(self, heads: Floats, config: LlamaConfig) -> Floats:
        """Round keys (n_rows, n_kv_heads, head_size), after the rotary embedding."""
        rotation, neighbours = self.rotated_keys(config.head_size), _rotates_neighbours(config)
        return _through(heads, self.keys, rotation, neighbours)

    def round_values(self, heads: Floats, config: LlamaConfig) -> Floats:
        """Round values (n_rows, n_kv_heads, head_size)."""
        return _through(heads, self.values, self.rotated_values(config.head_size), False)


def _rotates_neighbours(config: LlamaConfig) -> bool:
    """Whether llama.cpp has each pair of a rotary embedding side by side, where the lab has halves.

    Then its blocks of a key hold other numbers.
    """
    return RUNNABLE[config.model_type].rotates_neighbours and not config.rope_interleaved


def _through(heads: Floats, name: str, rotation: int, neighbours: bool) -> Floats:
    """Put in llama.cpp's order, rotate, round to a type, and undo the first two."""
    if name == "F32":
        return heads
    if not np.isfinite(heads).all():
        raise ValueError(f"A {name} cache cannot keep a NaN or an infinity: the model makes some.")
    size = heads.shape[2]
    rows = np.ascontiguousarray(heads.reshape(-1, size))
    if neighbours:
        rows = rows.reshape(-1, 2, size // 2).swapaxes(1, 2).reshape(-1, size)
    if rotation:
        rows = rotated(rows, rotation)
    rows = _round(rows, name)
    if rotation:
        rows = rotated(rows, rotation)
    if neighbours:
        rows = rows.reshape(-1, size // 2, 2).swapaxes(1, 2)
    return rows.reshape(heads.shape)


def _round(rows: Floats, name: str) -> Floats:
    """Rows (n_rows, head_size) as a type restores them, written by llama.cpp's own functions."""
    if name in TURBO:
        return turbo_quant.round_trip(rows, TURBO[name])
    if name == "IQ4_NL":
        out = np.empty_like(rows)
        round_plainly(rows, out)
        return out
    if name in ("F16", "BF16", "Q8_0"):
        return rounded(rows, name)
    return FORMATS[name].round_trip(rows)


def _stored_bytes(name: str, head_size: int) -> int:
    if name in TURBO:
        return turbo_quant.stored_bytes(head_size, TURBO[name])
    return FORMATS[name].stored_bytes((head_size,))
