"""The KV cache as products with a model's numbers put in, as a person would check it by hand."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from quantcore.memory.kv_cache import CacheTerm, cache_bytes_per_number
from quantcore.shape.model_shape import ModelShape

_LAYERS = {
    "window": "layers with a window",
    "chunk": "layers with chunks",
    "state": "recurrent layers",
}
STATE_BYTES = 4  # of a number of a recurrent layer's state: float32


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor, what it counts, and how it is written where it is itself a sum."""

    value: float
    what: str  # "KV heads"
    written: str = ""

    def __str__(self) -> str:
        """Write the number: "1,024", "1.0625", "(512 + 64)"."""
        return self.written or (f"{self.value:,}" if self.value >= 1000 else f"{self.value:g}")


Product = tuple[Factor, ...]


def cache_products(shape: ModelShape, terms: Iterable[CacheTerm], cache_type: str) -> list[Product]:
    """Put a cache's numbers into its formula, a product a kind of layer; their sum is its bytes.

    Parameters
    ----------
    terms
        Of `quantcore.memory.cache_terms`, without a prefix that sequences share.
    cache_type
        What keys and values are kept in, both in the same.

    Examples
    --------
    >>> from quantcore.memory import cache_terms
    >>> from quantcore.shape import preset
    >>> llama = preset("Llama-3.1-8B")
    >>> (product,) = cache_products(llama, cache_terms(llama, context=4096), "F16")
    >>> " × ".join(map(str, product)), bytes_of(product)
    ('32 × 4,096 × 2 × 8 × 128 × 2', 536870912)
    """
    products = []
    for term in terms:
        if term.key_bytes + term.value_bytes:
            products.append(_keys_and_values(shape, term, cache_type))
        if term.state_bytes:
            products.append(_states(term))
    return products


def bytes_of(product: Product) -> int:
    """Multiply out, in bytes."""
    return round(math.prod(factor.value for factor in product))


def _keys_and_values(shape: ModelShape, term: CacheTerm, cache_type: str) -> Product:
    seen = "tokens that are seen" if term.kind in ("window", "chunk") else "tokens"
    return (
        Factor(term.n_layers, _LAYERS.get(term.kind, "layers")),
        Factor(term.n_tokens // term.n_sequences, seen),
        *_numbers_a_token(shape, term),
        Factor(cache_bytes_per_number(cache_type), f"bytes in {cache_type}"),
        *_sequences(term),
    )


def _numbers_a_token(shape: ModelShape, term: CacheTerm) -> Product:
    """Take apart what one layer keeps of one token."""
    if term.kind == "latent":
        assert shape.latent is not None
        kept = shape.latent.kv_size, shape.latent.rope_size
        says = "latent vector and rotated key"
        return (Factor(sum(kept), says, f"({kept[0]} + {kept[1]})"),)
    both = term.key_values, term.value_values
    if both[0] != both[1]:
        return (Factor(sum(both), "numbers of key and value", f"({both[0]:,} + {both[1]:,})"),)
    if both[0] != shape.n_kv_heads * shape.head_size:
        return Factor(2, "key and value"), Factor(both[0], "numbers")
    heads = "KV heads" if shape.n_kv_heads > 1 else "KV head"
    return (
        Factor(2, "key and value"),
        Factor(shape.n_kv_heads, heads),
        Factor(shape.head_size, "head size"),
    )


def _states(term: CacheTerm) -> Product:
    return (
        Factor(term.n_layers, _LAYERS["state"]),
        Factor(term.state_values, "numbers"),
        Factor(STATE_BYTES, "bytes in F32"),
        *_sequences(term),
    )


def _sequences(term: CacheTerm) -> Product:
    return (Factor(term.n_sequences, "sequences"),) if term.n_sequences > 1 else ()
