"""One layer in llama.cpp's graph: what mixes tokens, then feed-forward, each added to its input."""

from quantcore.memory.llama_cpp.attention import attention
from quantcore.memory.llama_cpp.feed_forward import feed_forward
from quantcore.memory.llama_cpp.graph import Graph, Node, new, over
from quantcore.memory.llama_cpp.inputs import Inputs
from quantcore.memory.llama_cpp.layer import GraphLayer, normed
from quantcore.memory.llama_cpp.mixers import mixer


def block(graph: Graph, layer: GraphLayer, cur: Node, inputs: Inputs) -> Node:
    """Read a hidden state and return the next; of the last layer only the chosen tokens.

    Where a norm after attention is the only one, it is the feed-forward's. Without any of them both
    parts read the same.
    """
    shape, residual, chosen = layer.shape, cur, inputs.chosen
    residual_first = layer.architecture.residual_first
    read = normed(shape, cur) if "attn_norm" in layer else cur
    if layer.cache.kind == "state":
        cur = mixer(graph, layer, read, inputs.states)
    elif layer.cache.key_values:
        cur = attention(graph, layer, read, inputs.caches[layer.window])
    if layer.is_last and layer.architecture.rows_chosen == "in last layer":
        cur, residual, read = (rows(node, chosen) for node in (cur, residual, read))
    if "ffn_down" not in layer and "ffn_down_exps" not in layer:
        return over("hidden state", cur, residual)
    if not layer.tensors.keys() & {"ffn_norm", "post_attention_norm"}:
        fed_forward = feed_forward(graph, layer, read)
        return over("hidden state", over("hidden state", fed_forward, cur), residual)
    if "post_attention_norm" in layer and layer.tensors.keys() & {"ffn_norm", "post_ffw_norm"}:
        cur = normed(shape, cur)
    summed = _sum(cur, residual, residual_first == "both")
    read = normed(shape, summed) if "attn_norm" in layer else summed
    cur = feed_forward(graph, layer, read)
    if "post_ffw_norm" in layer:
        cur = normed(shape, cur)
    return _sum(cur, summed, residual_first != "none")


def rows(cur: Node, chosen: Node) -> Node:
    """Take the tokens whose logits are wanted."""
    return new("hidden state", cur, chosen, dims=(cur.dims[0], chosen.dims[0]))


def _sum(cur: Node, before: Node, turned: bool) -> Node:
    return over("hidden state", *((before, cur) if turned else (cur, before)))
