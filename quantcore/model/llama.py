"""The forward pass of the Llama family, in float32: Llama, Mistral, Qwen2, Qwen3.

Matrix products are BLAS on one thread; rows and heads are shared out over the lab's thread pool.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantcore.model import kernels
from quantcore.model.blas import one_thread
from quantcore.model.config import LlamaConfig
from quantcore.model.matrix import Matrix, Watch, stacked
from quantcore.model.rope import angles
from quantcore.pool import over_rows

Floats = NDArray[np.float32]
QUERY_ROWS = 256  # rows of scores at once: 256 x 512 of them fit a core's second-level cache
FEED_ROWS = 256  # rows that pass through the feed-forward part at once, for the same reason


class KeyValueCache:
    """Keys and values of the tokens so far, so that the next one need not compute them again."""

    def __init__(self, config: LlamaConfig, n_sequences: int, capacity: int) -> None:
        shape = (n_sequences, capacity, 2 * config.n_kv_heads, config.head_size)
        self.layers = [np.zeros(shape, np.float32) for _ in range(config.n_layers)]
        self.lengths = np.zeros(n_sequences, np.int64)  # tokens so far, by sequence


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of one layer; what is multiplied by the same input is stacked into one matrix."""

    attn_norm: Floats
    qkv: Matrix  # ((n_heads + 2 n_kv_heads) * head_size, hidden)
    q_norm: Floats | None
    k_norm: Floats | None
    attn_output: Matrix
    ffn_norm: Floats
    gate_up: Matrix  # (2 * feed_forward, hidden)
    ffn_down: Matrix


