"""The forward pass from its definition, in float64: what function weights compute, to 15 digits."""

import numpy as np

from quantcore.model.rope import frequencies


def logits(config, weights, tokens):
    """Logits after each token of one text, (n, vocabulary_size); weights by GGUF name."""
    get = {name: np.asarray(array, np.float64) for name, array in weights.items()}
    states = get["token_embd.weight"][tokens]
    for layer in range(config.n_layers):
        mine = {n.split(".", 2)[2]: a for n, a in get.items() if n.startswith(f"blk.{layer}.")}
        states = states + _attention(config, mine, _norm(config, states, mine["attn_norm.weight"]))
        normed = _norm(config, states, mine["ffn_norm.weight"])
        gate = _product(mine, "ffn_gate", normed)
        inner = gate / (1 + np.exp(-gate)) * _product(mine, "ffn_up", normed)
        states = states + _product(mine, "ffn_down", inner)
    head = get["token_embd.weight" if config.tied_embedding else "output.weight"]
    return _norm(config, states, get["output_norm.weight"]) @ head.T


def _attention(config, mine, normed):
    n, size, group = len(normed), config.head_size, config.n_heads // config.n_kv_heads
    heads = {
        role: _product(mine, f"attn_{role}", normed).reshape(n, -1, size).swapaxes(0, 1)
        for role in "qkv"
    }
    for role in "qk":
        if config.qk_norm:
            heads[role] = _norm(config, heads[role], mine[f"attn_{role}_norm.weight"])
        heads[role] = _rotated(config, heads[role])
    mixed = np.empty((n, config.n_heads, size))
    for head in range(config.n_heads):
        scores = heads["q"][head] @ heads["k"][head // group].T / np.sqrt(size)
        scores[np.triu_indices(n, 1)] = -np.inf
        shares = np.exp(scores - scores.max(1, keepdims=True))
        mixed[:, head] = shares / shares.sum(1, keepdims=True) @ heads["v"][head // group]
    return _product(mine, "attn_output", mixed.reshape(n, -1))


def _rotated(config, heads):
    """Turn each pair of (n_heads, n, head_size) by position times frequency."""
    by = np.arange(heads.shape[1])[:, None] * frequencies(config).astype(np.float64)
    first, second = (
        (slice(0, None, 2), slice(1, None, 2))
        if config.rope_interleaved
        else (slice(0, config.head_size // 2), slice(config.head_size // 2, None))
    )
    turned = np.empty_like(heads)
    turned[..., first] = heads[..., first] * np.cos(by) - heads[..., second] * np.sin(by)
    turned[..., second] = heads[..., first] * np.sin(by) + heads[..., second] * np.cos(by)
    return turned


def _norm(config, states, gains):
    mean = np.square(states).mean(-1, keepdims=True)
    return states / np.sqrt(mean + config.norm_epsilon) * gains


def _product(mine, role, inputs):
    return inputs @ mine[f"{role}.weight"].T + mine.get(f"{role}.bias", 0.0)
