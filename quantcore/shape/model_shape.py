"""The sizes of a model that decide how much memory it takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from quantcore.architectures import RUNNABLE
from quantcore.model.config import LlamaConfig
from quantcore.model.names import expected_shapes

CacheKind = Literal["full", "window", "chunk", "latent", "state", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCache:
    """What one layer keeps of the tokens that it has read.

    A full layer keeps keys and values of all of them, one with a window or chunks those that it
    still sees; latent attention one small vector a token, which stands for keys and values. A
    recurrent layer keeps a state of fixed size.
    """

    kind: CacheKind
    key_values: int = 0  # numbers that a token adds to the keys: KV heads * head size
    value_values: int = 0
    window: int | None = None  # tokens that a layer with a window or chunks sees
    state_values: int = 0  # float32 numbers a sequence, however long it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A feed-forward part split into experts, of which each token uses a few."""

    count: int
    used: int  # by each token
    size: int  # width of one expert
    shared: int = 0  # experts of that width that every token passes through
    dense_layers: int = 0  # leading layers with an ordinary feed-forward part


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention: the cache holds one small vector instead of keys and values."""

    kv_size: int  # of the latent vector
    rope_size: int  # of the rotated key that all heads share
    query_size: int | None  # of the query's own latent vector, None where it has none
    key_size: int  # of a head's unrotated key
    value_size: int
    index_size: int = 0  # of the key by which an indexer picks tokens (DeepSeek's sparse attention)
    index_heads: int = 0

    @property
    def cached(self) -> int:
        """Numbers that a token adds to the cache of a layer."""
        return self.kv_size + self.rope_size + self.index_size


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A decoder's sizes, as its config.json or the header of its file gives them."""

    name: str
    architecture: str  # GGUF's: "llama" also for Mistral and Mixtral, "deepseek2", "gemma3"
    n_layers: int
    hidden_size: int
    feed_forward_size: int  # of layers without experts
    n_heads: int
    n_kv_heads: int
    head_size: int
    vocabulary_size: int
    tied_embedding: bool
    context_length: int  # tokens that the model was made for
    caches: tuple[LayerCache, ...] = field(repr=False)  # one a layer
    experts: Experts | None = None
    latent: LatentAttention | None = None
    # GGUF's names; (n_rows, n_cols), stacks of experts with one axis more in front
    tensors: Mapping[str, tuple[int, ...]] = field(repr=False)
    estimated: str = ""  # why the tensors are no certainty; empty where they are
    published_weights: int | None = None
    extras: Mapping[str, int] = field(default_factory=dict)  # only in that number
    source: str = ""

    @cached_property
    def n_weights(self) -> int:
        """Weights in all tensors; constants of the rotary embedding, in GGUF files, don't count."""
        return sum(math.prod(shape) for name, shape in self.tensors.items() if is_weight(name))

    @cached_property
    def active_weights(self) -> int:
        """Weights that one token passes through: of the experts, those that it uses."""
        share = self.experts.used / self.experts.count if self.experts else 1
        return round(
            sum(
                math.prod(shape) * (share if is_expert(name) else 1)
                for name, shape in self.tensors.items()
                if is_weight(name)
            )
        )

    @property
    def unexplained_weights(self) -> int:
        """What the published number counts besides these weights and the extras known of it."""
        if self.published_weights is None:
            return 0
        return self.published_weights - self.n_weights - sum(self.extras.values())

    @property
    def n_full_layers(self) -> int:
        """Layers whose cache grows with the whole context."""
        return sum(cache.kind in ("full", "latent") for cache in self.caches)

    @property
    def window(self) -> int | None:
        """Tokens that layers with a window or chunks see, None where there is no such layer."""
        return next((cache.window for cache in self.caches if cache.window), None)


def is_expert(name: str) -> bool:
    """Whether a tensor is a stack of experts, of which a token uses a few.

    >>> is_expert("blk.0.ffn_up_exps.weight"), is_expert("blk.0.ffn_up_shexp.weight")
    (True, False)
    """
    return "_exps." in name


def is_weight(name: str) -> bool:
    """Whether a tensor was trained; frequencies of the rotary embedding were not."""
    return not name.startswith("rope_")


def shape_from_config(config: LlamaConfig, name: str) -> ModelShape:
    """Take the sizes of an opened model."""
    shared = ("n_layers", "hidden_size", "feed_forward_size", "n_heads", "n_kv_heads", "head_size")
    more = ("vocabulary_size", "tied_embedding", "context_length")
    row = config.n_kv_heads * config.head_size
    return ModelShape(
        name=name,
        architecture=RUNNABLE[config.model_type].name,
        caches=(LayerCache(kind="full", key_values=row, value_values=row),) * config.n_layers,
        tensors=expected_shapes(config),
        source="the opened model",
        **{key: getattr(config, key) for key in shared + more},
    )
