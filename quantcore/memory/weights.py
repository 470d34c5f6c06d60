"""How many weights a model has, part by part, and their bytes in a mix or a format."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from quantcore.formats import get_format
from quantcore.formats.ggml_types import FALLBACK
from quantcore.memory.shape import ModelShape
from quantcore.recipe.contents import Contents
from quantcore.recipe.plan import TensorPlan, plan
from quantcore.recipe.types import get_type

_OUTPUT = "output.weight"
Part = Literal["embedding and output", "attention", "feed-forward", "norms and biases"]


@dataclass(frozen=True, slots=True)
class WeightGroup:
    """Equal tensors, for instance the query projections of all layers."""

    part: Part
    shape: tuple[int, int]  # (n_rows, n_cols) of one matrix
    names: tuple[str, ...]  # of the tensors in a GGUF file
    experts: int = 1  # matrices stacked in one tensor
    quantizable: bool = True

    @property
    def count(self) -> int:
        """Number of matrices."""
        return len(self.names) * self.experts

    @property
    def n_weights(self) -> int:
        """Weights in all tensors of the group."""
        return self.count * self.shape[0] * self.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWeights:
    """Bytes of a model's weights in one type, and where they are."""

    bytes_by_part: dict[str, int]
    n_weights: int
    fallbacks: dict[str, int]  # format taken instead -> tensors, where rows do not divide

    @property
    def total_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(self.bytes_by_part.values())

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, scales and the tensors kept in F32 included."""
        return 8 * self.total_bytes / self.n_weights


def weight_groups(shape: ModelShape) -> list[WeightGroup]:
    """List all tensors of a model: matrices by kind, then vectors and routers, kept in F32.

    As config.json tells them apart; some files fuse or split a few (Phi-4, DeepSeek).
    """
    vocabulary = (shape.vocabulary_size, shape.hidden_size)
    outer = ("token_embd.weight",) if shape.tied_embedding else ("token_embd.weight", _OUTPUT)
    groups = [WeightGroup("embedding and output", vocabulary, outer)]
    groups += _latent_attention(shape) if shape.latent else _attention(shape)
    groups += _feed_forward(shape)
    vectors = (1, _n_vector_weights(shape))
    groups.append(WeightGroup("norms and biases", vectors, ("vectors",), quantizable=False))
    return groups


def stored_weights(shape: ModelShape, type_name: str) -> StoredWeights:
    """Bytes of every part in a mix, or when all matrices are stored in one format.

    Norms, biases and routers stay in F32, as in a GGUF file. Where the rows of a matrix do not
    divide into the format's blocks, the matrix takes the format that llama.cpp would take instead.
    Where `shape` says how many weights there are, and the sizes add up to another number, all parts
    are stretched to it.

    Raises
    ------
    ValueError
        If the type is unknown.
    """
    meant, groups = get_type(type_name), weight_groups(shape)
    mixed = _in_mix(shape, groups, meant.name) if meant.mix else {}
    bytes_by_part: Counter[str] = Counter()
    fallbacks: Counter[str] = Counter()
    for group in groups:
        if mixed and group.quantizable:
            planned = [mixed[name] for name in group.names]
            fallbacks.update(tensor.type for tensor in planned if tensor.fallback)
            bytes_by_part[group.part] += sum(tensor.bytes for tensor in planned)
            continue
        wanted = meant.format if group.quantizable else get_format("F32")
        fmt = _that_fits(wanted, group.shape)
        if fmt is not wanted:
            fallbacks[fmt.name] += group.count
        bytes_by_part[group.part] += group.count * fmt.stored_bytes(group.shape)
    n_weights = sum(group.n_weights for group in groups)
    if shape.n_weights and shape.n_weights != n_weights:
        more = shape.n_weights / n_weights
        bytes_by_part = Counter({part: round(more * n) for part, n in bytes_by_part.items()})
        n_weights = shape.n_weights
    return StoredWeights(
        bytes_by_part=dict(bytes_by_part), n_weights=n_weights, fallbacks=dict(fallbacks)
    )


def _in_mix(shape: ModelShape, groups: list[WeightGroup], mix: str) -> dict[str, TensorPlan]:
    """Plan the matrices as llama-quantize would those of a Llama."""
    shapes = {
        name: (group.experts, *group.shape) if "_exps." in name else group.shape
        for group in groups
        if group.quantizable
        for name in group.names
    }
    contents = Contents(
        name=shape.name,
        architecture="llama",
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        n_kv_heads=shape.n_kv_heads,
        n_experts=shape.experts.count if shape.experts else 0,
        shapes=shapes,
    )
    return {tensor.name: tensor for tensor in plan(contents, mix).tensors}


def _that_fits(fmt, shape: tuple[int, int]):
    """Return the format itself, or what stands in for it: F16 fits any row."""
    for name in (fmt.name, FALLBACK.get(fmt.name), "F16"):
        if name:
            try:
                (candidate := get_format(name)).check(shape)
            except ValueError:
                continue
            return fmt if name == fmt.name else candidate
    raise ValueError(f"no format fits tensors of shape {shape}")


def _attention(s: ModelShape) -> Iterator[WeightGroup]:
    query, kv = s.n_heads * s.head_size, s.n_kv_heads * s.head_size
    for role, rows in (("attn_q", query), ("attn_k", kv), ("attn_v", kv)):
        yield WeightGroup("attention", (rows, s.hidden_size), _in_layers(role, s.n_layers))
    yield WeightGroup("attention", (s.hidden_size, query), _in_layers("attn_output", s.n_layers))


def _latent_attention(s: ModelShape) -> Iterator[WeightGroup]:
    a = s.latent
    query = s.n_heads * (a.key_size + a.rope_size)
    if a.query_size:
        shapes = {"attn_q_a": (a.query_size, s.hidden_size), "attn_q_b": (query, a.query_size)}
    else:
        shapes = {"attn_q": (query, s.hidden_size)}
    shapes["attn_kv_a_mqa"] = (a.kv_size + a.rope_size, s.hidden_size)
    shapes["attn_kv_b"] = (s.n_heads * (a.key_size + a.value_size), a.kv_size)
    shapes["attn_output"] = (s.hidden_size, s.n_heads * a.value_size)
    for role, shape in shapes.items():
        yield WeightGroup("attention", shape, _in_layers(role, s.n_layers))


def _feed_forward(s: ModelShape) -> Iterator[WeightGroup]:
    def gated(width: int, suffix: str, first: int, stop: int, experts: int = 1):
        layers = range(first, stop)
        for role in ("ffn_gate", "ffn_up", "ffn_down"):
            shape = (s.hidden_size, width) if role == "ffn_down" else (width, s.hidden_size)
            names = tuple(f"blk.{i}.{role}{suffix}.weight" for i in layers)
            yield WeightGroup("feed-forward", shape, names, experts)

    if s.experts is None:
        yield from gated(s.feed_forward_size, "", 0, s.n_layers)
        return
    e, first = s.experts, s.experts.dense_layers
    yield from gated(e.size, "_exps", first, s.n_layers, e.count)
    if e.shared:
        yield from gated(e.shared * e.size, "_shexp", first, s.n_layers)
    if first:
        yield from gated(s.feed_forward_size, "", 0, first)
    routers = tuple(f"blk.{i}.ffn_gate_inp.weight" for i in range(first, s.n_layers))
    yield WeightGroup("feed-forward", (e.count, s.hidden_size), routers, quantizable=False)


def _in_layers(role: str, n_layers: int) -> tuple[str, ...]:
    return tuple(f"blk.{i}.{role}.weight" for i in range(n_layers))


def _n_vector_weights(s: ModelShape) -> int:
    query, kv = s.n_heads * s.head_size, s.n_kv_heads * s.head_size
    layer = s.norms_per_layer * s.hidden_size
    layer += 2 * s.head_size * s.head_norm + s.n_heads * s.attention_sinks
    layer += (query + 2 * kv) * s.attention_bias + s.hidden_size * s.output_bias
    if s.latent:
        layer += s.latent.kv_size + (s.latent.query_size or 0)
    total = s.n_layers * layer + s.hidden_size  # the last norm
    if e := s.experts:
        each = e.count * ((1 + 2 * e.size + s.hidden_size) * e.bias + e.score_bias)
        total += (s.n_layers - e.dense_layers) * each
    return total
