"""The KV cache as llama.cpp allocates it: whole cells for every stream, windows rounded up.

Source: llama_kv_cache, llama_kv_cache_iswa and llama_memory_recurrent of llama.cpp at commit
0c1e57098. The bytes are exact.
"""

from collections import Counter

from quantcore.formats import FORMATS
from quantcore.memory.llama_cpp.layer import window_of
from quantcore.memory.llama_cpp.refusals import refuse
from quantcore.memory.llama_cpp.setup import LlamaCppSetup
from quantcore.memory.term import Term
from quantcore.shape.model_shape import LayerCache, ModelShape


def cache_terms(shape: ModelShape, setup: LlamaCppSetup) -> tuple[Term, ...]:
    """One term for the layers of each kind; their sum is what llama.cpp reports as context.

    Raises
    ------
    ValueError
        If llama.cpp refuses the set-up.
    """
    refuse(shape, setup)
    counted = Counter(shape.caches).items()
    terms = (term for layer, n in counted for term in _terms(shape, layer, n, setup))
    return tuple(term for term in terms if term.bytes)


def cache_bytes(shape: ModelShape, setup: LlamaCppSetup) -> int:
    """Bytes of the whole cache."""
    return sum(term.bytes for term in cache_terms(shape, setup))


def layer_cache_bytes(shape: ModelShape, setup: LlamaCppSetup) -> tuple[int, ...]:
    """Bytes of each layer's part of the cache, which lies where the layer lies."""
    refuse(shape, setup)
    each = {
        layer: sum(term.bytes for term in _terms(shape, layer, 1, setup))
        for layer in set(shape.caches)
    }
    return tuple(each[layer] for layer in shape.caches)


def _terms(shape: ModelShape, layer: LayerCache, n_layers: int, setup: LlamaCppSetup) -> list[Term]:
    """Say what layers of one kind keep: tokens, a state, or, as in Falcon-H1, both."""
    terms = [] if layer.kind == "state" else [_kept(shape, layer, n_layers, setup)]
    return [*terms, _state(layer, n_layers, setup)] if layer.state_values else terms


def _kept(shape: ModelShape, layer: LayerCache, n_layers: int, setup: LlamaCppSetup) -> Term:
    """Keys and values; without flash attention all layers' values are as wide as the widest."""
    window = window_of(shape, layer)
    n_cells = setup.window_cells(window) if window else setup.cells
    n_values = layer.value_values
    if n_values and not setup.flash_attention:
        n_values = max(cache.value_values for cache in shape.caches)
    keys, values = FORMATS[setup.key_type], FORMATS[setup.value_type]
    row = keys.stored_bytes((1, layer.key_values))
    row += values.stored_bytes((1, n_values)) if n_values else 0
    return Term(
        kind="cache",
        name=_name(layer, window),
        bytes=n_layers * setup.n_streams * n_cells * row,
        formula=" × ".join(
            [
                _count(n_layers, "layer"),
                *([f"{setup.n_streams} sequences"] if setup.n_streams > 1 else []),
                f"{n_cells:,} cells",
                _row(layer.key_values, n_values, keys, values),
            ]
        ),
        why=_why(setup, window, n_cells),
    )


def _name(layer: LayerCache, window: int | None) -> str:
    if layer.kind == "latent":
        return "cache of latent vectors"
    return "cache of layers with a window" if window else "cache of layers that see everything"


def _row(n_keys: int, n_values: int, keys, values) -> str:
    """Bytes of one cell: "(1,024 + 1,024) × 2 B", or each with its own type's bytes."""
    parts = [(n_keys, keys)] + ([(n_values, values)] if n_values else [])
    each = [f"{fmt.block_bytes} B" + f" / {fmt.block_size}" * (fmt.block_size > 1)
            for _, fmt in parts]  # fmt: skip
    if len(parts) == 1:
        return f"{n_keys:,} × {each[0]}"
    if each[0] == each[1]:
        return f"({n_keys:,} + {n_values:,}) × {each[0]}"
    return f"({n_keys:,} × {each[0]} + {n_values:,} × {each[1]})"


def _why(setup: LlamaCppSetup, window: int | None, n_cells: int) -> str:
    if window:
        return (
            f"a window of {window:,} tokens, and {setup.n_ubatch:,} that are worked on, rounded "
            "up to a multiple of 256, at most the context"
        )
    if n_cells * setup.n_streams != setup.context:
        share = f" divided by {setup.sequences} sequences" if setup.n_streams > 1 else ""
        return f"{setup.context:,} tokens{share}, rounded up to a multiple of 256"
    return ""


def _state(layer: LayerCache, n_layers: int, setup: LlamaCppSetup) -> Term:
    return Term(
        kind="cache",
        name="states of recurrent layers",
        bytes=4 * n_layers * setup.sequences * layer.state_values,
        formula=f"{_count(n_layers, 'layer')} × {_count(setup.sequences, 'sequence')} × "
        f"{layer.state_values:,} numbers × 4 B",
    )


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n > 1 else ''}"
