"""The sizes of a model that decide how much memory it takes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from quantcore.model.config import LlamaConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A feed-forward part split into experts, of which each token uses a few."""

    count: int
    used: int  # by each token
    size: int  # width of one expert
    shared: int = 0  # experts of that width that every token passes through
    dense_layers: int = 0  # leading layers with an ordinary feed-forward part
    bias: bool = False  # on the router and on every projection
    score_bias: bool = False  # DeepSeek-V3's correction, one number an expert


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention: the cache holds one small vector instead of keys and values."""

    kv_size: int  # of the latent vector
    rope_size: int  # of the rotated key that all heads share
    query_size: int | None  # of the query's own latent vector, None where it has none
    key_size: int  # of a head's unrotated key
    value_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A decoder's sizes, as its config.json gives them.

    `window` is what a sliding-window layer still sees; `full_layers` are the layers without one,
    None meaning none of them has it where `window` is set, and all of them where it is not.
    """

    name: str
    n_layers: int
    hidden_size: int
    feed_forward_size: int
    n_heads: int
    n_kv_heads: int
    head_size: int
    vocabulary_size: int
    tied_embedding: bool
    context_length: int  # tokens that the model was made for
    attention_bias: bool = False  # on query, key and value
    output_bias: bool = False  # on the attention's output
    head_norm: bool = False  # q and k norms of head_size
    norms_per_layer: int = 2
    attention_sinks: bool = False  # one number a head
    window: int | None = None
    full_layers: tuple[int, ...] | None = None
    experts: Experts | None = None
    latent: LatentAttention | None = None
    n_weights: int | None = None  # where it is known; otherwise counted from the sizes
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be."""
        for field in fields(self):
            size = getattr(self, field.name)
            if type(size) is int and size < 1:
                raise ValueError(f"{field.name} must be at least 1, got {size}")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"{self.n_heads} heads cannot share {self.n_kv_heads} KV heads evenly: "
                "the first number must be a multiple of the second"
            )

    @property
    def n_full_layers(self) -> int:
        """Layers whose cache grows with the whole context."""
        if self.window is None:
            return self.n_layers
        return len(self.full_layers or ())


def shape_from_config(config: LlamaConfig, name: str) -> ModelShape:
    """Take the sizes of an opened model."""
    shared = ("n_layers", "hidden_size", "feed_forward_size", "n_heads", "n_kv_heads", "head_size")
    more = ("vocabulary_size", "tied_embedding", "context_length", "attention_bias", "output_bias")
    sizes = {key: getattr(config, key) for key in shared + more}
    return ModelShape(name=name, head_norm=config.qk_norm, **sizes)


def llama_config(shape: ModelShape) -> LlamaConfig:
    """Take the sizes of a known Llama for a config; only sizes are right in it."""
    shared = ("n_layers", "hidden_size", "feed_forward_size", "n_heads", "n_kv_heads", "head_size")
    more = ("vocabulary_size", "tied_embedding", "context_length")
    sizes = {key: getattr(shape, key) for key in shared + more}
    return LlamaConfig(architecture="llama", norm_epsilon=1e-5, **sizes)


def shape_from_preset(entry: Mapping) -> ModelShape:
    """Read one object of assets/presets.json."""
    sizes = dict(entry)
    if "experts" in sizes:
        sizes["experts"] = Experts(**sizes["experts"])
    if "latent" in sizes:
        sizes["latent"] = LatentAttention(**sizes["latent"])
    if "full_layers" in sizes:
        sizes["full_layers"] = tuple(sizes["full_layers"])
    return ModelShape(**sizes)
