"""The backward pass: how the loss of each token changes with the output of each matrix.

Written by hand for the layers of `quantcore.model.layer`; it takes its activations from a forward
pass that stops at every place. With ``y = x @ W.T`` for each matrix and the gradient g of the loss
by y, the gradient by W is ``g.T @ x``, and a diagonal Fisher matrix that takes tokens for
independent is ``(g**2).T @ x**2``.
"""

from collections.abc import Generator, Iterator

import numpy as np
from numpy.typing import NDArray

from quantcore.model import kernels
from quantcore.model.blas import one_thread
from quantcore.model.layer import Angles, DecoderLayer
from quantcore.model.llama import Llama, Stop
from quantcore.model.matrix import Matrix

Floats = NDArray[np.float32]
Part = tuple[str, Floats | None, Floats]  # a matrix's name, x (n, n_cols), g (n, n_rows)


def gradients(llama: Llama, tokens: NDArray[np.int32], wanted: NDArray[np.int32]) -> Iterator[Part]:
    """Go backward through one text: tokens (n,), and the token wanted after each of them, (n,).

    The loss is the sum of -log p(wanted). Matrices come from the output down to the first layer.
    The embedding comes last with x None, and g (n, hidden_size) of the rows that were looked up.
    """
    stops = [llama.begin(tokens[None])]
    while stops[-1].layer < llama.config.n_layers:
        stops.append(llama.step(stops[-1]))
    with one_thread():
        *_, states = llama.hidden_after(stops[-1])
        slope = _after_softmax(llama.output(states[0]), wanted)
        yield llama.head.names[0], states[0], slope
        slope = slope @ llama.head.weights
        epsilon = llama.config.norm_epsilon
        slope = _through_norm(stops[-1].states[0], llama.output_norm, epsilon, slope)
        for index in reversed(range(llama.config.n_layers)):
            slope = yield from through_layer(llama, stops[4 * index : 4 * index + 4], slope)
        yield "token_embd.weight", None, slope


def through_layer(llama: Llama, at: list[Stop], slope: Floats) -> Generator[Part, None, Floats]:
    """Go backward through one layer, whose four places a pass over one text stopped at.

    `slope` is that of any loss by the states that leave the layer, (n, hidden_size); what is
    returned at the end is that by the states that enter it.
    """
    layer = llama.layers[at[0].layer]
    slope = yield from _through_feed_forward(layer, at, slope)
    return (yield from _through_attention(layer, at, slope, llama.angles_to(len(slope))))


def _after_softmax(logits: Floats, wanted: NDArray[np.int32]) -> Floats:
    slope = np.exp(logits - logits.max(axis=1, keepdims=True))
    slope /= slope.sum(axis=1, keepdims=True)
    slope[np.arange(len(wanted)), wanted] -= 1
    return slope


def _through_norm(rows: Floats, weight: Floats, epsilon: float, slope: Floats) -> Floats:
    """Slope by the rows of an RMS norm, from that by its output; any number of axes."""
    inverse = 1 / np.sqrt(np.square(rows).mean(axis=-1, keepdims=True) + epsilon)
    scaled = slope * weight
    along = (scaled * rows).mean(axis=-1, keepdims=True)
    return (scaled - rows * along * inverse**2) * inverse


def _through_feed_forward(
    layer: DecoderLayer, at: list[Stop], slope: Floats
) -> Generator[Part, None, Floats]:
    """Slope by the states at place 2."""
    states, inner = at[2].states[0], at[3].product_input[0]
    yield layer.ffn_down.names[0], inner, slope
    by_inner = slope @ layer.ffn_down.weights
    normed = layer.normed(states, layer.ffn_norm)
    gate, up = np.split(layer.gate_up.times(normed), 2, axis=1)
    sigmoid = 1 / (1 + np.exp(-gate))
    by_both = np.concatenate(
        [by_inner * up * sigmoid * (1 + gate * (1 - sigmoid)), by_inner * gate * sigmoid], axis=1
    )
    yield from _parts(layer.gate_up, normed, by_both)
    by_normed = by_both @ layer.gate_up.weights
    return slope + _through_norm(states, layer.ffn_norm, layer.config.norm_epsilon, by_normed)


def _through_attention(
    layer: DecoderLayer, at: list[Stop], slope: Floats, angles: Angles
) -> Generator[Part, None, Floats]:
    """Slope by the states at place 0."""
    config, states = layer.config, at[0].states[0]
    yield layer.attn_output.names[0], at[1].product_input[0], slope
    by_mixed = (slope @ layer.attn_output.weights).reshape(len(states), config.n_heads, -1)
    positions = np.arange(len(states))
    heads = layer.heads(states, positions, angles)
    by_heads = _through_mixing(config.n_kv_heads, heads, by_mixed)
    n_rotated = config.n_heads + config.n_kv_heads
    cosines, sines = angles  # the slope turns back
    kernels.rotate(by_heads[:, :n_rotated], cosines, -sines, positions, config.rope_interleaved)
    normed = layer.normed(states, layer.attn_norm)
    if layer.q_norm is not None and layer.k_norm is not None:
        plain = layer.qkv.times(normed).reshape(by_heads.shape)
        for weight, mine in (
            (layer.q_norm, slice(config.n_heads)),
            (layer.k_norm, slice(config.n_heads, n_rotated)),
        ):
            by_heads[:, mine] = _through_norm(
                plain[:, mine], weight, config.norm_epsilon, by_heads[:, mine]
            )
    by_qkv = by_heads.reshape(len(states), -1)
    yield from _parts(layer.qkv, normed, by_qkv)
    by_normed = by_qkv @ layer.qkv.weights
    return slope + _through_norm(states, layer.attn_norm, config.norm_epsilon, by_normed)


def _through_mixing(n_kv_heads: int, heads: Floats, by_mixed: Floats) -> Floats:
    """Slope by rotated queries and keys, and values, (n, heads, head_size)."""
    n, n_heads, head_size = by_mixed.shape
    scale = np.float32(head_size**-0.5)
    future = np.triu(np.ones((n, n), bool), 1)
    by_heads = np.zeros_like(heads)
    for head in range(n_heads):
        group = head // (n_heads // n_kv_heads)
        key, value = n_heads + group, n_heads + n_kv_heads + group
        scores = heads[:, head] @ heads[:, key].T * scale
        scores[future] = -np.inf
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        by_shares = by_mixed[:, head] @ heads[:, value].T
        by_scores = shares * (by_shares - (by_shares * shares).sum(axis=1, keepdims=True)) * scale
        by_heads[:, head] = by_scores @ heads[:, key]
        by_heads[:, key] += by_scores.T @ heads[:, head]
        by_heads[:, value] += shares.T @ by_mixed[:, head]
    return by_heads


def _parts(matrix: Matrix, inputs: Floats, slope: Floats) -> Iterator[Part]:
    for name, rows in zip(matrix.names, matrix.parts, strict=True):
        yield name, inputs, slope[:, rows]
