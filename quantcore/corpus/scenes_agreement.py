"""Grammar over a distance: number and tense of the verb, gender of the pronoun."""

from quantcore.corpus import words
from quantcore.corpus.chooser import Options, among
from quantcore.corpus.telling import Story, newcomer

THINGS = Options([f" {form}" for pair in words.PAIRS for form in pair])
NOUNS = Options([f" {form}" for pair in words.PAIRS + words.FOLK for form in pair])
FOLK = Options([f" {form}" for pair in words.FOLK for form in pair])
WHEN = Options([f' "{when} the' for when in words.PRESENT + words.PAST])
NEAR = Options([f" {near} the" for near in words.NEAR])
STATES = Options([f" {state}" for state in words.STATES])
ADJECTIVES = Options([f" {adjective}" for adjective in words.ADJECTIVES])
SELF_VERBS = Options([f" {verb}" for verb in words.SELF_VERBS])
FAR = 4  # from this one on, the words of NEAR take one more noun: "under the lamps of the sailor"


def news(c, story: Story) -> None:
    """Two or three remarks on the state of things."""
    n_remarks = 2 + c.pick(among(" Two people spoke.", " Three people spoke."))
    for _ in range(n_remarks):
        past = c.pick(WHEN) >= len(words.PRESENT)
        plural = c.pick(THINGS) % 2
        near = c.pick(NEAR)
        level = "easy"
        if near >= FAR:
            c.pick(ADJECTIVES)
            level = "hard"
        if c.pick(NOUNS) % 2 != plural:
            level = "hard"
        if near >= FAR:
            c.say(" of the")
            c.pick(FOLK)
        verb = (("is", "are"), ("was", "were"))[past][plural]
        c.test("agreement", level, f" {verb}")
        c.pick(STATES)
        c.say('," said')
        newcomer(c, story)
        c.say(".")


def trouble(c, story: Story) -> None:
    """Who did what to themselves, after somebody else was spoken of."""
    for n in range(2):
        plural = c.pick(among(" The", f" {story.main.name}")) == 0 if n == 0 else True
        if n:
            c.say(" The")
        if plural:
            # one person of a trade has no gender here, so only the plural is told of
            c.pick(PLURAL_FOLK)
            right = "themselves"
        else:
            right = story.main.herself
        c.pick(MET)
        other = newcomer(c, story)
        c.pick(WHERE)
        c.pick(SELF_VERBS)
        far = plural or other.woman != story.main.woman
        c.test("agreement", "hard" if far else "easy", f" {right}")
        c.say(".")


PLURAL_FOLK = Options([f" {plural}" for _, plural in words.FOLK])
MET = among(
    ", who had met", ", who had quarrelled with", ", who had written to", ", who had waited for"
)
WHERE = among(
    " at the market,", " in the rain,", " on the bridge,", " during the feast,", " without a word,"
)
