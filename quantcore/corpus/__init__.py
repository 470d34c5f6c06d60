"""Stories of an invented world, with their exact probabilities. See `story.py` for the grammar."""

from random import Random

from quantcore.corpus.chooser import NotAStory, Reader, Writer
from quantcore.corpus.story import DRILL, NEXT, tell

__all__ = ["NotAStory", "log_probabilities", "stories", "tell_story"]


def tell_story(rng: Random, scenes=NEXT) -> str:
    """One story, drawn with `rng`: one line of English, without the line's end."""
    writer = Writer(rng)
    tell(writer, scenes)
    return writer.text()


def stories(seed, n: int, drill: float = 0.0) -> list[str]:
    """`n` stories; equal seeds give equal stories, and each use of the text has its own seeds.

    A share of `drill` has more hiding and counting: for training only, the probabilities that
    `log_probabilities` gives are without it.
    """
    rng = Random(str(seed))
    if not drill:
        return [tell_story(rng) for _ in range(n)]
    return [tell_story(rng, DRILL if rng.random() < drill else NEXT) for _ in range(n)]


def log_probabilities(story: str) -> list[tuple[int, float]]:
    """(first character, log-probability in nats) of every word and mark, given those before it.

    A choice is charged word by word, by the chain rule over the options still open: the
    probabilities are the true conditional ones. Raises NotAStory if the grammar cannot write it.
    """
    reader = Reader(story)
    tell(reader)
    reader.finish()
    return reader.words
