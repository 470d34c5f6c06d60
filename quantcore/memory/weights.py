"""Bytes of a model's weights, tensor by tensor, in a mix or a format."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal, get_args

from quantcore.architectures import by_name
from quantcore.formats import get_format
from quantcore.formats.ggml_types import FALLBACK
from quantcore.recipe.contents import contents_of_shape, layer_of
from quantcore.recipe.plan import plan
from quantcore.recipe.rules import may_quantize
from quantcore.recipe.types import ModelType, get_type
from quantcore.shape.model_shape import ModelShape, is_expert, is_weight

Part = Literal["embedding and output", "attention", "feed-forward", "experts", "norms and the like"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorBytes:
    """One tensor as it is stored."""

    name: str  # GGUF's
    shape: tuple[int, ...]
    format: str
    wanted: str | None  # what it would be if its rows divided into blocks; None where they do
    bytes: int

    @property
    def layer(self) -> int:
        """Layer, -1 outside the layers."""
        return layer_of(self.name)

    @property
    def part(self) -> Part:
        """What the tensor is for."""
        return part_of(self.name, self.shape)


@dataclass(frozen=True, kw_only=True)
class StoredWeights:
    """Bytes of a model's weights in one type, and where they are."""

    tensors: tuple[TensorBytes, ...]
    estimated: str = ""  # why the bytes are no certainty; empty where they are

    @cached_property
    def total_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def n_weights(self) -> int:
        """Weights, without the rotary embedding's constants."""
        return sum(math.prod(t.shape) for t in self.tensors if is_weight(t.name))

    @property
    def bits_per_weight(self) -> float:
        """Bits a weight of all tensors, norms and constants too, as llama-quantize counts them."""
        return 8 * self.total_bytes / max(1, sum(math.prod(t.shape) for t in self.tensors))

    @cached_property
    def alike(self) -> tuple["Alike", ...]:
        """Tensors of the same part in the same format together, in the order of `PARTS`."""

        def key(tensor: TensorBytes) -> tuple[int, str]:
            return PARTS.index(tensor.part), tensor.format

        groups = groupby(sorted(self.tensors, key=key), key)
        return tuple(
            _together(PARTS[part], format_name, list(these))
            for (part, format_name), these in groups
        )

    @property
    def bytes_by_part(self) -> dict[str, int]:
        """Bytes of each part that there is, in the order of `PARTS`."""
        n_bytes: Counter[str] = Counter()
        for group in self.alike:
            n_bytes[group.part] += group.bytes
        return {part: n for part, n in n_bytes.items() if n}

    @property
    def fallbacks(self) -> dict[str, int]:
        """Format taken because rows do not divide -> number of tensors, experts one by one."""
        n_tensors: Counter[str] = Counter()
        for tensor in self.tensors:
            if tensor.wanted:
                n_tensors[tensor.format] += tensor.shape[0] if is_expert(tensor.name) else 1
        return dict(n_tensors)

    def layer_bytes(self, layer: int) -> int:
        """Bytes of one layer; of everything outside the layers for -1."""
        return sum(tensor.bytes for tensor in self.tensors if tensor.layer == layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Tensors of one part in one format."""

    part: Part
    format: str
    n_tensors: int
    n_weights: int
    bytes: int


def _together(part: Part, format_name: str, tensors: list[TensorBytes]) -> Alike:
    return Alike(
        part=part,
        format=format_name,
        n_tensors=len(tensors),
        n_weights=sum(math.prod(tensor.shape) for tensor in tensors),
        bytes=sum(tensor.bytes for tensor in tensors),
    )


def part_of(name: str, shape: tuple[int, ...]) -> Part:
    """Say what a tensor is for.

    >>> part_of("blk.3.ffn_up.weight", (96, 64)), part_of("output.weight", (100, 64))
    ('feed-forward', 'embedding and output')
    """
    if is_expert(name):
        return "experts"
    if len(shape) < 2 or "_norm" in name:
        return "norms and the like"
    if layer_of(name) < 0:
        return "embedding and output"
    return "feed-forward" if ".ffn_" in name else "attention"


def stored_weights(shape: ModelShape, type_name: str) -> StoredWeights:
    """Bytes of every tensor in a mix, or when all matrices are stored in one format.

    Norms, biases and routers stay in F32, as in a converted GGUF file. Where the rows of a matrix
    do not divide into the format's blocks, the matrix takes the format that llama.cpp would take.

    Raises
    ------
    ValueError
        If the type is unknown.
    """
    meant = get_type(type_name)
    tensors = _in_mix(shape, meant) if meant.mix else _in_format(shape, meant)
    estimated = shape.estimated
    if meant.mix and not estimated and not by_name(shape.architecture).mix_rules:
        estimated = f"the lab’s rules of mixes do not cover {shape.architecture}"
    return StoredWeights(tensors=tensors, estimated=estimated)


def _in_mix(shape: ModelShape, meant: ModelType) -> tuple[TensorBytes, ...]:
    # A converted file keeps in F32 all that stays small.
    kept = {name: "F32" for name, size in shape.tensors.items() if not may_quantize(name, size)}
    contents = contents_of_shape(shape, kept)
    planned = plan(contents, meant.name)
    if planned.needs_imatrix:  # without one there is no such file; with one some rules differ
        planned = plan(contents, meant.name, imatrix=True)
    return tuple(
        TensorBytes(name=t.name, shape=t.shape, format=t.type, wanted=t.fallback, bytes=t.bytes)
        for t in planned.tensors
    )


def _in_format(shape: ModelShape, meant: ModelType) -> tuple[TensorBytes, ...]:
    tensors = []
    for name, size in shape.tensors.items():
        wanted = meant.format if may_quantize(name, size) else get_format("F32")
        matrix = (size[-2] if len(size) > 1 else 1, size[-1])
        fmt = _that_fits(wanted, matrix)
        n_matrices = math.prod(size) // math.prod(matrix)
        tensors.append(
            TensorBytes(
                name=name,
                shape=size,
                format=fmt.name,
                wanted=wanted.name if fmt is not wanted else None,
                bytes=n_matrices * fmt.stored_bytes(matrix),
            )
        )
    return tuple(tensors)


def _that_fits(fmt, shape: tuple[int, int]):
    """Return the format itself, or what stands in for it: F16 fits any row."""
    for name in (fmt.name, FALLBACK.get(fmt.name), "F16"):
        if name:
            try:
                (candidate := get_format(name)).check(shape)
            except ValueError:
                continue
            return fmt if name == fmt.name else candidate
    raise ValueError(f"No format fits tensors of shape {shape}")
