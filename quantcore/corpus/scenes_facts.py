"""Scenes that tell what is so in the world: places, and people."""

from quantcore.corpus.chooser import Options, among
from quantcore.corpus.telling import Story, fact, listing
from quantcore.corpus.world import WORLD

# how a statement begins, how it goes on after the name, and the question that it answers
OF_LANDS = [
    (" the capital of", " is", "capital"),
    (" the crown of", " belongs to", "ruler"),
    (" the flag of", " is", "flag"),
    (" the shield of", " shows the", "shield"),
    (" the fields of", " are full of", "crop"),
    (" the coins of", " are made of", "coins"),
]
OF_TOWNS = [
    (" the town of", " lies in", "land"),
    (" the merchants of", " sell", "goods"),
    (" the market of", " is held on", "market"),
    (" the roofs of", " are", "roofs"),
    (" the tower of", " carries the golden", "tower"),
    (" the people of", " hold their feast in", "feast"),
]
OF_PEOPLE = [
    (" works as the", "trade"),
    (" comes from", "home"),
    (" has a tame", "pet"),
    (" plays the", "instrument"),
    (" likes best to eat", "dish"),
    (" was born in", "birth"),
]
OF_PLACES = OF_LANDS + OF_TOWNS
PLACE_STARTS = Options([start for start, _, _ in OF_PLACES])
PERSON_VERBS = Options([verb for verb, _ in OF_PEOPLE])


def places(c, story: Story) -> None:
    """Statements about lands and towns."""

    def statement():
        which = c.pick(PLACE_STARTS)
        _, verb, question = OF_PLACES[which]
        if which < len(OF_LANDS):
            entity = WORLD.lands[c.pick(WORLD.land_names)]
        else:
            entity = WORLD.towns[c.pick(WORLD.town_names)]
        c.say(verb)
        fact(c, story, entity, question)

    listing(c, statement, 2, 5)


def gossip(c, story: Story) -> None:
    """Statements about people."""

    def statement():
        person = WORLD.people[c.pick(WORLD.person_names)]
        _, question = OF_PEOPLE[c.pick(PERSON_VERBS)]
        fact(c, story, person, question)

    listing(c, statement, 2, 5)


def journey(c, story: Story) -> None:
    """To another town, and what is to be seen there."""
    c.say(f" {story.main.name} travelled to")
    town = WORLD.towns[c.pick(WORLD.town_names)]
    how = c.pick(
        among(
            ", where it was",
            " in",
            ", where the roofs were",
            ", where a golden beast stood on the tower, the",
            " and bought some",
        )
    )
    if how == 0:
        c.pick(town.likes["weather"])
    else:
        fact(c, story, town, ("land", "roofs", "tower", "goods")[how - 1])
    c.say(".")
