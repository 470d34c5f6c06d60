"""The KV cache: what attention keeps of every token it has read."""

from dataclasses import dataclass
from typing import Literal

from quantcore.formats import get_format
from quantcore.memory.shape import ModelShape

CACHE_FORMATS = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")  # llama.cpp's -ctk


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTerm:
    """Layers of one kind: ``n_layers * n_tokens * values_per_token`` values are kept."""

    kind: Literal["full", "window", "latent"]
    n_layers: int
    n_tokens: int
    values_per_token: int  # in one layer: keys and values of all KV heads, or the latent vector

    @property
    def n_values(self) -> int:
        """Values kept by all layers of this kind."""
        return self.n_layers * self.n_tokens * self.values_per_token


def cache_terms(shape: ModelShape, context: int, n_sequences: int = 1) -> tuple[CacheTerm, ...]:
    """Count what each kind of layer keeps after `context` tokens in each of `n_sequences`.

    Keys and values of all **KV** heads, each of `head_size`: not of all heads (grouped-query
    attention), and not of hidden_size / n_heads where config.json gives a head size. A layer with
    a sliding window keeps its window only. With latent attention one vector stands for them all.

    Examples
    --------
    Llama-3.1-8B keeps 32 layers of 2 * 8 heads * 128, in two bytes each 131,072 bytes a token.

    >>> from quantcore.memory import presets
    >>> (term,) = cache_terms(presets()["Llama-3.1-8B"], context=1)
    >>> 2 * term.n_values
    131072
    """
    if shape.latent:
        size = shape.latent.kv_size + shape.latent.rope_size
        kept = (("latent", shape.n_layers, context, size),)
    else:
        size = 2 * shape.n_kv_heads * shape.head_size
        n_full, n_seen = shape.n_full_layers, min(context, shape.window or context)
        kept = (("full", n_full, context, size), ("window", shape.n_layers - n_full, n_seen, size))
    return tuple(
        CacheTerm(kind=k, n_layers=n, n_tokens=tokens * n_sequences, values_per_token=size)
        for k, n, tokens, size in kept
        if n
    )


def cache_bytes(
    shape: ModelShape, context: int, format_name: str = "F16", n_sequences: int = 1
) -> int:
    """Bytes of the whole cache, its scales included.

    Raises
    ------
    ValueError
        If llama.cpp has no such cache, or a head does not divide into the format's blocks.
    """
    name = format_name.upper()
    if name not in CACHE_FORMATS:
        raise ValueError(f"no cache of type {format_name}; there are {', '.join(CACHE_FORMATS)}")
    fmt = get_format(name)
    row = shape.latent.kv_size + shape.latent.rope_size if shape.latent else shape.head_size
    if row % fmt.block_size:
        raise ValueError(f"a {name} cache needs heads of a multiple of {fmt.block_size}, got {row}")
    terms = cache_terms(shape, context, n_sequences)
    return sum(term.n_values for term in terms) * fmt.block_bytes // fmt.block_size


def tokens_that_fill(
    shape: ModelShape, n_bytes: int, format_name: str = "F16", n_sequences: int = 1
) -> int | None:
    """Smallest context whose cache takes more than `n_bytes`; None where windows keep it below."""
    low, high = 0, 1
    while cache_bytes(shape, high, format_name, n_sequences) <= n_bytes:
        low, high = high, 2 * high
        if high > 2**48:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        fits = cache_bytes(shape, middle, format_name, n_sequences) <= n_bytes
        low, high = (middle, high) if fits else (low, middle)
    return high
