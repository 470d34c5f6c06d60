"""Choices in text, written or read.

The grammar of the stories is coded once, against an object with two verbs: `say` (text that must
come) and `pick` (one of several texts). A `Writer` draws and writes; a `Reader` finds in a given
text which option was drawn, and so knows the probability of every word.

Every pick shows at once in the text, and no option begins with the whole of another, so a text has
one derivation or none: the reader never has to guess or go back.
"""

import re
from bisect import bisect
from functools import cache
from itertools import accumulate
from math import log

WORD = re.compile(r"\s*(?:\w+|[^\w\s])")  # a word or a mark, with the space before it


class Options:
    """Texts to choose from and their probabilities (uniform without `weights`)."""

    def __init__(self, texts, weights=None):
        self.texts = tuple(texts)
        weights = [1.0] * len(self.texts) if weights is None else list(weights)
        total = sum(weights)
        self.weights = [weight / total for weight in weights]
        self.cumulative = list(accumulate(self.weights))
        self._words = None

    @property
    def words(self) -> list[tuple[str, ...]]:
        """Words and marks of each text, with the space before them."""
        if self._words is None:
            self._words = [tuple(WORD.findall(text)) for text in self.texts]
        return self._words

    def mass(self, without=()) -> float:
        """Probability that is left when the options numbered in `without` are."""
        return 1.0 - sum(self.weights[i] for i in without)


@cache
def among(*texts: str) -> Options:
    """Options with equal probabilities."""
    return Options(texts)


class Writer:
    """Draws the choices of one story from `rng` and writes it."""

    def __init__(self, rng):
        self.random = rng.random
        self.parts: list[str] = []
        self.n_words = 0
        self.log_probability = 0.0
        self.marks: list[tuple[str, str, str, str]] = []  # skill, level, prompt, answer

    def say(self, text: str) -> None:
        """Write text that leaves no choice."""
        self.parts.append(text)
        self.n_words += text.count(" ")

    def pick(self, options: Options, without=()) -> int:
        """Draw one option, write its text, return its index; those in `without` are left out."""
        last = len(options.texts) - 1
        index = min(bisect(options.cumulative, self.random()), last)
        while index in without:
            index = min(bisect(options.cumulative, self.random()), last)
        self.log_probability += log(options.weights[index] / options.mass(without))
        self.say(options.texts[index])
        return index

    def test(self, skill: str, level: str, answer: str) -> None:
        """Write `answer`, the one right continuation here, and note the place as a test prompt."""
        self.marks.append((skill, level, self.text(), answer))
        self.say(answer)

    def text(self) -> str:
        """Return what is written so far."""
        return "".join(self.parts)[1:]  # the space before the first word


class NotAStory(ValueError):
    """The text is none that the grammar can write."""


class Reader:
    """Follows the grammar along `text` (one story) and notes the log-probability of each word.

    `words` lists (first character, log-probability in nats) in order, marks included.
    """

    def __init__(self, text: str):
        self._text = " " + text
        self._at = 0
        self.n_words = 0
        self.words: list[tuple[int, float]] = []

    def _shows(self, text: str) -> bool:
        end = self._at + len(text)
        return self._text.startswith(text, self._at) and not (
            text[-1].isalnum() and self._text[end : end + 1].isalnum()
        )

    def _note(self, words, log_probabilities) -> None:
        for word, log_probability in zip(words, log_probabilities, strict=True):
            n_spaces = len(word) - len(word.lstrip())
            self.words.append((self._at + n_spaces - 1, log_probability))
            self._at += len(word)
            self.n_words += word.count(" ")

    def say(self, text: str) -> None:
        """Read text that leaves no choice; raises NotAStory if something else stands there."""
        if not self._shows(text):
            raise NotAStory(
                f"at character {self._at}: expected {text!r}, found {self._excerpt()!r}"
            )
        words = WORD.findall(text)
        self._note(words, [0.0] * len(words))

    def pick(self, options: Options, without=()) -> int:
        """Find the option that the text shows here; returns its index."""
        shown = [
            i for i, text in enumerate(options.texts) if i not in without and self._shows(text)
        ]
        if len(shown) != 1:
            raise NotAStory(
                f"at character {self._at}: {len(shown)} of {len(options.texts)} continuations"
                f" fit {self._excerpt()!r}"
            )
        words = options.words[shown[0]]
        self._note(words, _by_word(options, words, without))
        return shown[0]

    def test(self, skill: str, level: str, answer: str) -> None:
        """Read `answer`, the one right continuation here."""
        self.say(answer)

    def finish(self) -> None:
        """Raise NotAStory unless the text ends here."""
        if self._at != len(self._text):
            raise NotAStory(
                f"at character {self._at}: the story is over, found {self._excerpt()!r}"
            )

    def _excerpt(self) -> str:
        return self._text[self._at : self._at + 30]


def _by_word(options: Options, words, without) -> list[float]:
    """Apply the chain rule along an option: each word against the options still open there."""
    left = [i for i in range(len(options.texts)) if i not in without]
    mass = sum(options.weights[i] for i in left)
    result = []
    for k, word in enumerate(words):
        if len(left) > 1:
            left = [i for i in left if len(options.words[i]) > k and options.words[i][k] == word]
        kept = sum(options.weights[i] for i in left)
        result.append(log(kept / mass))
        mass = kept
    return result