class Llama:
    """One set of weights, ready to run.

    Parameters
    ----------
    config : LlamaConfig
    weights : Mapping
        float32 arrays by GGUF name, as `quantcore.model.names.expected_shapes` lists them. Matrices
        are ``(n_rows, n_cols)`` = (outputs, inputs). Some are kept, not copied: don't change them.
    types : Mapping, optional
        ggml type of each matrix. With them every input is rounded as llama.cpp's CPU kernels do
        beside weights of that type, and queries, keys and values to float16, as its cache is; see
        `quantcore.model.activations`. By default all is float32.
    watch : callable, optional
        Sees the input of every matrix product; see `quantcore.model.matrix.Watch`.

    Examples
    --------
    ``Llama(model.config, {name: model.weights(name) for name in model.tensors})`` runs an opened
    model as it is; see `quantcore.evaluate.quantized.llama_of` for a quantized one.
    """

    def __init__(
        self,
        config: LlamaConfig,
        weights: Mapping[str, Floats],
        types: Mapping[str, str] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.config = config
        self._half_cache = types is not None
        self._embedding = np.asarray(weights["token_embd.weight"], np.float32)
        self._layers = [_gather(weights, f"blk.{i}.", types, watch) for i in range(config.n_layers)]
        self._output_norm = np.array(weights["output_norm.weight"], np.float32)
        output = "token_embd.weight" if config.tied_embedding else "output.weight"
        self._output = stacked(weights, (output,), types, watch)
        self._cosines, self._sines = angles(config, 0)

    def logits(self, tokens: ArrayLike) -> Floats:
        """Logits after each token of one text: (n,) integers -> (n, vocabulary_size).

        Raises
        ------
        ValueError
            If a token is not in the vocabulary, or the text is longer than the model's context.
        """
        return self.output(self.hidden(np.asarray(tokens)[None])[0])

    def hidden(self, tokens: ArrayLike, cache: KeyValueCache | None = None) -> Floats:
        """States after the last norm: (n_sequences, n) -> (n_sequences, n, hidden_size)."""
        *_, last = self.hidden_by_layer(tokens, cache)
        return last

    def output(self, states: Floats) -> Floats:
        """Logits of states from `hidden`: (n_rows, hidden_size) -> (n_rows, vocabulary_size)."""
        logits = np.empty((len(states), self.config.vocabulary_size), np.float32)

        def work(start: int, stop: int) -> None:
            self._output.times(states[start:stop], out=logits[start:stop])

        with one_thread():
            over_rows(work, len(states), min_rows=32)
        return logits

    def hidden_by_layer(
        self, tokens: ArrayLike, cache: KeyValueCache | None = None
    ) -> Iterator[Floats]:
        """Compute `hidden` and yield after each layer, so that long work can be watched or left.

        Only the last yield, one more than there are layers, is normed. With a cache, tokens
        continue its sequences, and their keys and values are added to it.
        """
        tokens = self._checked(tokens)
        n_sequences, n = tokens.shape
        starts = np.zeros(n_sequences, np.int64) if cache is None else cache.lengths
        positions = (starts[:, None] + np.arange(n)).ravel()
        self._grow_angles(int(positions.max()) + 1)
        states = self._embedding[tokens.ravel()]
        for index, layer in enumerate(self._layers):
            with one_thread():
                heads = self._project(layer, states, positions)
                heads = heads.reshape(n_sequences, n, -1, self.config.head_size)
                keys_values = self._remember(cache, index, heads)
                mixed = self._attend(heads, keys_values, starts)
                self._feed_forward(layer, states, mixed)
            yield states.reshape(n_sequences, n, -1)
        if cache is not None:
            cache.lengths = cache.lengths + n
        normed = np.empty_like(states)
        self._norm(states, self._output_norm, normed)
        yield normed.reshape(n_sequences, n, -1)

    def _checked(self, tokens: ArrayLike) -> NDArray[np.integer]:
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or tokens.size == 0 or tokens.dtype.kind not in "iu":
            raise ValueError(f"tokens must be integers in rows, got {tokens.dtype} {tokens.shape}")
        if tokens.min() < 0 or tokens.max() >= self.config.vocabulary_size:
            raise ValueError(f"tokens must lie below {self.config.vocabulary_size:,}")
        return tokens

    def _grow_angles(self, n: int) -> None:
        if n > self.config.context_length:
            raise ValueError(f"{n:,} tokens exceed the context of {self.config.context_length:,}")
        if n > len(self._cosines):
            self._cosines, self._sines = angles(self.config, min(2 * n, self.config.context_length))

    def _norm(self, rows: Floats, weight: Floats, out: Floats) -> None:
        kernels.rms_norm(rows, weight, np.float32(self.config.norm_epsilon), out)

    def _project(self, layer: _Layer, states: Floats, positions: NDArray[np.int64]) -> Floats:
        """Rotated queries and keys, and values, of each row: (n_rows, heads, head_size)."""
        config = self.config
        n_rotated = config.n_heads + config.n_kv_heads
        heads = np.empty((len(states), n_rotated + config.n_kv_heads, config.head_size), np.float32)
        flat = heads.reshape(len(states), -1)

        def work(start: int, stop: int) -> None:
            normed = np.empty((stop - start, config.hidden_size), np.float32)
            self._norm(states[start:stop], layer.attn_norm, normed)
            layer.qkv.times(normed, out=flat[start:stop])
            if layer.q_norm is not None:
                self._norm_heads(layer, heads[start:stop])
            kernels.rotate(
                heads[start:stop, :n_rotated],
                self._cosines,
                self._sines,
                positions[start:stop],
                config.rope_interleaved,
            )
            if self._half_cache:
                heads[start:stop] = heads[start:stop].astype(np.float16)

        over_rows(work, len(states), min_rows=32)
        return heads

    def _norm_heads(self, layer: _Layer, heads: Floats) -> None:
        n_heads, n_rotated = self.config.n_heads, self.config.n_heads + self.config.n_kv_heads
        for weight, mine in (
            (layer.q_norm, slice(n_heads)),
            (layer.k_norm, slice(n_heads, n_rotated)),
        ):
            rows = heads[:, mine].reshape(-1, self.config.head_size)
            normed = np.empty_like(rows)
            self._norm(rows, weight, normed)
            heads[:, mine] = normed.reshape(heads[:, mine].shape)

    def _remember(self, cache: KeyValueCache | None, index: int, heads: Floats) -> Floats:
        """Keys and values that the new tokens can see, (n_sequences, n_keys, 2 n_kv, head_size)."""
        new = heads[:, :, self.config.n_heads :]
        if cache is None:
            return new
        store = cache.layers[index]
        for sequence, start in enumerate(cache.lengths):
            store[sequence, start : start + new.shape[1]] = new[sequence]
        return store

    def _attend(self, heads: Floats, keys_values: Floats, starts: NDArray[np.int64]) -> Floats:
        """Attention of each query to the keys up to its own: (n_rows, n_heads * head_size)."""
        config = self.config
        n_sequences, n = heads.shape[:2]
        mixed = np.empty((n_sequences, n, config.n_heads, config.head_size), np.float32)
        per_group = config.n_heads // config.n_kv_heads

        def work(start: int, stop: int) -> None:
            for task in range(start, stop):
                sequence, group = divmod(task, config.n_kv_heads)
                mine = slice(group * per_group, (group + 1) * per_group)
                _attend_group(
                    heads[sequence, :, mine],
                    keys_values[sequence, :, group],
                    keys_values[sequence, :, config.n_kv_heads + group],
                    int(starts[sequence]),
                    mixed[sequence, :, mine],
                )

        min_tasks = 1 if n >= 32 else 64
        over_rows(work, n_sequences * config.n_kv_heads, min_rows=min_tasks)
        return mixed.reshape(n_sequences * n, -1)

    def _feed_forward(self, layer: _Layer, states: Floats, mixed: Floats) -> None:
        """Add the attention's output to `states`, then that of the feed-forward part."""

        def work(start: int, stop: int) -> None:
            for first in range(start, stop, FEED_ROWS):
                rows = slice(first, min(first + FEED_ROWS, stop))
                self._feed_rows(layer, states[rows], mixed[rows])

        over_rows(work, len(states), min_rows=32)

    def _feed_rows(self, layer: _Layer, states: Floats, mixed: Floats) -> None:
        states += layer.attn_output.times(mixed)
        normed = np.empty_like(states)
        self._norm(states, layer.ffn_norm, normed)
        both = layer.gate_up.times(normed)
        inner = np.empty((len(states), self.config.feed_forward_size), np.float32)
        np.negative(both[:, : inner.shape[1]], out=inner)
        with np.errstate(over="ignore"):  # exp of a large number is inf, and the gate is shut
            np.exp(inner, out=inner)
        kernels.gate(inner, both)
        states += layer.ffn_down.times(inner)


def _gather(
    weights: Mapping[str, Floats],
    prefix: str,
    types: Mapping[str, str] | None,
    watch: Watch | None,
) -> _Layer:
    def vector(role: str) -> Floats | None:
        found = weights.get(f"{prefix}{role}.weight")
        # Kernels are compiled for writable vectors, and a read-only one would compile them again.
        return None if found is None else np.array(found, np.float32)

    def matrix(*roles: str) -> Matrix:
        return stacked(weights, tuple(f"{prefix}{role}.weight" for role in roles), types, watch)

    return _Layer(
        attn_norm=vector("attn_norm"),
        qkv=matrix("attn_q", "attn_k", "attn_v"),
        q_norm=vector("attn_q_norm"),
        k_norm=vector("attn_k_norm"),
        attn_output=matrix("attn_output"),
        ffn_norm=vector("ffn_norm"),
        gate_up=matrix("ffn_gate", "ffn_up"),
        ffn_down=matrix("ffn_down"),
    )


def _attend_group(
    queries: Floats, keys: Floats, values: Floats, first_position: int, out: Floats
) -> None:
    """Heads that share keys: queries (n, per_group, head_size), keys and values (n_keys, ...).

    Query i stands at ``first_position + i``. A block of queries only meets the keys that the last
    of them sees, so scores never fill an n x n array.
    """
    n, per_group, head_size = queries.shape
    scale = np.float32(head_size**-0.5)
    step = max(1, QUERY_ROWS // per_group)
    for start in range(0, n, step):
        block = queries[start : start + step]
        n_keys = first_position + start + len(block)
        scores = (block * scale).reshape(-1, head_size) @ keys[:n_keys].T
        kernels.mask_and_shift(scores, first_position + start + 1, per_group)
        np.exp(scores, out=scores)
        mixed = scores @ values[:n_keys]
        kernels.divide_by_sums(mixed, scores)
        out[start : start + step] = mixed.reshape(block.shape)
