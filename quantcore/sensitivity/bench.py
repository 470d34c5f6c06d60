"""A model on a bench: some of its tensors are changed, and what follows is measured.

The original runs once; its logits at the scored tokens stay in memory. Every change is measured by
a forward pass that starts where the change takes effect, from states that the unchanged model left
there. These states belong to one place in the model at a time, so they stay small; pieces that come
in the order of the forward pass never compute them twice.
"""

import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.divergence import score_against
from quantcore.evaluate.perplexity import Kept, score
from quantcore.evaluate.text import Chunks
from quantcore.model.llama import Floats, Llama, Stop
from quantcore.model.source import Model
from quantcore.pool import threads
from quantcore.sensitivity.effect import Effect, Measured, effect_of
from quantcore.sensitivity.pieces import Piece, entry_of, restored_as, storable

LOGITS_AT_ONCE = 1 << 21  # of the original, for one batch of chunks: 8 MiB


Place = tuple[int, int]  # layer, and place in it


class Walk:
    """A forward pass over all chunks that stands at one place, and goes on when asked."""

    def __init__(self, llama: Llama, batches: list[NDArray[np.int32]], first: int) -> None:
        self.llama, self._batches, self._first = llama, batches, first
        self._begin()

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self._stops[0].layer, self._stops[0].place

    def at(self, place: Place, changed: Llama) -> list[Stop]:
        """Give the states there, by batch; `changed` looks up the tokens if it begins with that."""
        if place < (0, 0):
            return [changed.begin(tokens) for tokens in self._batches]
        if self.place > place:
            self._begin()
        while self.place < place:
            self._stops = [self.llama.step(stop, self._first) for stop in self._stops]
        return self._stops

    def _begin(self) -> None:
        self._stops = [self.llama.begin(tokens) for tokens in self._batches]


class Bench:
    """The original model and what it says of some chunks; it may be used from several threads.

    Parameters
    ----------
    model
        Its weights are all in memory, as float32.
    chunks
        Divergence and perplexity are those of their scored tokens, the second half of each chunk.
    """

    def __init__(self, model: Model, chunks: Chunks) -> None:
        self.model = model
        scored = chunks.scored[0]
        self._first = int(scored.argmax())  # the state at place i predicts the token at i + 1
        n_logits = int(scored.sum()) * model.config.vocabulary_size
        at_once = max(1, LOGITS_AT_ONCE // n_logits)
        starts = range(0, len(chunks.tokens), at_once)
        self._batches = [chunks.inputs[i : i + at_once] for i in starts]
        self._targets = [chunks.tokens[i : i + at_once, 1:][:, scored].ravel() for i in starts]
        self._shape = len(chunks.tokens), int(scored.sum())
        self._original = Llama(model.config, {name: model.weights(name) for name in model.tensors})
        with threads(1):  # as the pieces, so that rounding is the same
            self._read_original()
        self._lock = threading.Lock()
        self._bases: dict[str, Llama] = {}
        self._idle: list[Walk] = []

    def _read_original(self) -> None:
        self._kept, self._scores = [], []
        for tokens, targets in zip(self._batches, self._targets, strict=True):
            states = self._states(self._original, self._original.begin(tokens))
            kept = Kept.empty(self._original, len(targets))
            self._scores.append(score(self._original, states, targets, kept))
            self._kept.append(kept)
        self.original = Measured(
            nll=self._joined([scores.nll for scores in self._scores]),
            kl=np.zeros(self._shape),
            top_token=self._joined([scores.top_token for scores in self._scores]),
        )

    def measure(self, piece: Piece) -> Effect:
        """Measure one piece."""
        base = "" if piece.how == "alone" else piece.format
        weights = {
            name: self.model.weights(name) if base else restored_as(self.model, name, piece.format)
            for name in piece.tensors
        }
        found = self.changed(weights, self._base(base))
        return effect_of(self.model, piece, found, self.original)

    def with_weights(self, weights: Mapping[str, Floats]) -> Llama:
        """Give the original with other weights in some matrices."""
        return self._original.replaced(weights)

    def changed(self, weights: Mapping[str, Floats], base: Llama | None = None) -> Measured:
        """Measure the original, or another base, with other weights in some matrices.

        States of the base are kept from one call to the next, of one base at a time.
        """
        place = entry_of(self.model, weights)
        walk = self._take_walk(self._original if base is None else base, place)
        changed = walk.llama.replaced(weights)
        found = self.run(changed, walk.at(place, changed))
        with self._lock:
            self._idle.append(walk)
        return found

    def run(self, changed: Llama, stops: list[Stop]) -> Measured:
        """Go on from stops with a changed model, and compare it with the original."""
        nll, kl, top = [], [], []
        parts = zip(stops, self._targets, self._kept, self._scores, strict=True)
        for stop, targets, kept, scores in parts:
            states = self._states(changed, stop)
            found, divergence = score_against(changed, states, targets, kept, scores)
            nll.append(found.nll)
            kl.append(divergence)
            top.append(found.top_token)
        return Measured(self._joined(nll), self._joined(kl), self._joined(top))

    def _states(self, llama: Llama, stop: Stop) -> Floats:
        """States before the scored tokens, (n_targets, hidden_size)."""
        *_, states = llama.hidden_after(stop, first=self._first)
        return states[:, :-1].reshape(-1, states.shape[2])

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts).reshape(self._shape)

    def _take_walk(self, llama: Llama, place: Place) -> Walk:
        """Find a walk of a model that no piece is using: the one that has least to go."""
        with self._lock:
            self._idle = [walk for walk in self._idle if walk.llama is llama]
            if not self._idle:
                return Walk(llama, self._batches, self._first)
            best = max(self._idle, key=lambda walk: (walk.place <= place, walk.place))
            self._idle.remove(best)
            return best

    def _base(self, format_name: str) -> Llama:
        """Give the model that pieces change: the original, or all of it in a format."""
        if not format_name:
            return self._original
        with self._lock:
            if format_name not in self._bases:
                able = storable(self.model, format_name)
                weights = {name: restored_as(self.model, name, format_name) for name in able}
                self._bases = {format_name: self._original.replaced(weights)}  # one at a time
            return self._bases[format_name]
