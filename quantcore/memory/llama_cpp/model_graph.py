"""The graph that llama.cpp builds for a model: its layers one after the other, then the logits.

Which parts a layer has is read from its tensors' names; the order follows src/models/*.cpp at
llama.cpp commit 0c1e57098. What is written over its source in place (biases, scales, soft caps, the
weights of norms) takes no memory and is left out.
"""

import re
from collections import defaultdict

from quantcore.architectures import by_name
from quantcore.memory.llama_cpp.block import block, rows
from quantcore.memory.llama_cpp.graph import Dims, Graph, Node, new, over
from quantcore.memory.llama_cpp.inputs import model_inputs
from quantcore.memory.llama_cpp.layer import GraphLayer, normed
from quantcore.memory.llama_cpp.setup import LlamaCppSetup
from quantcore.shape.model_shape import ModelShape

_LAYER = re.compile(r"blk\.(\d+)\.([^.]+)")


def build(shape: ModelShape, setup: LlamaCppSetup) -> Graph:
    """Build the graph for a full micro-batch and a full cache, which the buffer is made for."""
    graph, inputs = Graph(), model_inputs(shape, setup)
    hidden = inputs.images.dims
    cur = graph.expand(_looked_up(inputs.tokens, hidden))
    graph.expand(inputs.images)
    if "position_embd.weight" in shape.tensors:
        cur = over("hidden state", cur, _looked_up(inputs.positions, hidden))
    for layer in _layers(shape, setup):
        cur = block(graph, layer, cur, inputs)
    rows_chosen = by_name(shape.architecture).rows_chosen
    if rows_chosen == "before last norm":
        cur.is_output = True
        cur = rows(cur, inputs.chosen)
    cur = normed(shape, cur)
    cur.is_output = True
    if rows_chosen == "after last norm":
        cur = rows(cur, inputs.chosen)
    logits = new("logits", cur, dims=((shape.vocabulary_size, "scores"), inputs.chosen.dims[0]))
    logits.weight = "token_embd.weight" if shape.tied_embedding else "output.weight"
    logits.is_output = True
    graph.expand(logits)
    return graph


def _looked_up(numbers: Node, hidden: Dims) -> Node:
    """Take rows of an embedding, which always lies in system memory."""
    rows = new("hidden state", numbers, dims=hidden)
    rows.on_host = True
    return rows


def _layers(shape: ModelShape, setup: LlamaCppSetup) -> list[GraphLayer]:
    """Describe each layer."""
    tensors: dict[int, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for name, size in shape.tensors.items():
        if match := _LAYER.match(name):
            tensors[int(match[1])].setdefault(match[2], size)
    return [
        GraphLayer(
            shape=shape,
            cache=cache,
            tensors=tensors[i],
            n_tokens=setup.n_tokens,
            index=i,
        )
        for i, cache in enumerate(shape.caches)
    ]
