"""What is to be seen in the street, and what people say of it: words in their usual company."""

from quantcore.corpus import usage
from quantcore.corpus.telling import Story

MAX_CLAUSES = 3
N_WAYS = len(usage.GOES_ON.texts)
FULL_STOP = 0  # of GOES_ON


def street(c, story: Story) -> None:
    """Who did what, in one to three clauses."""
    for n in range(1, MAX_CLAUSES + 1):
        closed = range(1, N_WAYS) if n == MAX_CLAUSES else ()
        if _clause(c, closed) == FULL_STOP:
            return


def _clause(c, closed) -> int:
    """Tell of one deed; return the way of going on, which is none of those `closed`."""
    who = c.pick(usage.actor.beside(c.pick(usage.FIRST_CHARACTER)))
    did = c.pick(usage.verb.beside(who, c.pick(usage.manner.beside(who))))
    c.say(" a")
    what = c.pick(usage.thing.beside(did, c.pick(usage.taste.beside(did))))
    how = c.pick(usage.after(did), closed)
    if how < N_WAYS:
        return how
    preposition = how - N_WAYS
    if preposition < len(usage.PLACED):
        c.pick(usage.place.beside(what, preposition))
    elif usage.AFTER[preposition] == " for the":
        c.pick(usage.friend.beside(did))
    else:
        c.pick(usage.companion.beside(who))
    return c.pick(usage.GOES_ON, closed)


def proverb(c) -> None:
    """Say what a lazy horse needs."""
    animal = c.pick(usage.beast.beside(c.pick(usage.FIRST_CHARACTER)))
    c.pick(usage.wisdom.beside(animal))
    c.pick(usage.matter.beside(animal))
    c.say(".")
