"""The generator: one derivation a text, exact probabilities, and the shipped files come from it."""

import json
import math
import re
from itertools import pairwise
from random import Random
from typing import ClassVar

import numpy as np
import pytest

from quantcore.corpus import NotAStory, log_probabilities, stories
from quantcore.corpus.chooser import Options, Reader, Writer
from quantcore.corpus.files import LEVELS, SKILLS, contents
from quantcore.corpus.floor import token_floor
from quantcore.corpus.story import tell
from quantcore.corpus.world import WORLD
from quantcore.model.tokenizer import read_tokenizer
from tests.support.places import ROOT

FOLDER = ROOT / "assets" / "fable-7m"


class Checker(Writer):
    """A Writer that proves each choice sound: probabilities, and one way to read each option."""

    seen: ClassVar[set[tuple[str, ...]]] = set()

    def pick(self, options, without=()):
        """Check before drawing."""
        left = [i for i in range(len(options.texts)) if i not in without]
        assert math.isclose(sum(options.weights[i] for i in left), options.mass(set(without)))
        assert len(set(without)) == len(list(without)), "left out twice"
        if options.texts not in self.seen:
            self.seen.add(options.texts)
            words = sorted(options.words)
            for one, next_one in pairwise(words):
                assert next_one[: len(one)] != one, f"{one} begins {next_one}"
        return super().pick(options, without)


def written(seed: str, n: int, kind=Writer) -> list[Writer]:
    rng = Random(seed)
    writers = [kind(rng) for _ in range(n)]
    for writer in writers:
        tell(writer)
    return writers


def test_no_option_begins_another_and_probabilities_sum_to_one():
    Checker.seen.clear()
    written("check", 1500, Checker)
    assert len(Checker.seen) > 1000


def test_a_story_is_read_back_with_the_same_log_probability():
    for writer in written("read back", 2000):
        words = log_probabilities(writer.text())
        assert sum(value for _, value in words) == pytest.approx(writer.log_probability, abs=1e-9)


def test_equal_seeds_equal_stories_other_seeds_others():
    assert stories("one", 20) == stories("one", 20)
    assert not set(stories("one", 20)) & set(stories("two", 20))
    assert stories(7, 1) == stories("7", 1)


def test_words_are_charged_where_the_choice_first_shows():
    options = Options([" a red hat", " a red cat", " a dog"], [0.25, 0.25, 0.5])
    reader = Reader("a red cat")
    reader.pick(options)
    reader.finish()
    starts = [start for start, _ in reader.words]
    values = [value for _, value in reader.words]
    assert starts == [0, 2, 6]
    assert values == pytest.approx([0.0, math.log(0.5), math.log(0.5)])


def test_left_out_options_share_their_probability():
    options = Options([" a", " b", " c"], [0.5, 0.25, 0.25])
    reader = Reader("b")
    reader.pick(options, [0])
    assert reader.words == [(0, pytest.approx(math.log(0.5)))]


def test_the_mean_probability_of_a_first_choice_is_its_share():
    """The reader's numbers are frequencies: what it calls p happens in a share p of the stories."""
    lines = stories("frequency", 3000)
    share = sum(line.startswith("One morning") for line in lines) / len(lines)
    first = next(line for line in lines if line.startswith("One morning"))
    p = math.exp(sum(value for _, value in log_probabilities(first)[:2]))
    assert share == pytest.approx(p, abs=4 * math.sqrt(p / len(lines)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r"^", "Yesterday "),
        (r"$", " And then some."),
        (r"\.$", ""),
        (r" the (\w+) ", " the blacksmith's "),
        (r"^(\w+)", r"\1  "),
    ],
)
def test_other_texts_are_refused(before, after):
    for line in stories("spoiled", 20):
        spoiled = re.sub(before, after, line, count=1)
        with pytest.raises(NotAStory, match="at character"):
            log_probabilities(spoiled)


@pytest.mark.parametrize("text", ["", " ", "Hello.", "One morning", "\n", "One morning Ada the"])
def test_texts_that_are_no_stories_are_refused(text):
    with pytest.raises(NotAStory):
        log_probabilities(text)


def test_a_wrong_answer_is_refused():
    for entry in json.loads((FOLDER / "skills.json").read_text()):
        with pytest.raises(NotAStory) as refusal:
            log_probabilities(entry["prompt"] + " nothing")
        assert f"character {len(entry['prompt']) + 1}:" in str(refusal.value)
        assert f"expected {entry['answer']!r}" in str(refusal.value), "one right answer"


def test_a_thousand_different_words():
    names = {entity.name for entity in WORLD.people + WORLD.towns + WORLD.lands}
    text = " ".join(stories("words", 4000))
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", text) if word not in names}
    assert len(words) >= 1000


def test_thousands_of_facts_in_two_tiers():
    entities = WORLD.people + WORLD.towns + WORLD.lands
    assert len({entity.name for entity in entities}) == len(entities)
    assert WORLD.n_facts > 2000
    assert 0.15 < sum(entity.often for entity in entities) / len(entities) < 0.25


def test_the_shipped_texts_are_what_the_generator_writes():
    for name, text in contents().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, name


def test_each_skill_has_its_prompts():
    entries = json.loads((FOLDER / "skills.json").read_text())
    for skill in SKILLS:
        for level in LEVELS:
            rows = [e for e in entries if (e["skill"], e["level"]) == (skill, level)]
            assert len({row["prompt"] for row in rows}) >= 50
            assert all(re.fullmatch(r" \w+", row["answer"]) for row in rows)
            assert len({row["answer"] for row in rows}) > 1


def test_stories_keep_below_200_tokens_and_the_evaluation_text_has_20_000():
    tokenizer = read_tokenizer(FOLDER)
    text = (FOLDER / "evaluation.txt").read_text()
    assert len(tokenizer.encode(text)) >= 20_000
    lines = text.splitlines() + stories("length", 1000)
    assert max(len(tokenizer.encode(line)) for line in lines) < 200


def test_the_floor_by_token_sums_to_the_stories_log_probability():
    text = (FOLDER / "evaluation.txt").read_text()
    total = -sum(value for line in text.splitlines() for _, value in log_probabilities(line))
    _, starts = read_tokenizer(FOLDER).encode_with_starts(text)
    floor = token_floor(FOLDER, starts)
    assert floor.shape == starts.shape
    assert floor.min() >= 0
    assert floor.sum() == pytest.approx(total, abs=0.02)  # six decimals a word
    by_letter = token_floor(FOLDER, np.arange(len(text)))
    assert by_letter.sum() == pytest.approx(total, abs=0.02)
    half = token_floor(FOLDER, starts[: len(starts) // 2])
    np.testing.assert_allclose(half[:-1], floor[: len(half) - 1])
    assert half.sum() < floor.sum()


def test_no_floor_without_its_file(tmp_path):
    assert token_floor(tmp_path, [0, 1]) is None


def test_the_tokenizer_takes_any_bytes():
    tokenizer = read_tokenizer(FOLDER)
    assert tokenizer.vocabulary_size == 2048
    everything = "".join(map(chr, range(1, 0x500))) + "łódź 東京 🦔 \t\r\n  x\u2028 12345"
    assert tokenizer.decode(tokenizer.encode(everything)) == everything
    lonely = bytes(range(256)).decode("latin-1")
    assert tokenizer.decode(tokenizer.encode(lonely)) == lonely


def test_digits_stand_alone():
    tokenizer = read_tokenizer(FOLDER)
    assert tokenizer.pieces(tokenizer.encode(" = 59"))[-2:] == ["5", "9"]
