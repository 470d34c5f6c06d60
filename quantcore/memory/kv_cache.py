"""The KV cache: what each layer keeps of every token that it has read."""

from collections import Counter
from dataclasses import dataclass

from quantcore.formats import FORMATS
from quantcore.shape.model_shape import CacheKind, ModelShape

CACHE_FORMATS = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL", "FP8")
_FP8 = (1, 1)  # vLLM's fp8 cache: a byte a number; its scales are one a layer


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTerm:
    """Layers of one kind: each keeps `n_tokens` keys and values, and a state."""

    kind: CacheKind
    n_layers: int
    n_tokens: int  # of all sequences
    n_sequences: int
    key_values: int  # numbers a token and layer
    value_values: int
    state_values: int
    key_bytes: int  # of all layers and tokens
    value_bytes: int
    state_bytes: int  # float32

    @property
    def bytes(self) -> int:
        """Bytes of keys, values and states."""
        return self.key_bytes + self.value_bytes + self.state_bytes


def cache_terms(
    shape: ModelShape,
    context: int,
    n_sequences: int = 1,
    key_type: str = "F16",
    value_type: str = "F16",
    *,
    shared_prefix: int = 0,
) -> tuple[CacheTerm, ...]:
    """Count what each kind of layer keeps after `context` tokens in each of `n_sequences`.

    Keys and values of all **KV** heads, each of `head_size`: not of all heads (grouped-query
    attention), and not of hidden_size / n_heads where config.json gives a head size. A layer with
    a sliding window keeps its window only. With latent attention one vector stands for them all;
    a recurrent layer keeps its state. The first `shared_prefix` tokens are kept once for all
    sequences.

    Raises
    ------
    ValueError
        If there is no such cache type, a head does not divide into its blocks, or the prefix is
        longer than the context.

    Examples
    --------
    Llama-3.1-8B keeps 32 layers of 2 * 8 heads * 128, in two bytes each 131,072 bytes a token.

    >>> from quantcore.shape import preset
    >>> (term,) = cache_terms(preset("meta-llama/Llama-3.1-8B"), context=1)
    >>> term.bytes
    131072
    """
    if not 0 <= shared_prefix <= context:
        raise ValueError(
            f"The shared prefix of {shared_prefix:,} tokens must be within the context of "
            f"{context:,}"
        )
    per_key, per_value = (_block_that_fits(shape, name) for name in (key_type, value_type))
    terms = []
    for layer, n_layers in Counter(shape.caches).items():
        seen = min(context, layer.window or context)
        # A prefix that all share stays shared only as long as a window still sees it.
        shared = max(0, shared_prefix - (context - seen))
        n_tokens = n_sequences * (seen - shared) + shared
        numbers = n_layers * n_tokens
        terms.append(
            CacheTerm(
                kind=layer.kind,
                n_layers=n_layers,
                n_tokens=n_tokens if layer.key_values else 0,
                n_sequences=n_sequences,
                key_values=layer.key_values,
                value_values=layer.value_values,
                state_values=layer.state_values,
                key_bytes=numbers * layer.key_values * per_key[1] // per_key[0],
                value_bytes=numbers * layer.value_values * per_value[1] // per_value[0],
                state_bytes=4 * n_layers * n_sequences * layer.state_values,
            )
        )
    return tuple(terms)


def cache_bytes(
    shape: ModelShape,
    context: int,
    n_sequences: int = 1,
    key_type: str = "F16",
    value_type: str = "F16",
    *,
    shared_prefix: int = 0,
) -> int:
    """Bytes of the whole cache, its scales included; arguments as `cache_terms`."""
    terms = cache_terms(
        shape, context, n_sequences, key_type, value_type, shared_prefix=shared_prefix
    )
    return sum(term.bytes for term in terms)


def tokens_that_fill(
    shape: ModelShape, n_bytes: int, n_sequences: int = 1, key_type="F16", value_type="F16"
) -> int | None:
    """Smallest context whose cache takes more than `n_bytes`; None where windows keep it below."""
    low, high = 0, 1
    while cache_bytes(shape, high, n_sequences, key_type, value_type) <= n_bytes:
        low, high = high, 2 * high
        if high > 2**48:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        fits = cache_bytes(shape, middle, n_sequences, key_type, value_type) <= n_bytes
        low, high = (middle, high) if fits else (low, middle)
    return high


def cache_bytes_per_number(cache_type: str) -> float:
    """Bytes that one number of a key or value takes, its share of the scales included.

    >>> cache_bytes_per_number("F16"), cache_bytes_per_number("Q8_0")
    (2.0, 1.0625)
    """
    n_numbers, n_bytes = _block(cache_type)
    return n_bytes / n_numbers


def _block(cache_type: str) -> tuple[int, int]:
    """Numbers and bytes of a block of a cache."""
    name = cache_type.upper()
    if name not in CACHE_FORMATS:
        raise ValueError(f"No cache of type {cache_type}; there are {', '.join(CACHE_FORMATS)}")
    if name == "FP8":
        return _FP8
    fmt = FORMATS[name]
    return fmt.block_size, fmt.block_bytes


def _block_that_fits(shape: ModelShape, cache_type: str) -> tuple[int, int]:
    """Numbers and bytes of a block of a cache, which heads must divide into."""
    size, n_bytes = _block(cache_type)
    row = shape.latent.kv_size + shape.latent.rope_size if shape.latent else shape.head_size
    if row % size:
        raise ValueError(
            f"A {cache_type.upper()} cache needs heads of a multiple of {size}, got {row}"
        )
    return size, n_bytes
