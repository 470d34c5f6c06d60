"""One layer as the names and shapes of its tensors describe it."""

from collections.abc import Mapping
from dataclasses import dataclass

from quantcore.architectures import Architecture, by_name
from quantcore.memory.llama_cpp.graph import Dims, Node, new, over
from quantcore.shape.model_shape import LatentAttention, LayerCache, ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphLayer:
    """A layer's sizes; `tensors` maps ``attn_q`` and its like to their shapes."""

    shape: ModelShape
    cache: LayerCache
    index: int
    n_tokens: int
    tensors: Mapping[str, tuple[int, ...]]

    @property
    def is_last(self) -> bool:
        """Whether the logits come next."""
        return self.index == self.shape.n_layers - 1

    def product(self, role: str, label: str, *sources: Node, dims: Dims) -> Node:
        """Multiply by the matrix of that role."""
        node = new(label, *sources, dims=dims)
        node.weight = f"blk.{self.index}.{role}.weight"
        return node

    def __contains__(self, role: str) -> bool:
        """Whether there is a tensor of this role."""
        return role in self.tensors

    @property
    def latent(self) -> LatentAttention | None:
        """Sizes of latent attention."""
        return self.shape.latent if self.cache.kind == "latent" else None

    @property
    def tokens(self) -> tuple[int, str]:
        """The number of tokens, as one factor."""
        return self.n_tokens, "tokens"

    @property
    def hidden(self) -> Dims:
        """Sizes of a hidden state."""
        return (self.shape.hidden_size, "values"), self.tokens

    @property
    def n_heads(self) -> int:
        """Heads of the queries."""
        return self.shape.n_heads

    @property
    def n_kv_heads(self) -> int:
        """Heads of keys and values."""
        return 1 if self.latent else self.cache.key_values // self.shape.head_size

    @property
    def key_size(self) -> int:
        """Numbers of a key as the cache holds it."""
        return self.cache.key_values // self.n_kv_heads

    @property
    def value_size(self) -> int:
        """Numbers of a value as attention reads it; of latent attention, the latent vector."""
        return self.latent.kv_size if self.latent else self.cache.value_values // self.n_kv_heads

    @property
    def window(self) -> int | None:
        """Tokens that it still sees by llama.cpp's reckoning, None where it sees them all."""
        return window_of(self.shape, self.cache)

    @property
    def architecture(self) -> Architecture:
        """What is said of the model's architecture."""
        return by_name(self.shape.architecture)

    @property
    def rotated(self) -> tuple[str, ...]:
        """Which of queries and keys are made anew by rotation by position, or a scale in place."""
        layers = self.architecture.rotated
        if layers == "all" or (layers == "windows" and self.cache.window):
            return ("queries", "keys")
        return ("queries",) if self.architecture.scaled_queries else ()


def normed(shape: ModelShape, cur: Node) -> Node:
    """Norm a hidden state: RMS norm may be written over it, LayerNorm needs a tensor of its own."""
    if "output_norm.bias" in shape.tensors or by_name(shape.architecture).layer_norm:
        return new("hidden state", cur, dims=cur.dims)
    return over("hidden state", cur)


def window_of(shape: ModelShape, cache: LayerCache) -> int | None:
    """Return a layer's window where llama.cpp makes use of it."""
    return cache.window if by_name(shape.architecture).has_windows else None
