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
        return self.cast[0]

    @property
    def town(self) -> Entity:
        return WORLD.town[self.main.facts["home"]]


def newcomer(c, story: Story) -> Entity:
    """Names a person who was not in the story yet."""
    in_story = [i for i, person in enumerate(WORLD.people) if person in story.cast]
    person = WORLD.people[c.pick(WORLD.person_names, in_story)]
    story.cast.append(person)
    return person


def somebody(c, story: Story) -> Entity:
    """Names the main person, or a friend who joins the story."""
    main = story.main
    if c.pick(among(f" {main.name}", f" {main.her} friend", f" {main.her} cousin")) == 0:
        return main
    return newcomer(c, story)


def one_of_cast(c, cast: list[Entity]) -> Entity:
    return cast[c.pick(Options([f" {person.name}" for person in cast]))]


def fact(c, story: Story, entity: Entity, question: str, before: str = " ") -> str:
    """Says the right answer; the first time in a story only knowledge of the world gives it."""
    answer = entity.facts[question]
    if (entity.name, question) in story.told:
        c.say(before + answer)
    else:
        c.test("facts", entity.level, before + answer)
    story.told.add((entity.name, question))
    return answer


def liked_thing(c, person: Entity, without=()) -> int:
    """A thing as this person likes them: "tiny bell"; returns its number in words.THINGS."""
    c.pick(person.likes["taste"])
    return c.pick(person.likes["thing"], without)


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
