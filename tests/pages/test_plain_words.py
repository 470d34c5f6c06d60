"""Sentences are plain English: the dialect that they were once written in does not come back."""

import ast
import functools
import re

from tests.support.places import ROOT

# What a person would not say, and better words for it.
DIALECT = {
    r"\b[Ll](?:ay|aid) (?:\w+ ){0,4}beside\b": "compare with",
    r"\bso (?:many|few|long that)\b": "this many",
    r"(?:\b(?:bits?|nats?|tokens|numbers|digits|dB|experts|bytes|questions)|\0\**) "
    r"an? (?:token|weight|code|answer|second|bit|head|byte|skill)\b": "per token",
    r"\b[Aa] (?:row|bar|map|mark|card|line|column|cell|type|context) an? [a-z]+\b": "one per",
    r"\b(?:lies|lie|lying)\b": "is, are",
    r"\b(?:do|does) without\b": "need",
    r"(?<![Tt]here )\b(?:is|are) no (?!more|longer|larger|smaller|heavier|way)[a-z]+": "is not a",
    r"\b(?:at a touch|seldom|nearer|till|as good as all)\b": "plain words",
    r"\b(?:stands?|stand) in the (?:address|way)\b": "is part of the link",
    r"\b(?:is|are) (?:not )?measured (?:of|here|yet)\b": "has been measured for",
}  # fmt: skip
# What a sentence of the engine may begin with in lower case: names, which keep theirs.
NAMES = r"(?:[\w-]+\.(?:json|cpp)|vLLM|llama-quantize|gpu_memory_utilization|quantcore)\b"


def _texts(tree):
    r"""List the literals that may be shown, no docstrings, with "\0" for what is filled in."""
    bodies = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {id(n.body[0].value) for n in ast.walk(tree)
            if isinstance(n, bodies) and n.body and isinstance(n.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node, "".join(getattr(part, "value", "\0") if isinstance(part, ast.Constant)
                                else "\0" for part in node.values)  # fmt: skip
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docs:
                yield node, node.value


@functools.cache
def _modules(*folders):
    return [(path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8")))
            for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]  # fmt: skip


def dialect(text):
    """Find what a person would not say.

    >>> dialect("costs 3 nats a token"), dialect("costs 3 nats per token")
    (['nats a token: per token'], [])
    """
    return [f"{found[0]}: {better}" for pattern, better in DIALECT.items()
            for found in re.finditer(pattern, text)]  # fmt: skip


def test_pages_and_commands_speak_plainly():
    found = [
        f"{path}:{node.lineno}: {each}"
        for path, tree in _modules("pages") + _modules("quantcore/cli")
        for node, text in _texts(tree)
        for each in dialect(text)
    ]
    assert not found, "\n".join(found)


def _raised(tree):
    """List the exceptions that are raised with words of their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(call := node.exc, ast.Call) and call.args:
            # Not `config.error`, which puts the name of the file before what is said.
            if isinstance(call.func, ast.Name) and call.func.id.endswith("Error"):
                yield call


def test_errors_are_sentences_that_begin_with_a_capital_or_a_name():
    """They are shown as they are, so that a file or a tensor that begins one keeps its case."""
    for path, tree in _modules("pages") + _modules("quantcore"):
        for call in _raised(tree):
            said = [text for _, text in _texts(call.args[0])]
            assert not any(map(dialect, said)), f"{path}:{call.lineno}"
            begins = said[0] if said else ""
            assert not begins[:1].islower() or re.match(NAMES, begins), f"{path}:{call.lineno}"


def test_names_of_tensors_are_never_capitalized():
    for path, tree in _modules("pages"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "capitalize":
                of = ast.unparse(node.func.value)
                assert not re.match(r"(?:\w+\.)?(?:the|spoken|called)\(", of), f"{path}: {of}"
