"""Small scenes of daily life: weather, meals, moods, what stands about."""

from quantcore.corpus import words
from quantcore.corpus.chooser import Options, among
from quantcore.corpus.scenery import THINGS_SEEN
from quantcore.corpus.telling import Story, Thing, liked_thing, listing, somebody

SEEN = Options([f" {noun}" for noun, _, _ in THINGS_SEEN])
BEING = [Options([f" {word}" for word in being]) for _, being, _ in THINGS_SEEN]
DOING = [
    Options(
        [f" {text}" for text in doing] + [" was rather"],
        [1 / (k + 1) for k in range(len(doing) + 1)],
    )
    for _, _, doing in THINGS_SEEN
]
TAILS = Options([f" {tail}" for tail in words.TAILS])
CHARACTERS = Options([f" {word}" for word in words.CHARACTERS])
DEEDS = Options([f" {deed}" for deed in words.DEEDS])
ROOMS = Options([f" in the {room}" for room in words.ROOMS])
DRINKS = among(
    " and drank a glass of milk", " and drank cold water", " and drank some cider", " with salt",
    " with butter", " and a slice of bread", " and a salad", " without saying a word",
)  # fmt: skip


def scenery(c, story: Story) -> None:
    """Show some thing of the town or the country, and what it did."""
    which = c.pick(SEEN)
    if c.pick(DOING[which]) == len(DOING[which].texts) - 1:
        c.pick(BEING[which])
    c.pick(TAILS)
    c.say(".")


def weather(c, story: Story) -> None:
    """Tell how it was in the main person's town, to its taste."""
    c.say(f" {story.town.name} it was")
    c.pick(story.town.likes["weather"])
    c.say(".")


def meal(c, story: Story) -> None:
    """Have somebody eat, to this person's taste."""
    person = somebody(c, story)
    c.say(" ate")
    c.pick(person.likes["meal"])
    c.pick(DRINKS)
    c.pick(ROOMS)
    c.say(".")


def mood(c, story: Story) -> None:
    """Tell how somebody felt, to this person's taste."""
    person = somebody(c, story)
    c.say(" was")
    c.pick(person.likes["mood"])
    c.say(".")


def evening(c, story: Story) -> None:
    """Have somebody do something before bed, to this person's taste."""
    person = somebody(c, story)
    c.pick(person.likes["evening"])
    c.say(".")


def dream(c, story: Story) -> None:
    """Tell what somebody dreamt of."""
    person = somebody(c, story)
    c.say(" dreamt of a")
    c.pick(CHARACTERS)
    c.pick(person.likes["dream"])
    c.say(" that")
    c.pick(DEEDS)
    c.pick(ROOMS)
    c.say(".")


def luggage(c, story: Story) -> None:
    """List what somebody packed, all to this person's taste."""
    person = somebody(c, story)
    c.say(" packed")
    packed: list[Thing] = []

    def item():
        c.say(" a")
        packed.append(liked_thing(c, person, [thing.number for thing in packed]))

    listing(c, item, 2, 5)
    c.pick(among(" Lost on the way: the", " Never used: the", " Stolen at the inn: the"))
    c.pick(Options([thing.full for thing in packed]))
    c.say(".")
