"""Test sets as people write them, and what is no test set."""

import time

import pytest

from quantcore.trial.prompts import (
    MOST_CHARACTERS,
    MOST_PROMPTS,
    TestPrompt,
    read_prompts,
    shipped_prompts,
    to_json_lines,
)

PROMPTS = [
    TestPrompt(prompt="2 + 2 =", expected="4"),
    TestPrompt(prompt='Say "hi",\nplease', pattern=r"(?i)\bhi\b"),
    TestPrompt(prompt="ℵ₀ 🙂"),
]


def test_json_lines_come_back():
    assert read_prompts(to_json_lines(PROMPTS)) == PROMPTS
    assert read_prompts("\ufeff" + to_json_lines(PROMPTS).replace("\n", "\r\n")) == PROMPTS


def test_csv_with_quotes_and_other_names():
    text = 'Prompt,Answer,note\r\n"One, ""two""\nand",3,x\r\n\r\nshort,\r\n'
    assert read_prompts(text) == [
        TestPrompt(prompt='One, "two"\nand', expected="3"),
        TestPrompt(prompt="short"),
    ]


def test_plain_text_is_a_prompt_a_line():
    assert [each.prompt for each in read_prompts("The fox, \n\n  prompts \n")] == [
        "The fox, ",
        "  prompts ",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no prompts"),
        ("prompt,expected\n", "has no prompts"),
        ('{"prompt": "a"}\n{"prompt": ', "Line 2 of the test set is not JSON"),
        ('{"prompt": "a"}\n[1]', "Line 2 of the test set is not a JSON object"),
        ('{"expected": "a"}', "Line 1 of the test set has no prompt"),
        ('{"prompt": ["a"]}', "prompt should be text"),
        ('{"prompt": " "}', "A prompt is empty"),
        ('{"prompt": "a", "pattern": "("}', "not a regular expression"),
        ("prompt,expected\na,b,c\n", "3 cells for 2 names"),
        ('prompt,expected\n"a', "is not CSV"),
        ("x" * (MOST_CHARACTERS + 1), "20,000 are the most"),
        ("x\n" * (MOST_PROMPTS + 1), "more than 1,000 prompts"),
        ('{"prompt": "a", "pattern": "' + "a" * 501 + '"}', "500 are the most"),
    ],
)
def test_what_is_no_test_set_is_one_sentence(text, says):
    with pytest.raises(ValueError, match=says) as refused:
        read_prompts(text)
    assert "\n" not in str(refused.value)


def test_a_pattern_made_to_hang_takes_no_time():
    start = time.monotonic()
    hostile = TestPrompt(prompt="a", pattern="(.*)*(.*)*(.*)*(a|a)*$z")
    assert not hostile.is_right("a" * 20_000)
    assert time.monotonic() - start < 20


def test_right_answers_begin_with_what_is_expected_and_end_the_word():
    asked = TestPrompt(prompt="In the barn?", expected=" barn")
    said = {"barn": True, " barn.": True, "barns": False, "the barn": False, "": False}
    assert {text: asked.is_right(text) for text in said} == said
    symbols = TestPrompt(prompt="x", expected="(a)")
    assert symbols.is_right("(a)b")


def test_either_of_the_two_makes_an_answer_right():
    asked = TestPrompt(prompt="x", expected="one", pattern="two|three")
    assert asked.is_right("one") and asked.is_right("not one but two") and not asked.is_right("1")
    assert not TestPrompt(prompt="x").judged


def test_shipped_prompts_are_of_every_skill():
    prompts = shipped_prompts(60)
    assert len(prompts) == 60 and all(each.judged for each in prompts)
    assert sum(" + " in each.prompt or " - " in each.prompt for each in prompts) >= 6
