"""The graph that llama.cpp builds for a model: its layers one after the other, then the logits.

Which parts a layer has is read from its tensors' names; the order follows src/models/*.cpp at
llama.cpp commit 0c1e57098. What is written over its source in place (biases, scales, soft caps, the
weights of norms) takes no memory and is left out.
"""

import re
from collections import defaultdict

from quantcore.memory.llama_cpp.attention import attention
from quantcore.memory.llama_cpp.feed_forward import feed_forward
from quantcore.memory.llama_cpp.graph import I32, Graph, Node, given, new, over
from quantcore.memory.llama_cpp.inputs import CacheInputs, cache_inputs
from quantcore.memory.llama_cpp.layer import Layer, normed, window_of
from quantcore.memory.llama_cpp.setup import LlamaCppSetup
from quantcore.shape.model_shape import ModelShape

Caches = dict[int | None, CacheInputs]  # by the window of the layers
_LAYER = re.compile(r"blk\.(\d+)\.([^.]+)")


def build(shape: ModelShape, setup: LlamaCppSetup) -> Graph:
    """Build the graph for a full micro-batch and a full cache, which the buffer is made for."""
    graph = Graph()
    layers = _layers(shape, setup)
    tokens = (setup.n_tokens, "tokens")
    hidden = ((shape.hidden_size, "values"), tokens)
    names = given("inputs", tokens, item_bytes=I32)
    cur = graph.expand(new("hidden state", names, dims=hidden))
    graph.expand(given("room for images", *hidden))
    where = given("inputs", tokens, item_bytes=I32)
    caches = _caches(shape, setup, where)
    if "position_embd.weight" in shape.tensors:
        cur = over("hidden state", cur, new("hidden state", where, dims=hidden))
    chosen = given("inputs", (setup.n_ubatch, "tokens"), item_bytes=I32)
    for layer in layers:
        cur = _layer(graph, layer, cur, caches, chosen if layer is layers[-1] else None)
    if shape.architecture == "gpt-oss":
        cur.is_output = True
        cur = _rows(cur, chosen)
    cur = normed(shape, cur)
    cur.is_output = True
    dims = ((shape.vocabulary_size, "scores"), (setup.n_ubatch, "tokens"))
    logits = new("logits", cur, dims=dims)
    logits.is_output = True
    graph.expand(logits)
    return graph


def _layer(
    graph: Graph,
    layer: Layer,
    cur: Node,
    caches: dict[int | None, CacheInputs],
    chosen: Node | None,
) -> Node:
    """Attention, then feed-forward, each added to what came in; in the last layer of chosen rows.

    Where a norm after attention is the only one, it is the feed-forward's. Without any of them both
    parts read the same.
    """
    shape, residual = layer.shape, cur
    read = normed(shape, cur) if "attn_norm" in layer else cur
    cur = attention(graph, layer, read, caches[layer.window])
    parallel = not layer.tensors.keys() & {"ffn_norm", "post_attention_norm"}
    if chosen and shape.architecture != "gpt-oss":
        cur, residual = _rows(cur, chosen), _rows(residual, chosen)
        read = _rows(read, chosen) if parallel else read
    if parallel:
        said = feed_forward(graph, layer, read)
        return over("hidden state", over("hidden state", said, cur), residual)
    if "post_attention_norm" in layer and layer.tensors.keys() & {"ffn_norm", "post_ffw_norm"}:
        cur = normed(shape, cur)
    summed = over("hidden state", cur, residual)
    read = summed if "attn_norm" not in layer else normed(shape, summed)
    cur = feed_forward(graph, layer, read)
    if "post_ffw_norm" in layer:
        cur = normed(shape, cur)
    both = (summed, cur) if shape.architecture == "phi3" else (cur, summed)
    return over("hidden state", *both)


def _rows(cur: Node, chosen: Node) -> Node:
    """Take the tokens whose logits are wanted."""
    return new("hidden state", cur, chosen, dims=(cur.dims[0], chosen.dims[0]))


def _layers(shape: ModelShape, setup: LlamaCppSetup) -> list[Layer]:
    """Describe each layer."""
    tensors: dict[int, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for name, size in shape.tensors.items():
        if found := _LAYER.match(name):
            tensors[int(found[1])].setdefault(found[2], size)
    which = range(shape.n_layers)
    return [
        Layer(shape=shape, cache=shape.caches[i], tensors=tensors[i], n_tokens=setup.n_tokens)
        for i in which
    ]


def _caches(shape: ModelShape, setup: LlamaCppSetup, where: Node) -> Caches:
    """Make the inputs of the cache for the whole context, and of the one for windows if any."""
    windows = {window_of(shape, cache) for cache in shape.caches}
    attending = [cache for cache in shape.caches if cache.key_values]
    scales = None
    if shape.architecture == "llama4":  # layers that see everything scale queries, not rotate them
        scales = given("inputs", (setup.n_tokens, "tokens"))
    sizes = {
        "key_size": shape.head_size,
        "value_size": shape.head_size,
        "widest_value": max((cache.value_values for cache in attending), default=0),
    }
    return {
        window: cache_inputs(
            setup,
            setup.window_cells(window) if window else setup.cells,
            positions=scales if window is None and scales else where,
            has_windows=len(windows) > 1,
            **sizes,
        )
        for window in windows
    }
