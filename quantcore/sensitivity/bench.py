"""A model on a bench: some of its tensors are changed, and what follows is measured.

The original runs once; its logits at the scored tokens stay in memory. Every change is measured by
a forward pass that starts where the change takes effect, from states that the unchanged model left
there. These states belong to one place in the model at a time, so they stay small; pieces that come
in the order of the forward pass never compute them twice.
"""

import threading

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.divergence import score_against
from quantcore.evaluate.perplexity import score
from quantcore.evaluate.quantized import needed_importance, restored
from quantcore.evaluate.text import Chunks
from quantcore.formats import FORMATS
from quantcore.model.llama import Floats, Llama, Stop
from quantcore.model.source import Model
from quantcore.pool import threads
from quantcore.sensitivity.effect import Effect, Measured, effect_of
from quantcore.sensitivity.pieces import Piece, entry, storable

LOGITS_AT_ONCE = 1 << 21  # of the original, for one batch of chunks: 8 MiB


class Walk:
    """A forward pass over all chunks that stands at one place, and goes on when asked."""

    def __init__(self, llama: Llama, batches: list[NDArray[np.int32]], first: int) -> None:
        self.llama, self._batches, self._first = llama, batches, first
        self._stops: list[Stop] = []

    def at(self, layer: int, place: int, changed: Llama) -> list[Stop]:
        """Give the states there, by batch; `changed` looks up the tokens if it begins with that."""
        if layer < 0:
            return [changed.begin(tokens) for tokens in self._batches]
        if not self._stops or (self._stops[0].layer, self._stops[0].place) > (layer, place):
            self._stops = [self.llama.begin(tokens) for tokens in self._batches]
        while (self._stops[0].layer, self._stops[0].place) < (layer, place):
            self._stops = [self.llama.step(stop, self._first) for stop in self._stops]
        return self._stops


class Bench:
    """The original model and what it says of some chunks; it may be used from several threads.

    Parameters
    ----------
    model
        Its weights are all in memory, as float32.
    chunks
        Divergence and perplexity are those of their scored tokens, the second half of each chunk.
    with_imatrix
        Whether formats use the importance matrix that lies with the model; those that cannot do
        without always do.
    """

    def __init__(self, model: Model, chunks: Chunks, with_imatrix: bool = False) -> None:
        self.model, self.with_imatrix = model, with_imatrix
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
        self._walks = threading.local()

    def _read_original(self) -> None:
        self._logits, self._scores = [], []
        for tokens, targets in zip(self._batches, self._targets, strict=True):
            states = self._states(self._original, self._original.begin(tokens))
            logits = np.empty((len(targets), self.model.config.vocabulary_size), np.float32)
            self._scores.append(score(self._original, states, targets, logits))
            self._logits.append(logits)
        self.original = Measured(
            nll=self._joined([scores.nll for scores in self._scores]),
            kl=np.zeros(self._shape),
            top_token=self._joined([scores.top_token for scores in self._scores]),
        )

    def measure(self, piece: Piece) -> Effect:
        """Measure one piece."""
        base = "" if piece.how == "alone" else piece.format
        walk = self._walk(base)
        changed = walk.llama.replaced(
            {
                name: self.model.weights(name) if base else self._restored(name, piece.format)
                for name in piece.tensors
            }
        )
        found = self.run(changed, walk.at(*entry(self.model, piece), changed))
        return effect_of(self.model, piece, found, self.original)

    def run(self, changed: Llama, stops: list[Stop]) -> Measured:
        """Go on from stops with a changed model, and compare it with the original."""
        nll, kl, top = [], [], []
        parts = zip(stops, self._targets, self._logits, self._scores, strict=True)
        for stop, targets, logits, scores in parts:
            states = self._states(changed, stop)
            found, divergence = score_against(changed, states, targets, logits, scores)
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

    def _walk(self, base: str) -> Walk:
        """Find this thread's walk through a model: the original, or all of it in a format."""
        if getattr(self._walks, "base", None) != base:
            with self._lock:
                if base not in self._bases:
                    # Pieces come format by format: what the last threads still use stays theirs.
                    self._bases = {"": self._original, base: self._base(base)}
                llama = self._bases[base]
            self._walks.base, self._walks.walk = base, Walk(llama, self._batches, self._first)
        return self._walks.walk

    def _base(self, format_name: str) -> Llama:
        if not format_name:
            return self._original
        able = storable(self.model, format_name)
        return self._original.replaced({name: self._restored(name, format_name) for name in able})

    def _restored(self, name: str, format_name: str) -> Floats:
        found = needed_importance(self.model, name, format_name)
        if found is None and self.with_imatrix and format_name in FORMATS:
            found = self.model.imatrix.importance(name)
        return restored(self.model, name, format_name, found)
