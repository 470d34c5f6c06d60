"""All that a model takes under a set-up, term by term, each with its formula."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from quantcore.formats import get_format
from quantcore.memory.kv_cache import CacheTerm, cache_terms
from quantcore.memory.shape import ModelShape
from quantcore.memory.weights import PARTS, StoredTensor, StoredWeights, stored_weights

RUNTIMES = ("none", "llama.cpp", "vllm")
Runtime = Literal["none", "llama.cpp", "vllm"]
TermKind = Literal["weights", "cache", "compute", "overhead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a model is to be run. `none` is no runtime: what the model itself needs."""

    type_name: str = "Q4_K_M"
    context: int = 4096  # of all sequences together under llama.cpp, of each otherwise
    sequences: int = 1
    key_type: str = "F16"
    value_type: str = "F16"
    shared_prefix: int = 0  # tokens that all sequences begin with, kept once
    runtime: Runtime = "none"
    batch: int = 2048  # llama.cpp's -b and -ub
    ubatch: int = 512
    flash_attention: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.runtime not in RUNTIMES:
            raise ValueError(f"no runtime {self.runtime!r}; there are {', '.join(RUNTIMES)}")
        for name in ("context", "sequences", "batch", "ubatch"):
            if not 1 <= getattr(self, name) <= 2**40:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One part of the memory, and how its size comes about."""

    kind: TermKind
    name: str
    bytes: int
    formula: str  # with this model's numbers put in
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Memory of a model under a set-up."""

    shape: ModelShape
    setup: Setup
    stored: StoredWeights
    terms: tuple[Term, ...]

    def bytes_of(self, *kinds: TermKind) -> int:
        """Bytes of the terms of some kinds."""
        return sum(term.bytes for term in self.terms if term.kind in kinds)

    @property
    def weights_bytes(self) -> int:
        """Bytes of the weights."""
        return self.bytes_of("weights")

    @property
    def kv_cache_bytes(self) -> int:
        """Bytes of the KV cache, states of recurrent layers included."""
        return self.bytes_of("cache")

    @property
    def compute_bytes(self) -> int:
        """Bytes of buffers for results in the making, and what a runtime takes besides."""
        return self.bytes_of("compute", "overhead")

    @property
    def total_bytes(self) -> int:
        """Bytes of everything."""
        return sum(term.bytes for term in self.terms)

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes that one more token of one sequence adds while no window is full."""
        one = cache_terms(self.shape, 1, 1, self.setup.key_type, self.setup.value_type)
        return sum(term.key_bytes + term.value_bytes for term in one)


def estimate(shape: ModelShape, setup: Setup) -> Estimate:
    """Add up weights, cache and buffers.

    Raises
    ------
    ValueError
        For an unknown type or runtime, or a cache that the heads do not divide into.
    """
    stored = stored_weights(shape, setup.type_name)
    terms = [*_weights(stored), *_cache(shape, setup)]
    return Estimate(shape=shape, setup=setup, stored=stored, terms=tuple(terms))


def _weights(stored: StoredWeights) -> Iterator[Term]:
    """One term for the tensors of each part in each format."""

    def key(tensor: StoredTensor) -> tuple[int, str]:
        return PARTS.index(tensor.part), tensor.format

    for (part, format_name), tensors in groupby(sorted(stored.tensors, key=key), key):
        these = list(tensors)
        numbers = sum(math.prod(tensor.shape) for tensor in these)
        yield Term(
            kind="weights",
            name=f"{PARTS[part]} in {format_name}",
            bytes=sum(tensor.bytes for tensor in these),
            formula=f"{len(these)} tensors, {numbers:,} weights × {_each(format_name)}",
        )


def _each(format_name: str) -> str:
    """Bytes of a weight as a fraction: "144 B / 256"."""
    fmt = get_format(format_name)
    size = getattr(fmt, "block_size", None)
    if size is None:  # the scale covers a row or a tensor
        return f"{fmt.code_bits} bits, and scales"
    return f"{fmt.block_bytes} B" if size == 1 else f"{fmt.block_bytes} B / {size}"


_NAMES = {
    "full": "cache of layers that see everything",
    "window": "cache of layers with a window",
    "chunk": "cache of layers with chunks",
    "latent": "cache of latent vectors",
    "state": "states of recurrent layers",
}


def _cache(shape: ModelShape, setup: Setup) -> Iterator[Term]:
    terms = cache_terms(
        shape,
        setup.context,
        setup.sequences,
        setup.key_type,
        setup.value_type,
        shared_prefix=setup.shared_prefix,
    )
    for term in terms:
        if term.bytes:
            yield Term(
                kind="cache",
                name=_NAMES[term.kind],
                bytes=term.bytes,
                formula=_cache_formula(shape, setup, term),
            )


def _cache_formula(shape: ModelShape, setup: Setup, term: CacheTerm) -> str:
    layers = f"{term.n_layers} layer{'s' if term.n_layers > 1 else ''}"
    if term.kind == "state":
        each = f" × {term.n_sequences} sequences" if term.n_sequences > 1 else ""
        return f"{layers} × {term.state_values:,} numbers × 4 B{each}"
    counted = f"{layers} × {term.n_tokens:,} tokens"
    key, value = _each(setup.key_type.upper()), _each(setup.value_type.upper())
    if term.kind == "latent":
        latent = shape.latent
        return f"{counted} × ({latent.kv_size} + {latent.rope_size}) × {key}"
    row = f"{shape.n_kv_heads} KV heads × {shape.head_size}"
    if term.key_values != shape.n_kv_heads * shape.head_size:
        row = f"{term.key_values:,} numbers"
    if key == value:
        return f"{counted} × 2 × {row} × {key}"
    return f"{counted} × {row} × ({key} + {value})"
