"""The invented world: who lives where, what is the capital of what, who likes what.

Made once from a fixed seed, the same for every story: these are the facts that a model can know.
A fifth of the people, towns and lands is told of often, the others seldom.
"""

from dataclasses import dataclass, field
from random import Random

from quantcore.corpus import words
from quantcore.corpus.chooser import Options

OFTEN = 0.2  # share of the people, towns and lands that are told of often
OFTEN_WEIGHT = 0.55  # and their share of the tellings
ZIPF = 1.1  # exponent of the preferences: the k-th choice has the weight 1 / k^ZIPF


@dataclass
class Entity:
    """One person, town or land: its name and the one right answer to each question about it."""

    name: str
    often: bool
    facts: dict[str, str] = field(default_factory=dict)
    likes: dict[str, Options] = field(default_factory=dict)
    woman: bool = False

    @property
    def level(self) -> str:
        """How hard its facts are to know: `easy` or `hard`."""
        return "easy" if self.often else "hard"

    @property
    def she(self) -> str:
        """The pronoun: she or he."""
        return "she" if self.woman else "he"

    @property
    def her(self) -> str:
        """The possessive: her or his."""
        return "her" if self.woman else "his"

    @property
    def herself(self) -> str:
        """The reflexive: herself or himself."""
        return "herself" if self.woman else "himself"


def shuffled(rng: Random, items) -> list:
    """Put the items in an order drawn with `rng`, the same on every version of Python."""
    keyed = [(rng.random(), i) for i in range(len(items))]
    return [items[i] for _, i in sorted(keyed)]


def _one_of(rng: Random, items):
    return items[int(rng.random() * len(items))]


def _likes(rng: Random, texts) -> Options:
    """Put the texts into an order of preference of one's own."""
    rank = shuffled(rng, range(1, len(texts) + 1))
    return Options(texts, [1 / k**ZIPF for k in rank])


def _population(rng: Random, names) -> list[Entity]:
    order = shuffled(rng, names)
    n_often = round(OFTEN * len(order))
    return [Entity(name, i < n_often) for i, name in enumerate(order)]


def _names_of(entities: list[Entity], before: str = " ") -> Options:
    n_often = sum(entity.often for entity in entities)
    n_seldom = len(entities) - n_often
    weights = [
        OFTEN_WEIGHT / n_often if entity.often else (1 - OFTEN_WEIGHT) / n_seldom
        for entity in entities
    ]
    return Options([before + entity.name for entity in entities], weights)


class World:
    """People, towns and lands with their facts (`facts`) and soft preferences (`likes`)."""

    def __init__(self, seed: str = "the world of Fable"):
        rng = Random(seed)
        towns = [start + end for start in words.TOWN_STARTS for end in words.TOWN_ENDS]
        lands = [start + end for start in words.LAND_STARTS for end in words.LAND_ENDS]
        self.people = _population(rng, words.WOMEN + words.MEN)
        self.towns = _population(rng, shuffled(rng, towns)[:160])
        self.lands = _population(rng, shuffled(rng, lands)[:80])
        capitals = iter(shuffled(rng, self.towns))
        for land in self.lands:
            land.facts = {
                "capital": next(capitals).name,
                "ruler": _one_of(rng, words.RULERS),
                "flag": _one_of(rng, words.COLOURS),
                "shield": _one_of(rng, words.BEASTS),
                "crop": _one_of(rng, words.CROPS),
                "coins": _one_of(rng, words.METALS),
            }
        for town in self.towns:
            town.facts = {
                "land": _one_of(rng, self.lands).name,
                "goods": _one_of(rng, words.GOODS),
                "market": _one_of(rng, words.DAYS),
                "roofs": _one_of(rng, words.COLOURS),
                "tower": _one_of(rng, words.BEASTS),
                "feast": _one_of(rng, words.MONTHS),
            }
            town.likes = {"weather": _likes(rng, [" " + text for text in words.WEATHERS])}
        for person in self.people:
            person.woman = person.name in words.WOMEN
            person.facts = {
                "trade": _one_of(rng, words.TRADES),
                "home": _one_of(rng, self.towns).name,
                "pet": _one_of(rng, words.PETS),
                "instrument": _one_of(rng, words.INSTRUMENTS),
                "dish": _one_of(rng, words.DISHES),
                "birth": _one_of(rng, words.MONTHS),
            }
            person.likes = {
                "meal": _likes(rng, [" " + text for text in words.DISHES]),
                "mood": _likes(rng, [" " + text for text in words.MOODS]),
                "evening": _likes(rng, [" " + text for text in words.PASTIMES]),
                "thing": _likes(rng, [" " + text for text in words.THINGS]),
                "taste": _likes(rng, [" " + text for text in words.TASTES]),
                "dream": _likes(rng, [" " + text for text in words.PETS + words.BEASTS]),
            }
        self.person_names = _names_of(self.people)
        self.town_names = _names_of(self.towns)
        self.land_names = _names_of(self.lands)
        self.town = {town.name: town for town in self.towns}
        self.land = {land.name: land for land in self.lands}

    @property
    def n_facts(self) -> int:
        """Number of questions with one right answer."""
        return sum(len(e.facts) for e in self.people + self.towns + self.lands)


WORLD = World()
