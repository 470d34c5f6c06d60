"""Layers without attention in llama.cpp's graph: state spaces, short convolutions, delta rule.

After mamba-base.cpp, lfm2.cpp, delta-net-base.cpp and qwen3next.cpp of llama.cpp at commit
0c1e57098. Each reads its state of every sequence, and writes it back where it lies.
"""

from quantcore.memory.llama_cpp.graph import Graph, Node, new, over, stored, view
from quantcore.memory.llama_cpp.inputs import States
from quantcore.memory.llama_cpp.layer import GraphLayer


def mixer(graph: Graph, layer: GraphLayer, cur: Node, states: States) -> Node:
    """Read the normed hidden state, return what is added to it."""
    if "ssm_x" in layer:
        mix = _mamba
    elif "shortconv" in layer:
        mix = _short_convolution
    elif "ssm_conv1d" in layer:
        mix = _delta if "ssm_ba" in layer else _mamba2
    else:
        return cur  # of a kind that the lab does not know
    role = "shortconv.out_proj" if mix is _short_convolution else "ssm_out"
    mixed = layer.product(role, "hidden state", mix(graph, layer, cur, states), dims=layer.hidden)
    return mixed if mix is _mamba2 else view(mixed)  # by sequences and back


def _flat(n_values: int, layer: GraphLayer):
    return (n_values, "values"), layer.tokens


def _convolved(graph: Graph, layer: GraphLayer, x: Node, states: States, kernel: int) -> Node:
    """Put the last inputs before the new ones, keep the last of all, and convolve."""
    channels = x.dims[0]
    before = states.read(graph, (kernel - 1) * channels[0])
    length = (kernel - 1) * states.n_sequences + layer.n_tokens
    turned = view(x, contiguous=False)
    joined = new("convolution, input", before, turned, dims=((length, "tokens"), channels))
    graph.expand(stored(view(joined, contiguous=False)))
    return new("convolution", joined, dims=(channels, layer.tokens))


def _scanned(graph: Graph, states: States, width: int, n_state: int, *sources: Node) -> Node:
    """Run the state through the tokens: results and last states come in one tensor."""
    n_tokens = sources[0].dims[-1][0]
    dims = ((n_tokens * width + n_state * states.n_sequences, "values"),)
    both = graph.expand(new("results and states", *sources, states.places, dims=dims))
    graph.expand(stored(view(both)))
    return view(both, dims=((width, "values"), sources[0].dims[-1]), contiguous=False)


def _mamba(graph: Graph, layer: GraphLayer, cur: Node, states: States) -> Node:
    inner, kernel = layer.tensors["ssm_conv1d"]
    n_state, rank = layer.tensors["ssm_a"][-1], layer.tensors["ssm_dt"][-1]
    flat = _flat(inner, layer)
    both = layer.product("ssm_in", "input and gate", cur, dims=_flat(2 * inner, layer))
    x, gate = (view(both, dims=flat, contiguous=False) for _ in range(2))
    x = over("convolution", _convolved(graph, layer, x, states, kernel))
    steps = layer.product("ssm_x", "time steps", x, dims=_flat(rank + 2 * n_state, layer))
    parts = [view(steps, dims=_flat(n, layer), contiguous=False) for n in (rank, n_state, n_state)]
    normed = 3 if "ssm_dt_norm" in layer else 1
    parts[:normed] = [new("time steps", part, dims=part.dims) for part in parts[:normed]]
    wide = layer.product("ssm_dt", "time steps", parts[0], dims=flat)
    seen = view(x, dims=flat)
    result = _scanned(graph, states, inner, inner * n_state, seen, wide, *parts[1:])
    return _gated(gate, over("result", result, over("result", x)), flat)


def _mamba2(graph: Graph, layer: GraphLayer, cur: Node, states: States) -> Node:
    inner = layer.tensors["ssm_out"][-1]
    channels, kernel = layer.tensors["ssm_conv1d"]
    heads, flat = layer.tensors["ssm_a"][0], _flat(inner, layer)
    everything = layer.product(
        "ssm_in", "input and gate", cur, dims=_flat(layer.tensors["ssm_in"][0], layer)
    )
    gate, x, steps = (
        view(everything, dims=_flat(n, layer), contiguous=False) for n in (inner, channels, heads)
    )
    x = over("convolution", _convolved(graph, layer, x, states, kernel))
    seen = view(x, dims=flat, contiguous=False)
    n_state = layer.cache.state_values - (kernel - 1) * channels
    steps = new("time steps", steps, dims=steps.dims)
    result = _scanned(graph, states, inner, n_state, seen, steps)
    return over("result", view(_gated(gate, over("result", result, over("result", seen)), flat)))


def _gated(gate: Node, result: Node, flat) -> Node:
    return new("result, gated", new("gate", gate, dims=flat), result, dims=flat)


def _short_convolution(graph: Graph, layer: GraphLayer, cur: Node, states: States) -> Node:
    hidden = layer.shape.hidden_size
    three = layer.product(
        "shortconv.in_proj", "input and gates", cur, dims=_flat(3 * hidden, layer)
    )
    first, second, x = (view(three, dims=layer.hidden, contiguous=False) for _ in range(3))
    kernel = layer.cache.state_values // hidden + 1
    x = _convolved(graph, layer, over("convolution, input", first, x), states, kernel)
    return over("result, gated", second, x)


def _delta(graph: Graph, layer: GraphLayer, cur: Node, states: States) -> Node:
    """Qwen3-Next's gated delta rule; queries and keys are repeated for each head of values."""
    graph.expand(cur)
    channels, kernel = layer.tensors["ssm_conv1d"]
    inner, (n_heads,) = layer.tensors["ssm_out"][-1], layer.tensors["ssm_a"]
    flat, heads = _flat(inner, layer), _flat(n_heads, layer)
    mixed = layer.product("attn_qkv", "queries, keys and values", cur, dims=_flat(channels, layer))
    gate = layer.product("attn_gate", "gate", cur, dims=flat)
    steps = layer.product("ssm_ba", "time steps", cur, dims=_flat(2 * n_heads, layer))
    halves = [view(steps, dims=heads, contiguous=False) for _ in range(2)]
    decay, strength = (new("time steps", half, dims=heads) for half in halves)
    convolution = _convolved(graph, layer, mixed, states, kernel)
    n_state = layer.cache.state_values - (kernel - 1) * channels
    state = states.read(graph, n_state)
    x = over("convolution", convolution)
    key = (channels - inner) // 2
    pair = [view(x, dims=_flat(key, layer), contiguous=False) for _ in range(2)]
    pair = [new(name, x, dims=x.dims) for name, x in zip(("queries", "keys"), pair, strict=True)]
    wide = key // layer.tensors["ssm_norm"][0] != n_heads
    if wide:
        pair = [new(x.label, view(x), dims=flat) for x in pair]
    values = view(x, dims=flat, contiguous=False)
    result = _scanned(graph, states, inner, n_state, *pair, values, decay, strength, state)
    normed = new("result", result, dims=flat)
    return over("result", normed, new("gate", view(gate), dims=flat))
