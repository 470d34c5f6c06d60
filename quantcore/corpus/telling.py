"""What the scenes of a story share: its state, and sentences that several of them use."""

from dataclasses import dataclass, field

from quantcore.corpus.chooser import Options, among
from quantcore.corpus.world import WORLD, Entity

COMMA_OR_AND = Options([",", " and"], [0.55, 0.45])


@dataclass
class Story:
    """What a listener knows so far."""

    cast: list[Entity] = field(default_factory=list)
    told: set[tuple[str, str]] = field(default_factory=set)  # facts: (name, question)

    @property
    def main(self) -> Entity:
        """The person whom the story is about."""
        return self.cast[0]

    @property
    def town(self) -> Entity:
        """Where this person is at home."""
        return WORLD.town[self.main.facts["home"]]


def newcomer(c, story: Story) -> Entity:
    """Name a person who was not in the story yet."""
    in_story = [i for i, person in enumerate(WORLD.people) if person in story.cast]
    person = WORLD.people[c.pick(WORLD.person_names, in_story)]
    story.cast.append(person)
    return person


def somebody(c, story: Story) -> Entity:
    """Name the main person, or a friend who joins the story."""
    main = story.main
    if c.pick(among(f" {main.name}", f" {main.her} friend", f" {main.her} cousin")) == 0:
        return main
    return newcomer(c, story)


def one_of_cast(c, cast: list[Entity]) -> Entity:
    """Name one of these people."""
    return cast[c.pick(Options([f" {person.name}" for person in cast]))]


def fact(c, story: Story, entity: Entity, question: str, before: str = " ") -> str:
    """Say the right answer; the first time in a story only knowledge of the world gives it."""
    answer = entity.facts[question]
    if (entity.name, question) in story.told:
        c.say(before + answer)
    else:
        c.test("facts", entity.level, before + answer)
    story.told.add((entity.name, question))
    return answer


@dataclass(frozen=True)
class Thing:
    """A thing that was spoken of: number in words.THINGS, its word, and the words used first."""

    number: int
    name: str  # " bell"
    full: str  # " tiny bell"


def liked_thing(c, person: Entity, without=()) -> Thing:
    """Name a thing to this person's taste, none of the numbers in `without`."""
    taste, thing = person.likes["taste"], person.likes["thing"]
    adjective = taste.texts[c.pick(taste)]
    number = c.pick(thing, without)
    return Thing(number, thing.texts[number], adjective + thing.texts[number])


def listing(c, item, at_least: int, at_most: int) -> None:
    """`item, item and item.` with `item(c)` called for each."""
    for n in range(1, at_most + 1):
        item()
        if n == at_most:
            break
        if n + 1 < at_least:
            c.say(",")
        elif n + 1 == at_most:
            c.say(" and")
        elif c.pick(COMMA_OR_AND):
            item()
            break
    c.say(".")
