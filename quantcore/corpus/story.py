"""A story: an opening, a few scenes, an ending."""

from quantcore.corpus import (
    scenes_agreement,
    scenes_facts,
    scenes_hiding,
    scenes_life,
    scenes_street,
    scenes_sums,
    usage,
)
from quantcore.corpus.chooser import Options, among
from quantcore.corpus.scenery import ENDINGS
from quantcore.corpus.telling import Story, fact, newcomer

MAX_WORDS = 66  # no new scene begins after this many
ROOM_WORDS = 45  # and no long scene after this many, so that a story keeps below 200 tokens
LONG = (scenes_hiding.hide_many, scenes_hiding.move_many, scenes_hiding.presents)

# weight, scene, the ways in which it begins
SCENES = [
    (8, scenes_hiding.hide_one, [" Before supper", " When nobody was looking,", " In a hurry"]),
    (7, scenes_hiding.hide_many, [
        " Everyone hid something.", " It was a day of secrets.", " They played a game."]),
    (8, scenes_hiding.move_one, [" The house had to be tidied.", " It was time to clear up."]),
    (6, scenes_hiding.move_many, [" Nothing stayed in its place.", " Three things lay about."]),
    (5, scenes_hiding.presents, [" It was a day for presents.", " There was a birthday."]),
    (9, scenes_sums.few, [" It was time to count.", " They counted what they had."]),
    (11, scenes_sums.many, [" There was a slate on the wall.", " The accounts had to be done."]),
    (11, scenes_facts.places, [
        " The teacher said that", " An old atlas lay open:", " Travellers say that",
        " It is well known that", " The almanac says that"]),
    (11, scenes_facts.gossip, [
        " The neighbours said that", " At the well they said that", " Everyone knows that"]),
    (5, scenes_facts.journey, [" Soon", " A week later", " By boat"]),
    (5, scenes_agreement.news, [" There was news.", " People talked in the street."]),
    (4, scenes_agreement.trouble, [" There was some trouble.", " It went badly."]),
    (9, scenes_life.scenery, [
        " Meanwhile the", " Outside, the", " Far away the", " At dawn the", " As always, the",
        " Beyond the gate, the"]),
    (4, scenes_life.weather, [" As usual in", " That day in"]),
    (5, scenes_life.meal, [" For lunch", " At noon", " Out of habit"]),
    (4, scenes_life.mood, [" By then", " All day long"]),
    (14, scenes_life.dream, [" That night", " In the small hours", " During the sermon"]),
    (14, scenes_life.luggage, [" In great haste", " For the journey", " On the last day"]),
    (200, scenes_street.street, [
        " In the street the", " At the market the", " Before noon the", " As on every day, the",
        " By the river the", " Once more the", " Without delay the", " Behind the church the"]),
    (4, scenes_life.evening, [" In the evening", " After sunset"]),
]  # fmt: skip

WHEN = among(
    " One morning", " One evening", " Once upon a time", " Long ago", " Last winter", " In spring",
    " One Sunday", " After the war", " During the harvest", " On a cold day", " Not long ago",
    " In the year of the flood", " Before the railway came", " On market day", " At Christmas",
)  # fmt: skip
AT_HOME = among(
    " left", " returned to", " walked through", " woke up in", " lived in", " came from",
    " rode through", " was well known in",
)  # fmt: skip
WITH = Options(
    [".", " with", ", where it was", ", where the people celebrate in", ", a town in"],
    [0.3, 0.25, 0.15, 0.15, 0.15],
)

_BEGINNINGS = [
    (text, weight / len(texts), number)
    for number, (weight, _, texts) in enumerate(SCENES)
    for text in texts
]
_OF_SCENE = [
    [i for i, (_, _, scene) in enumerate(_BEGINNINGS) if scene == number]
    for number in range(len(SCENES))
]
_LONG = [i for n, scene in enumerate(SCENES) if scene[1] in LONG for i in _OF_SCENE[n]]
_SCENE_WEIGHT = sum(weight for weight, _, _ in SCENES)
_END_WEIGHT = 0.25 * _SCENE_WEIGHT
PROVERBS = [" As they say, a", " Remember that a", " It is said that a"]
_LAST_WORDS = [(f" {text}", 0.4 / len(ENDINGS)) for text in ENDINGS] + [
    (text, 0.6 / len(PROVERBS)) for text in PROVERBS
]
END = Options([text for text, _ in _LAST_WORDS], [weight for _, weight in _LAST_WORDS])


def _next(emphasis) -> Options:
    """How a story goes on: a scene, whose weight is multiplied by `emphasis(scene)`, or an end."""
    return Options(
        [text for text, _, _ in _BEGINNINGS] + list(END.texts),
        [weight * emphasis(SCENES[number][1]) for _, weight, number in _BEGINNINGS]
        + [_END_WEIGHT * weight for weight in END.weights],
    )


NEXT = _next(lambda scene: 1.0)
_DRILLED = {scenes_hiding.hide_many: 8, scenes_hiding.move_many: 8, scenes_hiding.presents: 4,
            scenes_sums.many: 4, scenes_sums.few: 4, scenes_agreement.news: 4,
            scenes_agreement.trouble: 3, scenes_hiding.hide_one: 1, scenes_hiding.move_one: 1,
            scenes_street.street: 0.05}  # fmt: skip
DRILL = _next(lambda scene: _DRILLED.get(scene, 0.2))
_ENDS = list(range(len(_BEGINNINGS), len(NEXT.texts)))


def opening(c, story: Story) -> None:
    """Who, of what character and trade, where."""
    c.pick(WHEN)
    main = newcomer(c, story)
    c.say(" the")
    c.pick(usage.FIRST_CHARACTER)
    fact(c, story, main, "trade")
    c.pick(AT_HOME)
    fact(c, story, main, "home")
    how = c.pick(WITH)
    if how == 1:
        c.say(f" {main.her} tame")
        fact(c, story, main, "pet")
    elif how == 2:
        c.pick(story.town.likes["weather"])
    elif how > 2:
        fact(c, story, story.town, ("feast", "land")[how - 3])
    if how:
        c.say(".")


def tell(c, scenes: Options = NEXT) -> None:
    """Tell one story to `c`, a Writer or a Reader.

    With `DRILL` for `scenes` it is one for the first part of a training, with more hiding and
    counting than in the stories that a model is measured on.
    """
    story = Story()
    opening(c, story)
    over: list[int] = []
    for n in range(len(SCENES)):
        if c.n_words > MAX_WORDS:
            _end(c, c.pick(END))
            return
        closed = set(over)
        if n < 2:
            closed.update(_ENDS)
        if c.n_words > ROOM_WORDS:
            closed.update(_LONG)
        chosen = c.pick(scenes, closed)
        if chosen >= len(_BEGINNINGS):
            _end(c, chosen - len(_BEGINNINGS))
            return
        number = _BEGINNINGS[chosen][2]
        if SCENES[number][1] is not scenes_street.street:  # there is always more to see there
            over = over + _OF_SCENE[number]
        SCENES[number][1](c, story)
        del story.cast[6:]


def _end(c, chosen: int) -> None:
    """Finish an ending that was begun: a sentence that was said whole, or a proverb."""
    if chosen >= len(ENDINGS):
        scenes_street.proverb(c)
