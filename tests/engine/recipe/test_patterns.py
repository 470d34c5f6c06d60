"""Patterns of strangers: what llama-quantize finds, in bounded time, or one sentence."""

import json
import re

import pytest

from quantcore.recipe.overrides import (
    MAX_FILE_BYTES,
    MOST,
    Override,
    first_matches,
    parse_override,
    parse_overrides,
)
from quantcore.recipe.patterns import LONGEST, matching
from tests.support.places import GOLDEN

ASKED = json.loads((GOLDEN / "patterns.json").read_text(encoding="utf-8"))
# std::regex reads these, and repetitions of repetitions; why the lab does not says `patterns.py`.
NOT_READ = {"[]", "[^]", "[[=a=]]", "[[.a.]]", "(?=a)", "(?!a)", r"(a)\1", r"\x61", r"\u0061",
            r"\ca", r"\0", r"\q", r"\_", r"\z", r"\pl", r"[\b]"}  # fmt: skip
TWICE = re.compile(r"[*+?}][*+{]")


def _answer(pattern):
    names = ASKED["names"]
    try:
        found = matching(pattern.lower(), names)
    except ValueError:
        return "error"
    return "".join("1" if name in found else "0" for name in names)


def test_patterns_find_what_std_regex_finds():
    ours = {pattern: _answer(pattern) for pattern in ASKED["found"]}
    other = {pattern for pattern, found in ASKED["found"].items() if ours[pattern] != found}
    assert {pattern for pattern in other if not TWICE.search(pattern)} == NOT_READ
    assert all(ours[pattern] == "error" for pattern in other)
    assert len(ours) - len(other) > 400
    assert sum(found != "error" for found in ours.values()) > 150


@pytest.mark.parametrize("pattern", ["(.*)*" * 8 + "$z", "((a+)+)+$", "(x+x+)+y"])
def test_a_search_takes_time_in_proportion(pattern):
    """Python's own `re` takes longer than anyone lives."""
    assert not matching(pattern, ["blk.0." + "x" * 80 + ".weight", "a" * 80 + "b"])


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("a{99999999}", "not a regular expression"),
        ("(((a{1000}){1000}){1000})", "not a regular expression"),
        ("(" * 5000, "5,000 characters"),
        ("[" * 1000, "does not read '[["),
        ("a" * (LONGEST + 1), "1,025 characters"),
        ("ffn_(?!up)", "does not read '(?!up)'"),
        (r"(attn)_\1", r"does not read '\\1'"),
        ("ffn_(up", "missing )"),
        ("\ud800(", "missing )"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(pattern, says):
    with pytest.raises(ValueError, match=r"pattern|expression") as problem:
        parse_override(f"{pattern}=q4_k")
    text = str(problem.value)
    assert says in text
    assert len(text) < 300 and text.endswith(".")


def test_a_list_is_bounded():
    """One that is long, or has many entries, is refused before a pattern of it is read."""
    for text in ("a=q4_k\n" * (MOST + 1), "(=q4_k " + "x" * MAX_FILE_BYTES):
        with pytest.raises(ValueError, match="too long for a list of types"):
            parse_overrides(text)
    name = r"^blk\.61\.ffn_gate_shexp\.weight$"  # what the lab itself writes is read
    assert len(parse_overrides(f"{name}=q4_k\n" * MOST)) == MOST
    with pytest.raises(ValueError, match="too long together"):
        parse_overrides("(.{30}){30}=q4_k\n" * MOST)


def test_the_first_override_that_is_found_counts():
    asked = [Override("attn_.$", "Q8_0"), Override("attn", "Q4_K"), Override("", "Q2_K")]
    found = first_matches(asked, ["attn_q", "attn_output", "ffn_up"])
    assert {name: each.type for name, each in found.items()} == {
        "attn_q": "Q8_0", "attn_output": "Q4_K", "ffn_up": "Q2_K",
    }  # fmt: skip
