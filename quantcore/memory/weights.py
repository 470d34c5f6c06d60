"""How many weights a model has, part by part, and their bytes in a format."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from quantcore.formats import get_format
from quantcore.formats.ggml_types import FALLBACK
from quantcore.memory.shape import ModelShape

Part = Literal["embedding and output", "attention", "feed-forward", "norms and biases"]


@dataclass(frozen=True, slots=True)
class WeightGroup:
    """Equal tensors, for instance the query projections of all layers."""

    part: Part
    shape: tuple[int, int]  # (n_rows, n_cols) of one
    count: int
    quantizable: bool = True

    @property
    def n_weights(self) -> int:
        """Weights in all tensors of the group."""
        return self.count * self.shape[0] * self.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWeights:
    """Bytes of a model's weights in one format, and where they are."""

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
    """List all tensors of a model: matrices by kind, then vectors and routers, kept in F32."""
    vocabulary = (shape.vocabulary_size, shape.hidden_size)
    copies = 1 if shape.tied_embedding else 2
    groups = [WeightGroup("embedding and output", vocabulary, copies)]
    groups += _latent_attention(shape) if shape.latent else _attention(shape)
    groups += _feed_forward(shape)
    vectors = _n_vector_weights(shape)
    groups.append(WeightGroup("norms and biases", (1, vectors), 1, quantizable=False))
    return groups


def stored_weights(shape: ModelShape, format_name: str) -> StoredWeights:
    """Bytes of every part when all matrices are stored in one format.

    Norms, biases and routers stay in F32, as in a GGUF file. Where the rows of a matrix do not
    divide into the format's blocks, the matrix takes the format that llama.cpp would take instead.
    Where `shape` says how many weights there are, and the sizes add up to another number, all parts
    are stretched to it.

    Raises
    ------
    ValueError
        If the format is unknown.
    """
    bytes_by_part: dict[str, int] = {}
    fallbacks: dict[str, int] = {}
    for group in (groups := weight_groups(shape)):
        wanted = get_format(format_name if group.quantizable else "F32")
        fmt = _that_fits(wanted, group.shape)
        if fmt is not wanted:
            fallbacks[fmt.name] = fallbacks.get(fmt.name, 0) + group.count
        size = group.count * fmt.stored_bytes(group.shape)
        bytes_by_part[group.part] = bytes_by_part.get(group.part, 0) + size
    n_weights = sum(group.n_weights for group in groups)
    if shape.n_weights and shape.n_weights != n_weights:
        more = shape.n_weights / n_weights
        bytes_by_part = {part: round(more * size) for part, size in bytes_by_part.items()}
        n_weights = shape.n_weights
    return StoredWeights(bytes_by_part=bytes_by_part, n_weights=n_weights, fallbacks=fallbacks)


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
    for rows, cols in ((query, s.hidden_size), (kv, s.hidden_size), (kv, s.hidden_size)):
        yield WeightGroup("attention", (rows, cols), s.n_layers)
    yield WeightGroup("attention", (s.hidden_size, query), s.n_layers)


def _latent_attention(s: ModelShape) -> Iterator[WeightGroup]:
    a = s.latent
    query = s.n_heads * (a.key_size + a.rope_size)
    shapes = [(query, a.query_size or s.hidden_size)]
    if a.query_size:
        shapes.append((a.query_size, s.hidden_size))
    shapes.append((a.kv_size + a.rope_size, s.hidden_size))
    shapes.append((s.n_heads * (a.key_size + a.value_size), a.kv_size))
    shapes.append((s.hidden_size, s.n_heads * a.value_size))
    for shape in shapes:
        yield WeightGroup("attention", shape, s.n_layers)


def _feed_forward(s: ModelShape) -> Iterator[WeightGroup]:
    def gated(width: int, count: int) -> Iterator[WeightGroup]:
        yield WeightGroup("feed-forward", (width, s.hidden_size), 2 * count)  # gate and up
        yield WeightGroup("feed-forward", (s.hidden_size, width), count)  # down

    if s.experts is None:
        yield from gated(s.feed_forward_size, s.n_layers)
        return
    e, routed = s.experts, s.n_layers - s.experts.dense_layers
    yield from gated(e.size, (e.count + e.shared) * routed)
    if e.dense_layers:
        yield from gated(s.feed_forward_size, e.dense_layers)
    yield WeightGroup("feed-forward", (e.count, s.hidden_size), routed, quantizable=False)


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
