"""A model on a bench: some of its tensors are changed, and what follows is measured.

The original runs once; its logits at the scored tokens stay in memory. Every change is measured by
a forward pass that starts where the change takes effect, from states that the unchanged model left
there. These states belong to one place in the model at a time, so they stay small; pieces that come
in the order of the forward pass never compute them twice.
"""

import threading
from collections.abc import Iterable, Mapping

import numpy as np

from quantcore.evaluate.divergence import score_against
from quantcore.evaluate.perplexity import KeptLogits, Scores, score, score_rows
from quantcore.model.llama import Floats, Llama, Stop
from quantcore.model.source import Model
from quantcore.pool import threads
from quantcore.sensitivity.choosing import Choosing
from quantcore.sensitivity.effect import Effect, TokenScores, effect_of
from quantcore.sensitivity.pieces import Entry, Piece, entry_of, restored_as, storable
from quantcore.sensitivity.reading import Batch, Reading


class Walk:
    """A forward pass over all batches that has come to one place, and goes on when asked."""

    def __init__(self, llama: Llama, batches: list[Batch]) -> None:
        self.llama, self._batches = llama, batches
        self._stops = self._begin()

    @property
    def place(self) -> Entry:
        """Where it has come to."""
        return self._stops[0].layer, self._stops[0].place

    def at(self, place: Entry, changed: Llama) -> list[Stop]:
        """Give the states there, by batch; `changed` looks up the tokens if it begins with that."""
        if place < (0, 0):
            return [changed.begin(batch.inputs) for batch in self._batches]
        if self.place > place:
            self._stops = self._begin()
        while self.place < place:
            stops = zip(self._stops, self._batches, strict=True)
            self._stops = [self.llama.step(stop, batch.first) for stop, batch in stops]
        return self._stops

    def _begin(self) -> list[Stop]:
        return [self.llama.begin(batch.inputs) for batch in self._batches]


class Bench:
    """The original model and what it says of some chunks; it may be used from several threads.

    Parameters
    ----------
    model
        Its weights are all in memory, as float32.
    reading
        What it reads. Divergence and perplexity are those of the chunks' targets.
    choosing
        What chooses codes; by default they are rounded to nearest.
    """

    def __init__(self, model: Model, reading: Reading, choosing: Choosing | None = None) -> None:
        self.model, self.reading, self._choosing = model, reading, choosing
        self._batches = reading.batches
        self._original = Llama(model.config, {name: model.weights(name) for name in model.tensors})
        with threads(1):  # as the pieces, so that rounding is the same
            self._read_original()
        self._lock = threading.Lock()
        self._bases: dict[str, Llama] = {}
        self._idle: list[Walk] = []

    def _read_original(self) -> None:
        self._kept, self._scores = [], []
        for batch in self._batches:
            states = self._states(self._original, self._original.begin(batch.inputs), batch)
            kept = KeptLogits.empty(self._original, 0 if batch.is_answers else len(batch.targets))
            self._scores.append(
                self._answers(self._original, states, batch)
                if batch.is_answers
                else score(self._original, states, batch.targets, kept)
            )
            self._kept.append(kept)
        nll = np.concatenate([scores.nll for scores in self._scores])
        top = np.concatenate([scores.top_token for scores in self._scores])
        self.original = TokenScores(nll, np.zeros(nll.shape), top)

    def measure(self, piece: Piece) -> Effect:
        """Measure one piece."""
        if self._choosing is not None:
            scores = self.changed(self._chosen(piece, self._choosing))
            return effect_of(self.model, piece, self.reading, scores, self.original)
        base = "" if piece.how == "alone" else piece.format
        weights = {
            name: self.model.weights(name) if base else restored_as(self.model, name, piece.format)
            for name in piece.tensors
        }
        scores = self.changed(weights, self._base(base))
        return effect_of(self.model, piece, self.reading, scores, self.original)

    def _chosen(self, piece: Piece, choosing: Choosing) -> Mapping[str, Floats]:
        """Give the weights of all that is quantized: the piece, or all but that."""
        names: Iterable[str] = piece.tensors
        if piece.how == "kept":
            names = [n for n in storable(self.model, piece.format) if n not in piece.tensors]
        return choosing.restored(self.model, names, piece.format, self._original)

    def with_weights(self, weights: Mapping[str, Floats]) -> Llama:
        """Give the original with other weights in some matrices."""
        return self._original.replaced(weights)

    def changed(self, weights: Mapping[str, Floats], base: Llama | None = None) -> TokenScores:
        """Measure the original, or another base, with other weights in some matrices.

        States of the base are kept from one call to the next, of one base at a time.
        """
        place = entry_of(self.model, weights)
        walk = self._take_walk(self._original if base is None else base, place)
        changed = walk.llama.replaced(weights)
        scores = self.run(changed, walk.at(place, changed))
        with self._lock:
            self._idle.append(walk)
        return scores

    def run(self, changed: Llama, stops: list[Stop]) -> TokenScores:
        """Go on from stops with a changed model, and compare it with the original."""
        nll, kl, top = [], [], []
        parts = zip(stops, self._batches, self._kept, self._scores, strict=True)
        for stop, batch, kept, original in parts:
            states = self._states(changed, stop, batch)
            if batch.is_answers:  # what they diverge by has no use
                scores, divergence = self._answers(changed, states, batch), np.zeros(len(states))
            else:
                scores, divergence = score_against(changed, states, batch.targets, kept, original)
            nll.append(scores.nll)
            kl.append(divergence)
            top.append(scores.top_token)
        return TokenScores(np.concatenate(nll), np.concatenate(kl), np.concatenate(top))

    def _states(self, llama: Llama, stop: Stop, batch: Batch) -> Floats:
        """States before the targets, (n_targets, hidden_size)."""
        *_, states = llama.hidden_after(stop, first=batch.first)
        return batch.wanted(states)

    def _answers(self, llama: Llama, states: Floats, batch: Batch) -> Scores:
        """Score answers; where one opens a word, among the tokens that open one."""
        scores = Scores.empty(len(states))
        logits = llama.output(states)
        assert batch.opens_word is not None and self.reading.inside_words is not None
        logits[np.ix_(batch.opens_word, self.reading.inside_words)] = -np.inf
        score_rows(logits, batch.targets, scores, slice(None))
        return scores

    def _take_walk(self, llama: Llama, place: Entry) -> Walk:
        """Find a walk of a model that no piece is using: the one that has least to go."""
        with self._lock:
            self._idle = [walk for walk in self._idle if walk.llama is llama]
            if not self._idle:
                return Walk(llama, self._batches)
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
