"""Every word of the field is defined on each page that can use it."""

import ast
import importlib

import pytest

from pages.shared.definitions import DEFINITIONS, used_in
from tests.support.places import ROOT

ROOMS = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))


def _sentences(room):
    """List what a page can say besides what is computed: its strings of more than a word."""
    for path in (ROOT / "pages" / room).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            said = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if said and node not in docs and " " in node.value and "display:" not in node.value:
                yield node.value


@pytest.mark.parametrize("room", ROOMS)
def test_a_page_says_what_it_is_for_and_defines_what_its_sentences_use(room):
    about = importlib.import_module(f"pages.{room}.words")
    assert about.PURPOSE.endswith(".") and len(about.PURPOSE) < 260
    assert set(about.DEFINED) <= set(DEFINITIONS)
    undefined = {word: said for said in _sentences(room) for word in used_in(said)
                 if word not in about.DEFINED}  # fmt: skip
    assert not undefined


def test_the_words_that_the_field_takes_for_granted_are_defined():
    wanted = "nat token perplexity GGUF kurtosis Fisher super-block scale"
    assert {*wanted.split(), "importance matrix"} <= set(DEFINITIONS)
    for word, each in DEFINITIONS.items():
        assert each.says.endswith(".") and word in used_in(f"the {word} of it"), word


def test_a_word_is_found_in_the_ways_in_which_it_is_written():
    assert used_in("Its Scales diverge; two matrices drift.") == {"scale", "divergence"}
    assert used_in("blocks of a super-block") == {"block", "super-block"}
    assert used_in("natural signatures, encoded") == set()
