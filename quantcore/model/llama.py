"""The forward pass of the Llama family, in float32: Llama, Mistral, Qwen2, Qwen3.

Matrix products are BLAS on one thread; rows and heads are shared out over the lab's thread pool.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantcore.model import kernels
from quantcore.model.attention import attend
from quantcore.model.blas import one_thread
from quantcore.model.cache_types import CacheTypes
from quantcore.model.config import LlamaConfig
from quantcore.model.layer import Angles, gather
from quantcore.model.matrix import Watch, stacked
from quantcore.model.names import layer_and_role
from quantcore.model.rope import angles
from quantcore.pool import over_rows

Floats = NDArray[np.float32]


class KeyValueCache:
    """Keys and values of the tokens so far, so that the next one need not compute them again."""

    def __init__(self, config: LlamaConfig, n_sequences: int, capacity: int) -> None:
        shape = (n_sequences, capacity, 2 * config.n_kv_heads, config.head_size)
        self.layers = [np.zeros(shape, np.float32) for _ in range(config.n_layers)]
        self.lengths = np.zeros(n_sequences, np.int64)  # tokens so far, by sequence


@dataclass(frozen=True, slots=True)
class Stop:
    """A forward pass left in the middle of a layer, with all that the rest of it needs."""

    layer: int  # n_layers where only the last norm is left
    place: int  # in the layer, before one of its products: see `quantcore.model.layer`
    states: Floats  # what layers add to, (n_sequences, n, hidden_size)
    given: Floats | None = None  # input of the product, (n_sequences, n, n_cols), at places 1 and 3

    @property
    def product_input(self) -> Floats:
        """`given`, at the places that have it."""
        assert self.given is not None
        return self.given


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
        beside weights of that type, and queries beside keys of theirs; see
        `quantcore.model.activations`. By default all is float32.
    watch : callable, optional
        Sees the input of every matrix product; see `quantcore.model.matrix.Watch`.
    cache_types : CacheTypes, optional
        What keys and values are rounded to. By default nothing, or with `types` float16, as in
        llama.cpp.

    Attributes
    ----------
    embedding, layers, output_norm, head
        The weights, as the passes forward and backward use them.

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
        cache_types: CacheTypes | None = None,
    ) -> None:
        cache_types = cache_types or CacheTypes.usual(rounds_queries=types is not None)
        cache_types.check(config, rounds_queries=types is not None)
        self.config = config
        self.embedding = np.asarray(weights["token_embd.weight"], np.float32)
        self.layers = [
            gather(config, weights, i, types, watch, cache_types) for i in range(config.n_layers)
        ]
        self.output_norm = np.array(weights["output_norm.weight"], np.float32)
        output = "token_embd.weight" if config.tied_embedding else "output.weight"
        self.head = stacked(weights, (output,), types, watch)
        self._angles = angles(config, 0)

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
            self.head.times(states[start:stop], out=logits[start:stop])

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
        yield from self.hidden_after(self.begin(tokens), cache)

    def begin(self, tokens: ArrayLike) -> Stop:
        """Look up tokens (n_sequences, n): the place before the first layer."""
        return Stop(0, 0, self.embedding[self._checked(tokens)])

    def step(self, stop: Stop, first: int = 0) -> Stop:
        """Go on to the next place where the pass can be left; `first` as for `hidden_after`."""
        index, layer = stop.layer, self.layers[stop.layer]
        with one_thread():
            if stop.place == 0:
                mixed = self._mixed(index, stop.states, None, first)
                return Stop(index, 1, stop.states[:, -mixed.shape[1] :], mixed)
            if stop.place == 1:
                after = layer.with_attention(_rows(stop.states), _rows(stop.product_input))
                return Stop(index, 2, after.reshape(stop.states.shape))
            if stop.place == 2:
                inner = layer.inner(_rows(stop.states))
                return Stop(index, 3, stop.states, inner.reshape(*stop.states.shape[:2], -1))
            states = stop.states.copy()
            layer.add(_rows(states), _rows(stop.product_input), 3)
            return Stop(index + 1, 0, states)

    def hidden_after(
        self, stop: Stop, cache: KeyValueCache | None = None, first: int = 0
    ) -> Iterator[Floats]:
        """`hidden_by_layer` from a place where a pass was left, of this model or a similar one.

        States of places before `first` are not wanted: the last layer computes none, and the last
        yields are (n_sequences, n - first, hidden_size).
        """
        states, given, place = stop.states, stop.given, stop.place
        n = states.shape[1]
        for index in range(stop.layer, self.config.n_layers):
            with one_thread():
                if place == 0:
                    given, place = self._mixed(index, states, cache, first), 1
                states = (states if given is None else states[:, -given.shape[1] :]).copy()
                self.layers[index].add(
                    _rows(states), None if given is None else _rows(given), place
                )
            place = 0
            yield states
        if cache is not None:
            cache.lengths = cache.lengths + n
        normed = np.empty(states.shape, np.float32)
        epsilon = np.float32(self.config.norm_epsilon)
        kernels.rms_norm(_rows(states), self.output_norm, epsilon, _rows(normed))
        yield normed

    def replaced(self, changed: Mapping[str, Floats]) -> "Llama":
        """Return this model with other weights in some matrices; all others are shared with it."""
        other = copy.copy(self)
        other.layers = self.layers.copy()
        for index in {layer_and_role(name)[0] for name in changed}:
            if index is not None:
                other.layers[index] = self.layers[index].replaced(changed)
        other.embedding = changed.get("token_embd.weight", self.embedding)
        other.head = self.head.replaced(changed)
        return other

    def rounding(self, kinds: Mapping[str, str]) -> "Llama":
        """Return this model with the inputs of some matrices rounded; weights are shared with it.

        `kinds` are those of `quantcore.model.activations.rounded`, by names of weights.
        """
        other = copy.copy(self)
        other.layers = [layer.rounding(kinds) for layer in self.layers]
        other.head = self.head.rounding(kinds)
        return other

    def with_cache(self, cache_types: CacheTypes) -> "Llama":
        """Return this model with keys and values kept in other types; all weights are shared.

        Raises
        ------
        ValueError
            If the model cannot keep them so; see `CacheTypes.check`.
        """
        cache_types.check(self.config, self.layers[0].rounds_queries)
        other = copy.copy(self)
        other.layers = [replace(layer, cache_types=cache_types) for layer in self.layers]
        return other

    def _checked(self, tokens: ArrayLike) -> NDArray[np.integer]:
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or tokens.size == 0 or tokens.dtype.kind not in "iu":
            raise ValueError(f"Tokens must be integers in rows, got {tokens.dtype} {tokens.shape}")
        if tokens.min() < 0 or tokens.max() >= self.config.vocabulary_size:
            raise ValueError(f"Tokens must be below {self.config.vocabulary_size:,}")
        return tokens

    def _mixed(self, index: int, states: Floats, cache: KeyValueCache | None, first: int) -> Floats:
        """Mix states (n_sequences, n, hidden) by attention: (..., n, n_heads * head_size).

        In the last layer only of those from `first` on.
        """
        n_sequences, n = states.shape[:2]
        starts = np.zeros(n_sequences, np.int64) if cache is None else cache.lengths
        positions = (starts[:, None] + np.arange(n)).ravel()
        angles = self.angles_to(int(positions.max()) + 1)
        heads = self.layers[index].heads(_rows(states), positions, angles)
        heads = heads.reshape(n_sequences, n, -1, self.config.head_size)
        keys_values = self._remember(cache, index, heads)
        first = first if index == self.config.n_layers - 1 else 0
        queries = heads[:, first:, : self.config.n_heads]
        return attend(self.config, queries, keys_values, starts + first)

    def angles_to(self, n: int) -> Angles:
        """Cosines and sines of positions up to n, each (n or more, head_size / 2)."""
        if n > self.config.context_length:
            raise ValueError(f"{n:,} tokens exceed the context of {self.config.context_length:,}")
        if n > len(self._angles[0]):
            self._angles = angles(self.config, min(2 * n, self.config.context_length))
        return self._angles

    def _remember(self, cache: KeyValueCache | None, index: int, heads: Floats) -> Floats:
        """Keys and values that the new tokens can see, (n_sequences, n_keys, 2 n_kv, head_size)."""
        new = heads[:, :, self.config.n_heads :]
        if cache is None:
            return new
        store = cache.layers[index]
        for sequence, start in enumerate(cache.lengths):
            store[sequence, start : start + new.shape[1]] = new[sequence]
        return store


def _rows(states: Floats) -> Floats:
    """States of all sequences one below the other: (n_sequences, n, width) -> (n_rows, width)."""
    return states.reshape(-1, states.shape[2])
