"""The attention part of a layer in llama.cpp's graph: build_qkv, build_attn and build_attn_mha."""

from dataclasses import dataclass, replace

from quantcore.formats import FORMATS
from quantcore.memory.llama_cpp.graph import F16, Dims, Graph, Node, new, over, stored, view
from quantcore.memory.llama_cpp.inputs import CacheInputs
from quantcore.memory.llama_cpp.layer import GraphLayer
from quantcore.shape.model_shape import LatentAttention

_TURNED = ("queries", "keys")


@dataclass(frozen=True, slots=True)
class Heads:
    """Queries, keys and values of a layer, as (numbers of a head, heads, tokens)."""

    queries: Node
    keys: Node
    values: Node
    gate: Node | None = None  # Qwen3-Next's, beside the queries


def attention(graph: Graph, layer: GraphLayer, cur: Node, given: CacheInputs) -> Node:
    """Read the normed hidden state, return what is added to it."""
    if layer.latent:
        heads = _latent_heads(layer, layer.latent, cur, given)
    else:
        heads = _rotated(_heads(layer, cur, given), given)
    order = (heads.queries, heads.values, heads.keys)
    if given.has_windows:
        order = (heads.queries, heads.keys, heads.values)
    for node in order:
        graph.expand(node)
    stores = [stored(view(heads.keys), given.key_places)]
    if not layer.latent:
        stores.append(stored(_contiguous(heads.values, given), given.value_places))
    for store in stores:
        store.layer = layer.index
        graph.expand(store)
    cur = graph.expand(_flash(layer, heads, given) if given.flash else _scores(layer, heads, given))
    if given.value_rotation and not layer.latent:
        cur = _rotate(cur, given.value_rotation)
    if heads.gate:
        cur = over("attention result", cur, new("gate", heads.gate, dims=cur.dims))
    return layer.product("attn_output", "hidden state", cur, dims=layer.hidden)


def _heads(layer: GraphLayer, cur: Node, given: CacheInputs) -> Heads:
    """Project to queries, keys and values; norms of heads and rotation by position follow."""
    sizes = {"queries": layer.n_heads, "keys": layer.n_kv_heads, "values": layer.n_kv_heads}
    widths = {"queries": layer.key_size, "keys": layer.key_size, "values": layer.value_size}
    if "attn_qkv" in layer:
        n_rows = sum(sizes[name] * widths[name] for name in sizes)
        fused = layer.product(
            "attn_qkv", "queries, keys and values", cur, dims=((n_rows, "values"), layer.tokens)
        )
    parts = {}
    for name, n_heads in sizes.items():
        split = ((widths[name], "values"), (n_heads, "heads"), layer.tokens)
        if "attn_qkv" in layer:
            parts[name] = view(fused, dims=split, contiguous=False)
            continue
        n_rows = layer.tensors.get(f"attn_{name[0]}", (n_heads * widths[name],))[0]
        flat = layer.product(f"attn_{name[0]}", name, cur, dims=((n_rows, "values"), layer.tokens))
        if gated := n_rows == 2 * n_heads * widths[name]:
            parts["gate"] = view(flat, dims=split, contiguous=False)
        parts[name] = view(flat, dims=split, contiguous=not gated)
    for name in layer.rotated:
        parts[name] = over(name, parts[name], given.positions)
        parts[name].weight = "rope_freqs.weight"
    return Heads(**parts)


def _latent_heads(
    layer: GraphLayer, latent: LatentAttention, cur: Node, given: CacheInputs
) -> Heads:
    """Multi-head latent attention: one key of the latent vector and the rotated part, shared."""
    n_heads, tokens = layer.n_heads, layer.tokens
    heads, rope = (n_heads, "heads"), (latent.rope_size, "values")
    kv = (latent.kv_size, "latent values")
    queries, role = cur, "attn_q"
    if "attn_q_a" in layer:
        role = "attn_q_b"
        size = (layer.tensors["attn_q_a"][0], "values")
        down = layer.product("attn_q_a", "latent queries", cur, dims=(size, tokens))
        queries = over("latent queries", down)
    width = latent.key_size + latent.rope_size
    queries = layer.product(role, "queries", queries, dims=((n_heads * width, "values"), tokens))
    queries = view(queries, dims=((width, "values"), heads, tokens))
    both = layer.product(
        "attn_kv_a_mqa",
        "latent keys",
        cur,
        dims=((latent.kv_size + latent.rope_size, "values"), tokens),
    )
    shared = view(both, dims=(rope, (1, ""), tokens), contiguous=False)
    shared = over("latent keys", shared, given.positions)
    kept = over("latent keys", view(both, dims=(kv, tokens), contiguous=False))
    rotated = view(queries, dims=(rope, heads, tokens), contiguous=False)
    rotated = over("queries, rotated", rotated, given.positions)
    plain = view(queries, dims=((latent.key_size, "values"), tokens, heads), contiguous=False)
    absorbed = layer.product("attn_k_b", "queries, absorbed", plain, dims=(kv, tokens, heads))
    absorbed = view(absorbed, dims=(kv, heads, tokens), contiguous=False)
    wide = (latent.kv_size + latent.rope_size, "values")
    queries = new("queries, absorbed", absorbed, rotated, dims=(wide, heads, tokens))
    kept = view(kept, dims=(kv, (1, ""), tokens))
    keys = new("latent keys", kept, shared, dims=(wide, (1, ""), tokens))
    return Heads(queries, keys, kept)


