"""Sums, in words and in digits: easy with one digit, hard with two."""

from quantcore.corpus import words
from quantcore.corpus.chooser import Options, among
from quantcore.corpus.telling import Story, listing

DIGITS = Options([f" {n}" for n in range(1, 10)])
SPELLED = Options([f" {words.NUMBERS[n]}" for n in range(1, 10)])
FRUITS = Options([f" {fruit}" for fruit in words.FRUITS])
TWO_DIGITS = Options([f" {n}" for n in range(10, 100)])
SIGNS = among(" +", " -")


def _range(first: int, last: int) -> Options:
    return Options([f" {n}" for n in range(first, last + 1)])


ADDENDS = {a: _range(10, 99 - a) for a in range(10, 90)}  # the sum keeps to two digits
SUBTRAHENDS = {a: _range(10, a - 10) for a in range(20, 100)}  # and so does the difference


def few(c, story: Story) -> None:
    """Small numbers of things, added and taken away."""
    for n in range(3):
        how = c.pick(COUNTING, [3] if n == 0 else ())
        if how == 3:
            return
        (_add_spelled, _add, _take_away)[how](c, story)
    c.say(" That was all.")


COUNTING = among(" There were", " Somebody brought", " Of", " That was all.")


def _add_spelled(c, story: Story) -> None:
    a = 1 + c.pick(SPELLED)
    c.say(" big")
    fruit = FRUITS.texts[c.pick(FRUITS)]
    c.say(" and")
    b = 1 + c.pick(SPELLED)
    c.say(f" small{fruit}, together")
    c.test("arithmetic", "easy", f" {words.NUMBERS[a + b]}")
    c.say(".")


def _add(c, story: Story) -> None:
    a = 1 + c.pick(DIGITS)
    c.pick(FRUITS)
    c.say(" and then")
    b = 1 + c.pick(DIGITS)
    c.say(" more, which made")
    c.test("arithmetic", "easy", f" {a + b}")
    c.say(".")


def _take_away(c, story: Story) -> None:
    a = 1 + c.pick(DIGITS, [0])
    c.pick(FRUITS)
    c.pick(among(" the children took", " the thief took", " the wind took", " the dog took"))
    b = 1 + c.pick(DIGITS, range(a - 1, 9))
    c.say(", which left")
    c.test("arithmetic", "easy", f" {a - b}")
    c.say(".")


def many(c, story: Story) -> None:
    """Add and subtract two-digit numbers, as on a slate."""
    c.say(f" {story.main.name} wrote:")

    def item():
        a = 10 + c.pick(TWO_DIGITS)
        minus = c.pick(SIGNS, [0] if a >= 90 else [1] if a < 20 else ())
        b = 10 + c.pick((SUBTRAHENDS if minus else ADDENDS)[a])
        c.say(" =")
        c.test("arithmetic", "hard", f" {a - b if minus else a + b}")

    listing(c, item, 3, 6)
