"""How vLLM cuts memory for the KV cache into blocks, and how many tokens they hold.

After vllm/v1/core/kv_cache_utils.py and kv_cache_interface.py (commit 001cabc1). Layers are put
into groups of equal size, each group has a table of blocks of its own, and a block holds 16 tokens
of all layers of one group. Design: docs.vllm.ai, design/hybrid_kv_cache_manager.
"""

from collections import Counter
from dataclasses import dataclass

from quantcore.shape.model_shape import LayerCache, ModelShape

BLOCK_TOKENS = 16
CACHE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "FP8": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Blocks of a cache: one is `page_bytes` in each of `layers_per_group` layers."""

    page_bytes: int
    layers_per_group: int
    groups: tuple[LayerCache, ...]  # the layers of each group are of this kind
    state_bytes: int = 0  # of recurrent layers, for each sequence

    @property
    def block_bytes(self) -> int:
        """Bytes that one block takes in all."""
        return self.page_bytes * self.layers_per_group

    def count(self, n_bytes: int) -> int:
        """Blocks that memory holds."""
        return max(n_bytes, 0) // self.block_bytes if self.block_bytes else 0

    def tokens(self, n_bytes: int) -> int:
        """Tokens as vLLM logs them, "GPU KV cache size", as if every group kept all of them.

        Releases of 2026 log `sequences` times the context instead.
        """
        return self.count(n_bytes) // max(len(self.groups), 1) * BLOCK_TOKENS

    def blocks_of(self, context: int, batched_tokens: int) -> int:
        """Blocks that one sequence of `context` tokens needs at most."""
        return sum(_blocks_of(group, context, batched_tokens) for group in self.groups)

    def sequences(self, n_bytes: int, context: int, batched_tokens: int) -> float:
        """Sequences of that length that fit at once: "Maximum concurrency"."""
        each = self.blocks_of(context, batched_tokens) * self.block_bytes + self.state_bytes
        if self.state_bytes:
            return max(n_bytes, 0) / each
        needed = self.blocks_of(context, batched_tokens)
        return self.count(n_bytes) / needed if needed else 0.0


def blocks_of_shape(shape: ModelShape, cache_type: str = "F16", n_gpus: int = 1) -> Blocks:
    """Group a model's layers; each of `n_gpus` holds its share of the KV heads.

    A latent vector is no head: every GPU keeps the whole of it. States of recurrent layers are
    counted a sequence, though vLLM puts them into blocks too, padded: a lower bound for those.

    Raises
    ------
    ValueError
        If vLLM has no such cache type.
    """
    name = cache_type.upper()
    if name not in CACHE_BYTES:
        raise ValueError(
            f"vLLM has no cache of type {cache_type}; there are {', '.join(CACHE_BYTES)}"
        )
    attending = [cache for cache in shape.caches if cache.key_values]
    heads = 1 if shape.latent else min(n_gpus, shape.n_kv_heads)
    page = BLOCK_TOKENS * max((c.key_values + c.value_values for c in attending), default=0)
    size, groups = _grouped(Counter(attending))
    return Blocks(
        page_bytes=page * CACHE_BYTES[name] // heads,
        layers_per_group=size,
        groups=groups,
        state_bytes=sum(4 * cache.state_values for cache in shape.caches) // n_gpus,
    )


def one_type(key_type: str, value_type: str) -> str:
    """Return the type of keys and values, which vLLM does not tell apart."""
    if key_type.upper() != value_type.upper():
        raise ValueError(
            f"vLLM keeps keys and values in one type, not in {key_type} and {value_type}"
        )
    return key_type


def _grouped(kinds: Counter[LayerCache]) -> tuple[int, tuple[LayerCache, ...]]:
    """Layers of a group, and the kind of each group; the last of a kind may have fewer layers."""
    if not kinds:
        return 0, ()
    fewest, most = min(kinds.values()), max(kinds.values())
    size = most if most < 1.5 * fewest else fewest
    groups = [kind for kind, count in kinds.items() for _ in range(-(-count // size))]
    return size, tuple(groups)


def _blocks_of(kind: LayerCache, context: int, batched_tokens: int) -> int:
    """Blocks of one group; a window also keeps the tokens that are just being read."""
    tokens = context
    if kind.window is not None and kind.kind == "window":
        tokens = min(kind.window - 1 + batched_tokens, context)
    elif kind.window is not None and kind.kind == "chunk":
        tokens = min(kind.window + batched_tokens, context)
    blocks = -(-tokens // BLOCK_TOKENS)
    return blocks + (kind.kind == "window")  # it need not start where a block does
