"""Dense exercises in memory, in the stories' own phrases.

Binding a thing to its place is the last skill to emerge, for a story asks for it two or three
times; a quiz asks a dozen times.
"""

from random import Random

from quantcore.corpus import words

PEOPLE = words.WOMEN + words.MEN


def quiz(rng: Random, n_answers: int = 14) -> str:
    """Tell who hid what, who moved what, or who gave what to whom, and ask about it many times."""
    return rng.choice([_listed, _listed, _listed, _hidden, _moved, _given])(rng, n_answers)


def _things(rng: Random, n: int) -> list[str]:
    return rng.sample(words.THINGS, n)


def _listed(rng: Random, n_answers: int) -> str:
    """List things in their places again and again, in any order."""
    n = rng.randint(3, 6)
    rows = list(zip(_things(rng, n), rng.sample(words.PLACES, n), strict=True))
    for _ in range(2 * n_answers):
        rows.append(rng.choice(rows[:n]))
    lie = [f"the {what} in the {place}" for what, place in rows]
    return f"{rng.choice(PEOPLE)} owned {', '.join(lie[:-1])} and {lie[-1]}."


def _hidden(rng: Random, n_answers: int) -> str:
    """Ask who hid what where."""
    n = rng.randint(2, 4)
    rows = list(
        zip(rng.sample(PEOPLE, n), _things(rng, n), rng.sample(words.PLACES, n), strict=True)
    )
    hid = [f"{who} hid the {rng.choice(words.TASTES)} {what} in the {at}" for who, what, at in rows]
    said = [f"They played a game. {', '.join(hid[:-1])} and {hid[-1]}."]
    for _ in range(n_answers):
        who, what, place = rng.choice(rows)
        asked = [
            f"Where was the {what}? It was in the {place}.",
            f"Who had hidden the {what}? It was {who}.",
            f"What was in the {place}? It was the {what}.",
        ]
        said.append(asked[rng.choice((0, 0, 1, 2))])
    return " ".join([*said, "Then the game was over."])


def _moved(rng: Random, n_answers: int) -> str:
    """Move things about, and say again and again where one of them is now."""
    n = rng.randint(2, 3)
    one, other = rng.sample(PEOPLE, 2)
    where = dict(zip(_things(rng, n), rng.sample(words.PLACES, n), strict=True))
    lie = [f"the {rng.choice(words.TASTES)} {what} in the {place}" for what, place in where.items()]
    said = [f"Three things lay about. {one} owned {', '.join(lie[:-1])} and {lie[-1]}."]
    said.append(f"{one} called {other}.")
    for _ in range(n_answers // 2):
        for _ in range(rng.randint(1, 2)):
            what = rng.choice(list(where))
            left = [place for place in words.PLACES if place not in where.values()]
            where[what] = rng.choice(left)
            said.append(f"{rng.choice((one, other))} moved the {what} to the {where[what]}.")
        what, now = rng.choice(list(where)), rng.choice(("Now the", "At last the", "The"))
        said.append(f"{now} {what} was in the {where[what]}.")
    return " ".join(said)


def _given(rng: Random, n_answers: int) -> str:
    """Let presents go from hand to hand, and say again and again whose one of them is now."""
    owner = dict(zip(_things(rng, 2), rng.sample(PEOPLE, 2), strict=True))
    full = {what: f"{rng.choice(words.TASTES)} {what}" for what in owner}
    first, second = full.values()
    host = next(iter(owner.values()))
    said = [f"There was a birthday. {host} had a pair of presents: the {first} and the {second}."]
    circle = list(owner.values()) + rng.sample(PEOPLE, 2)
    for _ in range(n_answers // 2):
        what = rng.choice(list(owner))
        giver = owner[what]
        owner[what] = rng.choice([who for who in circle if who != giver])
        said.append(f"{giver} gave the {full[what]} to {owner[what]}.")
        what = rng.choice(list(owner))
        said.append(f"In the end the {full[what]} belonged to {owner[what]}.")
    return " ".join(said)
