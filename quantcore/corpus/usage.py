"""Which words go together: what a lazy person is, who does what to what, and where.

Made once from a fixed seed, the same for every story, like the facts of the world. Some twenty-five
thousand soft preferences: as in a real language, no word is impossible, but each has its company,
and where two words have a say, their weights multiply.
"""

from functools import cache
from random import Random

from quantcore.corpus import words
from quantcore.corpus.chooser import Options
from quantcore.corpus.world import shuffled

ZIPF = 0.9  # exponent of each preference: the k-th word has the weight 1 / k^ZIPF
_rng = Random("the usage of Fable")


class Company:
    """Words to choose from, to the taste of the words before them."""

    def __init__(self, texts: tuple[str, ...], *heads: tuple[str, ...]):
        self.texts = texts
        self._tastes = [[self._taste() for _ in words_before] for words_before in heads]
        self.beside = cache(self._beside)

    def _taste(self) -> list[float]:
        return [1 / k**ZIPF for k in shuffled(_rng, range(1, len(self.texts) + 1))]

    def _beside(self, *numbers: int) -> Options:
        """Return the options after the words of these numbers, one of each of the heads."""
        weights = [1.0] * len(self.texts)
        for tastes, number in zip(self._tastes, numbers, strict=True):
            weights = [a * b for a, b in zip(weights, tastes[number], strict=True)]
        return Options(self.texts, weights)


def _spaced(texts) -> tuple[str, ...]:
    return tuple(f" {text}" for text in texts)


CHARACTERS = _spaced(words.CHARACTERS)
ACTORS = _spaced(words.TRADES + [one for one, _ in words.FOLK if one not in words.TRADES])
MANNERS = _spaced(words.MANNERS)
VERBS = _spaced(words.VERBS)
TASTES = _spaced(words.TASTES)
THINGS = _spaced(words.THINGS)
BEASTS = _spaced(words.PETS + words.BEASTS)
PLACED = _spaced(["in the", "behind the", "near the", "under the"])
AFTER = PLACED + _spaced(["for the", "with the"])

# Who, of a character; how this actor does things; what actors do in this manner; ...
actor = Company(ACTORS, CHARACTERS)
manner = Company(MANNERS, ACTORS)
verb = Company(VERBS, ACTORS, MANNERS)
taste = Company(TASTES, VERBS)
thing = Company(THINGS, VERBS, TASTES)
preposition = Company(AFTER, VERBS)
place = Company(_spaced(words.PLACES + words.ROOMS), THINGS, PLACED)
friend = Company(ACTORS, VERBS)  # for whom it is done
companion = Company(BEASTS, ACTORS)
beast = Company(BEASTS, CHARACTERS)  # in a proverb, as the next two
wisdom = Company(_spaced(words.WISDOM), BEASTS)
matter = Company(THINGS, BEASTS)

FIRST_CHARACTER = Options(CHARACTERS)
GOES_ON = Options([".", ", while the", ", and the", ", but the"], [0.45, 0.2, 0.2, 0.15])
ENDS_AT_ONCE = 0.3  # how often nothing is said of where, for whom or with whom


@cache
def after(did: int) -> Options:
    """Return what follows the thing: a way of going on, or a preposition to the verb's taste."""
    rest = preposition.beside(did)
    return Options(
        GOES_ON.texts + rest.texts,
        [ENDS_AT_ONCE * w for w in GOES_ON.weights]
        + [(1 - ENDS_AT_ONCE) * w for w in rest.weights],
    )
