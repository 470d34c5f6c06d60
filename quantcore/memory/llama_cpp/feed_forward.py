"""The feed-forward part of a layer in llama.cpp's graph: build_ffn and build_moe_ffn."""

from dataclasses import replace

from quantcore.memory.llama_cpp.graph import Graph, Node, new, over, view
from quantcore.memory.llama_cpp.layer import GraphLayer
from quantcore.shape.model_shape import Experts

FUSED = 15  # experts a token whose results CUDA adds up at once


def feed_forward(graph: Graph, layer: GraphLayer, cur: Node) -> Node:
    """Read the normed hidden state, return what is added to it."""
    layer = replace(layer, n_tokens=cur.dims[-1][0])  # in the last layer the chosen ones
    experts = layer.shape.experts
    if not experts or "ffn_gate_inp" not in layer:
        return _dense(layer, cur, "")
    routed = _experts(graph, layer, experts, cur)
    if "ffn_down_shexp" in layer:
        routed = over("hidden state", routed, _dense(layer, cur, "_shexp"))
    return routed


def _dense(layer: GraphLayer, cur: Node, suffix: str) -> Node:
    """Gate and up side by side, or one of twice the width, or up alone; then down."""
    width = (layer.tensors[f"ffn_down{suffix}"][-1], "values"), layer.tokens
    wide = (layer.tensors.get(f"ffn_up{suffix}", (width[0][0], 0))[-2], "values"), layer.tokens
    up = layer.product(f"ffn_up{suffix}", "feed-forward, up", cur, dims=wide)
    if f"ffn_gate{suffix}" in layer:
        gate = layer.product(f"ffn_gate{suffix}", "feed-forward, gate", cur, dims=width)
        inner = new("feed-forward, gate × up", gate, up, dims=width)
    elif wide != width:
        inner = new("feed-forward, gate × up", up, dims=width)
    else:
        inner = over("feed-forward, up", up)
    return layer.product(f"ffn_down{suffix}", "hidden state", inner, dims=layer.hidden)


def _experts(graph: Graph, layer: GraphLayer, experts: Experts, cur: Node) -> Node:
    """Choose experts for each token, run them, and add up what they say."""
    tokens, used = layer.tokens, (experts.used, "experts")
    weights, chosen = _router(layer, experts, cur)
    graph.expand(weights)
    on_input = layer.architecture.expert_weights == "on input"
    if on_input:
        repeated = new("experts, input", cur, dims=(layer.hidden[0], used, tokens))
        cur = over("experts, input", repeated, weights)
    width = (layer.tensors["ffn_down_exps"][-1], "values"), used, tokens
    if "ffn_gate_up_exps" in layer:
        both = (2 * width[0][0], "values"), used, tokens
        joined = layer.product("ffn_gate_up_exps", "experts, gate and up", cur, chosen, dims=both)
        gate, up = (view(joined, dims=width, contiguous=False) for _ in range(2))
    else:
        up = layer.product("ffn_up_exps", "experts, up", cur, chosen, dims=width)
        gate = layer.product("ffn_gate_exps", "experts, gate", cur, chosen, dims=width)
    inner = new("experts, gate × up", gate, up, dims=width)
    results = layer.product(
        "ffn_down_exps", "experts, down", inner, chosen, dims=(layer.hidden[0], used, tokens)
    )
    weighed = results
    if not on_input:
        weighed = over("experts, down", results, weights)
    total = _added(graph, layer, experts.used, graph.expand(weighed))
    if 2 <= experts.used <= FUSED and weighed is not results:
        total.kept = (results, weights)
    return total


def _router(layer: GraphLayer, experts: Experts, cur: Node) -> tuple[Node, Node]:
    """Return the weights of the chosen experts and their numbers."""
    tokens = layer.tokens
    all_of_them, used = (experts.count, "experts"), (experts.used, "experts")
    logits = layer.product("ffn_gate_inp", "router", cur, dims=(all_of_them, tokens))
    scores = over("router", logits)
    biased = over("router", scores) if "exp_probs_b" in layer else scores
    if layer.architecture.expert_weights == "on input":
        biased = logits
    ranked = new("router", biased, dims=(all_of_them, tokens))
    chosen = view(ranked, dims=(used, tokens), contiguous=False)
    each = view(scores, dims=((1, ""), all_of_them, tokens))
    weights = new("router", each, chosen, dims=((1, ""), used, tokens))
    if layer.architecture.expert_weights == "normed":
        weights = over("router", view(weights))
    return weights, chosen


def _added(graph: Graph, layer: GraphLayer, n_used: int, results: Node) -> Node:
    """Add up the experts' results one after the other."""
    parts = [
        graph.expand(view(results, dims=layer.hidden, contiguous=False)) for _ in range(n_used)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = graph.expand(over("hidden state", total, part))
    return total if len(parts) > 1 else new("hidden state", total, dims=layer.hidden)
