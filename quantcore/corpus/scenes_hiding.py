"""Scenes that ask for memory: who hid what where, and where it is after it was moved."""

from quantcore.corpus import words
from quantcore.corpus.chooser import Options, among
from quantcore.corpus.telling import Story, liked_thing, newcomer, one_of_cast, somebody
from quantcore.corpus.world import Entity

PLACES = Options([f" {place}" for place in words.PLACES])
THINGS = Options([f" {thing}" for thing in words.THINGS])
HID = among(" hid", " put", " left", " buried", " dropped")
MOVED = among(" took it to the", " moved it to the", " carried it to the")


def hide_one(c, story: Story) -> None:
    """One thing, asked for at once."""
    person = somebody(c, story)
    c.pick(HID)
    c.say(" the")
    thing = liked_thing(c, person)
    c.say(" in the")
    place = PLACES.texts[c.pick(PLACES)]
    c.say(".")
    how = c.pick(
        among(
            f" In the end the{thing.full} was still in the",
            f" Nobody else looked in the{place}, so nobody found the",
            f" Nobody knew who had hidden the{thing.full}, but it was",
        )
    )
    c.test("recall", "easy", (place, thing.name, f" {person.name}")[how])
    c.say(".")


def hide_many(c, story: Story) -> None:
    """Three or four people hide something each; then questions, in any order."""
    hidden: list[tuple[Entity, int, int]] = []  # (person, thing, place)
    for n in range(4):
        person = newcomer(c, story) if n else story.main
        if n == 0:
            c.say(f" {person.name}")
        c.say(" hid the")
        thing = liked_thing(c, person, [thing for _, thing, _ in hidden]).number
        c.say(" in the")
        place = c.pick(PLACES, [place for _, _, place in hidden])
        hidden.append((person, thing, place))
        if n == 0:
            c.say(",")
        elif n == 1:
            last = c.pick(among(",", " and")) == 1
        elif n == 2 and not last:
            c.say(" and")
        else:
            break
    c.say(".")
    _ask(c, hidden)


ASK = Options(
    [" Where was the", " Who had hidden the", " What was in the", " Then the game was over."],
    [0.4, 0.2, 0.2, 0.2],
)


def _ask(c, hidden) -> None:
    left = list(hidden)
    for n in range(len(hidden)):
        how = c.pick(ASK, [3] if n < 2 else ())
        if how == 3:
            return
        key = 2 if how == 2 else 1
        table = PLACES if key == 2 else THINGS
        person, thing, place = left.pop(c.pick(Options([table.texts[item[key]] for item in left])))
        c.say(("? It was in the", "? It was", "? It was the")[how])
        answer = (PLACES.texts[place], f" {person.name}", THINGS.texts[thing])[how]
        c.test("recall", "hard", answer)
        c.say(".")
    c.say(" Then the game was over.")


def move_one(c, story: Story) -> None:
    """One thing is moved once or twice."""
    c.say(f" {story.main.name} owned the")
    thing = liked_thing(c, story.main).full
    c.say(" in the")
    seen = [c.pick(PLACES)]
    c.say(". Then")
    somebody(c, story)
    c.pick(MOVED)
    seen.append(c.pick(PLACES, seen))
    c.say(".")
    if c.pick(among(" Later", f" Now the{thing} was in the")) == 0:
        newcomer(c, story)
        c.pick(MOVED)
        seen.append(c.pick(PLACES, seen))
        c.say(f". Now the{thing} was in the")
    c.test("chain", "easy", PLACES.texts[seen[-1]])
    c.say(".")


def move_many(c, story: Story) -> None:
    """Two things are moved twice each, in any order, and a third stays where it is."""
    c.say(f" {story.main.name} owned the")
    things: list[int] = []
    where: dict[int, int] = {}
    for n in range(3):
        things.append(liked_thing(c, story.main, things).number)
        c.say(" in the")
        where[things[n]] = c.pick(PLACES, list(where.values()))
        c.say((", the", " and the", ".")[n])
    moves = dict.fromkeys(things[:2], 2)
    c.say(f" {story.main.name} called")
    friend = newcomer(c, story)
    c.say(".")
    while any(moves.values()):
        one_of_cast(c, [story.main, friend])
        c.say(" moved the")
        left = [thing for thing, n in moves.items() if n]
        thing = left[c.pick(Options([THINGS.texts[thing] for thing in left]))]
        moves[thing] -= 1
        c.say(" to the")
        where[thing] = c.pick(PLACES, list(where.values()))
        c.say(".")
    for n in range(3):
        c.pick(among(" Now the", " At last the")) if n == 0 else c.say(" The")
        thing = things[c.pick(Options([THINGS.texts[thing] for thing in things]))]
        things.remove(thing)
        c.say(" was in the")
        c.test("chain", "hard", PLACES.texts[where[thing]])
        c.say(".")


def presents(c, story: Story) -> None:
    """One or two things pass from hand to hand."""
    c.say(f" {story.main.name} had a")
    n_things = 1 + c.pick(among(" present", " pair of presents"))
    c.say(": the")
    things = [liked_thing(c, story.main)]
    if n_things == 2:
        c.say(" and the")
        things.append(liked_thing(c, story.main, [things[0].number]))
    c.say(".")
    owner = dict.fromkeys(things, story.main)
    circle = [story.main]
    for n in range(2 * n_things):
        thing = things[n % n_things]
        c.say(f" {owner[thing].name} gave the{thing.full} to")
        if n_things == 2 and n >= 2:
            owner[thing] = one_of_cast(c, [p for p in circle if p is not owner[thing]])
        else:
            owner[thing] = newcomer(c, story)
            circle.append(owner[thing])
        c.say(".")
    for _ in range(n_things):
        c.say(" In the end the")
        thing = things.pop(c.pick(Options([thing.full for thing in things])))
        c.say(" belonged to")
        c.test("chain", "hard" if n_things == 2 else "easy", f" {owner[thing].name}")
        c.say(".")
