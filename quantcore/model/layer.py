"""One layer of the forward pass: its weights, and what it adds to the states.

A layer can be entered at four places, each before one of its matrix products:

    0   attn_q, attn_k, attn_v    of the normed states
    1   attn_output               of what attention mixed
    2   ffn_gate, ffn_up          of the normed states
    3   ffn_down                  of the gated product
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantcore.model import kernels
from quantcore.model.cache_types import CacheTypes
from quantcore.model.config import LlamaConfig
from quantcore.model.matrix import Matrix, Watch, stacked
from quantcore.pool import over_rows

Floats = NDArray[np.float32]
Angles = tuple[Floats, Floats]  # cosines and sines of `quantcore.model.rope.angles`
FEED_ROWS = 256  # rows that pass through the layer's end at once, so that they stay in the cache

ENTRIES = ("attn_q attn_k attn_v", "attn_output", "ffn_gate ffn_up", "ffn_down")
ENTRY_OF = {role: place for place, roles in enumerate(ENTRIES) for role in roles.split()}
MATRICES = ("qkv", "attn_output", "gate_up", "ffn_down")  # of a layer, in this order


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    """Weights of one layer; what is multiplied by the same input is stacked into one matrix."""

    config: LlamaConfig
    cache_types: CacheTypes
    rounds_queries: bool  # as llama.cpp's CPU kernels do beside keys of their type
    attn_norm: Floats
    qkv: Matrix  # ((n_heads + 2 n_kv_heads) * head_size, hidden)
    q_norm: Floats | None
    k_norm: Floats | None
    attn_output: Matrix
    ffn_norm: Floats
    gate_up: Matrix  # (2 * feed_forward, hidden)
    ffn_down: Matrix

    def replaced(self, changed: Mapping[str, Floats]) -> "DecoderLayer":
        """Put other weights in the place of some matrices, named as in a file."""
        return replace(self, **{name: getattr(self, name).replaced(changed) for name in MATRICES})

    def rounding(self, kinds: Mapping[str, str]) -> "DecoderLayer":
        """Round the inputs of some matrices, named as in a file."""
        return replace(self, **{name: getattr(self, name).rounding(kinds) for name in MATRICES})

    def heads(self, states: Floats, positions: NDArray[np.int64], angles: Angles) -> Floats:
        """Rotated queries and keys, and values, of each row: (n_rows, heads, head_size)."""
        config = self.config
        n_rotated = config.n_heads + config.n_kv_heads
        heads = np.empty((len(states), n_rotated + config.n_kv_heads, config.head_size), np.float32)
        flat = heads.reshape(len(states), -1)

        def work(start: int, stop: int) -> None:
            self.qkv.times(self.normed(states[start:stop], self.attn_norm), out=flat[start:stop])
            if self.q_norm is not None and self.k_norm is not None:
                self._norm_heads(heads[start:stop], self.q_norm, self.k_norm)
            kernels.rotate(
                heads[start:stop, :n_rotated],
                *angles,
                positions[start:stop],
                config.rope_interleaved,
            )
            self._round(heads[start:stop])

        over_rows(work, len(states), min_rows=32)
        return heads

    def add(self, states: Floats, given: Floats | None, place: int = 1) -> None:
        """Add to the states (n_rows, hidden) what the layer does after `place`.

        `given` is the input of the product there; it is not needed at place 2.
        """

        def given_rows(rows: slice) -> Floats:
            assert given is not None
            return given[rows]

        def work(start: int, stop: int) -> None:
            for first in range(start, stop, FEED_ROWS):
                rows = slice(first, min(first + FEED_ROWS, stop))
                if place == 1:
                    states[rows] += self.attn_output.times(given_rows(rows))
                inner = given_rows(rows) if place == 3 else self._inner(states[rows])
                states[rows] += self.ffn_down.times(inner)

        over_rows(work, len(states), min_rows=32)

    def with_attention(self, states: Floats, mixed: Floats) -> Floats:
        """States at place 2, (n_rows, hidden)."""
        after = np.empty_like(states)

        def work(start: int, stop: int) -> None:
            np.add(states[start:stop], self.attn_output.times(mixed[start:stop]), after[start:stop])

        over_rows(work, len(states), min_rows=32)
        return after

    def inner(self, states: Floats) -> Floats:
        """Input of `ffn_down`, from states at place 2: (n_rows, feed_forward)."""
        inner = np.empty((len(states), self.config.feed_forward_size), np.float32)

        def work(start: int, stop: int) -> None:
            for first in range(start, stop, FEED_ROWS):
                rows = slice(first, min(first + FEED_ROWS, stop))
                inner[rows] = self._inner(states[rows])

        over_rows(work, len(states), min_rows=32)
        return inner

    def _inner(self, states: Floats) -> Floats:
        both = self.gate_up.times(self.normed(states, self.ffn_norm))
        inner = np.empty((len(states), self.config.feed_forward_size), np.float32)
        np.negative(both[:, : inner.shape[1]], out=inner)
        with np.errstate(over="ignore"):  # exp of a large number is inf, and the gate is shut
            np.exp(inner, out=inner)
        kernels.gate(inner, both)
        return inner

    def normed(self, rows: Floats, weight: Floats) -> Floats:
        """RMS norm of rows (n, n_cols) with a weight (n_cols,)."""
        normed = np.empty(rows.shape, np.float32)
        kernels.rms_norm(rows, weight, np.float32(self.config.norm_epsilon), normed)
        return normed

    def _round(self, heads: Floats) -> None:
        kept, n_heads = self.cache_types, self.config.n_heads
        queries, keys, values = np.split(heads, [n_heads, n_heads + self.config.n_kv_heads], axis=1)
        if self.rounds_queries:
            queries[:] = kept.round_queries(queries, self.config)
        if kept.keys != "F32":
            keys[:] = kept.round_keys(keys, self.config)
        if kept.values != "F32":
            values[:] = kept.round_values(values, self.config)

    def _norm_heads(self, heads: Floats, q_norm: Floats, k_norm: Floats) -> None:
        n_heads, n_rotated = self.config.n_heads, self.config.n_heads + self.config.n_kv_heads
        for weight, mine in ((q_norm, slice(n_heads)), (k_norm, slice(n_heads, n_rotated))):
            rows = heads[:, mine].reshape(-1, self.config.head_size)
            heads[:, mine] = self.normed(rows, weight).reshape(heads[:, mine].shape)


def gather(
    config: LlamaConfig,
    weights: Mapping[str, Floats],
    index: int,
    types: Mapping[str, str] | None,
    watch: Watch | None,
    cache_types: CacheTypes,
) -> DecoderLayer:
    """Take a layer's weights out of those of the model; see `quantcore.model.llama.Llama`."""

    def vector(role: str) -> Floats:
        # Kernels are compiled for writable vectors, and a read-only one would compile them again.
        return np.array(weights[f"blk.{index}.{role}.weight"], np.float32)

    def vector_or_none(role: str) -> Floats | None:
        return vector(role) if f"blk.{index}.{role}.weight" in weights else None

    def matrix(*roles: str) -> Matrix:
        names = tuple(f"blk.{index}.{role}.weight" for role in roles)
        return stacked(weights, names, types, watch)

    return DecoderLayer(
        config=config,
        cache_types=cache_types,
        rounds_queries=types is not None,
        attn_norm=vector("attn_norm"),
        qkv=matrix("attn_q", "attn_k", "attn_v"),
        q_norm=vector_or_none("attn_q_norm"),
        k_norm=vector_or_none("attn_k_norm"),
        attn_output=matrix("attn_output"),
        ffn_norm=vector("ffn_norm"),
        gate_up=matrix("ffn_gate", "ffn_up"),
        ffn_down=matrix("ffn_down"),
    )