def _rotated(heads: Heads, given: CacheInputs) -> Heads:
    """Turn heads by a Hadamard matrix, as llama.cpp does before it quantizes them."""
    if given.key_rotation:
        turned = {name: _rotate(getattr(heads, name), given.key_rotation) for name in _TURNED}
        heads = replace(heads, **turned)
    if given.value_rotation:
        heads = replace(heads, values=_rotate(heads.values, given.value_rotation))
    return heads


def _rotate(x: Node, by: Node) -> Node:
    flat = view(x) if x.contiguous else new(x.label, x, dims=x.dims)
    return view(new(x.label, by, flat, dims=x.dims))


def _contiguous(values: Node, given: CacheInputs) -> Node:
    """Without flash attention values are stored column by column, from a copy in one piece."""
    if given.flash or values.contiguous:
        return view(values)
    return view(new(values.label, values, dims=values.dims))


def _flash(layer: GraphLayer, heads: Heads, given: CacheInputs) -> Node:
    """Flash attention never holds the scores; a cache in F32 is copied to F16 for it."""
    queries = view(heads.queries, contiguous=False)
    size = layer.value_size
    kinds = {"keys": given.key_type, "values": given.value_type}
    copies = [_half(layer, what, given) for what, kind in kinds.items() if kind == "F32"]
    dims = ((size, "values"), (layer.n_heads, "heads"), layer.tokens)
    result = new("attention result", queries, *copies, given.mask, dims=dims)
    result.cached = tuple(_lent(layer, what, given) for what in kinds)
    shared = ("keys",) if layer.latent else ("keys", "values")
    result.halves = tuple(
        _half(layer, what, given) for what in shared if kinds[what] not in ("F16", "F32")
    )
    result.layer = layer.index
    if layer.latent:
        result = _out_of_latent(layer, layer.latent, view(result, contiguous=False))
    return view(result, dims=_flat(layer))


def _scores(layer: GraphLayer, heads: Heads, given: CacheInputs) -> Node:
    """Attention by its definition: scores of every token with every cell, for all heads."""
    tokens, n_heads = layer.tokens, (layer.n_heads, "heads")
    queries = view(heads.queries, contiguous=False)
    scores = new("attention scores", queries, dims=((given.n_cells, "cells"), tokens, n_heads))
    scores.cached, scores.layer = (_lent(layer, "keys", given),), layer.index
    scores = over("attention scores", scores, given.mask)
    sources = [scores]
    if layer.latent:
        dims = _cached(layer, layer.value_size, given)
        item_bytes = FORMATS[given.key_type].block_bytes
        sources.insert(0, new("latent values, turned round", dims=dims, item_bytes=item_bytes))
    dims = ((layer.value_size, "values"), tokens, n_heads)
    result = new("attention result", *sources, dims=dims)
    result.cached, result.layer = (_lent(layer, "values", given),), layer.index
    if layer.latent:
        return _out_of_latent(layer, layer.latent, result)
    return new("attention result", view(result, contiguous=False), dims=_flat(layer))


def _out_of_latent(layer: GraphLayer, latent: LatentAttention, result: Node) -> Node:
    """Decompress the result from the latent vector to the values of each head, token by token."""
    tokens, heads = layer.tokens, (layer.n_heads, "heads")
    dims = ((latent.value_size, "values"), tokens, heads)
    values = view(
        layer.product("attn_v_b", "attention result", result, dims=dims), contiguous=False
    )
    return new("attention result", values, dims=_flat(layer))


def _cached(layer: GraphLayer, width: int, given: CacheInputs) -> Dims:
    """Sizes of what one layer's cache holds."""
    streams = (given.n_streams, "streams")
    return (width, "values"), (given.n_cells, "cells"), (layer.n_kv_heads, "heads"), streams


def _half(layer: GraphLayer, what: str, given: CacheInputs) -> Node:
    """Copy keys or values of a layer to F16."""
    width = layer.key_size if what == "keys" else layer.value_size
    return new(f"{what} of a layer in F16", dims=_cached(layer, width, given), item_bytes=F16)


def _lent(layer: GraphLayer, what: str, given: CacheInputs) -> Node:
    """Copy keys or values of a layer from another device."""
    keys = what == "keys"
    size = layer.key_size if keys else layer.value_size
    n_bytes = FORMATS[given.key_type if keys else given.value_type].stored_bytes(
        (1, size * layer.n_kv_heads)
    )
    dims = (n_bytes, "B"), (given.n_cells, "cells"), (given.n_streams, "streams")
    return new(f"{what} of a layer on the CPU", dims=dims, item_bytes=1)


def _flat(layer: GraphLayer) -> Dims:
    size = layer.latent.value_size if layer.latent else layer.value_size
    return ((layer.n_heads * size, "values"), layer.tokens)
