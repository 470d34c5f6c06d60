"""Test sets: prompts, and what a right answer is.

As JSON lines, CSV with a line of names, or plain text with a prompt a line:

    prompt      what the model goes on from
    expected    the answer is right if it begins with this, and its word ends there
    pattern     or if this regular expression (RE2) is found in it
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from quantcore.evaluate.skills import shipped_questions

MOST_PROMPTS = 1000
MOST_CHARACTERS = 20_000  # of one prompt
LONGEST_PATTERN = 500
_MEMORY = 2**20  # bytes that a pattern may take
NAMES = ("prompt", "expected", "pattern")
_ALSO = {"answer": "expected", "question": "prompt", "input": "prompt", "output": "expected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPrompt:
    """A prompt; with neither `expected` nor `pattern`, nobody can say whether an answer is right.

    Raises
    ------
    ValueError
        If the prompt is empty or too long, or the pattern is no regular expression.
    """

    __test__ = False  # for pytest

    prompt: str
    expected: str = ""
    pattern: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked or judged."""
        if not self.prompt.strip():
            raise ValueError("A prompt is empty.")
        if len(self.prompt) > MOST_CHARACTERS:
            raise ValueError(
                f"The prompt {self.prompt[:40]!r}… has {len(self.prompt):,} characters; "
                f"{MOST_CHARACTERS:,} are the most."
            )
        if self.pattern:
            _compiled(self.pattern)

    @property
    def judged(self) -> bool:
        """Whether answers can be right or wrong."""
        return bool(self.expected.strip() or self.pattern)

    def is_right(self, answer: str) -> bool:
        """Judge an answer.

        >>> [TestPrompt(prompt="2 + 2 =", expected="4").is_right(a) for a in (" 4.", " 42", "")]
        [True, False, False]
        >>> TestPrompt(prompt="Who?", pattern="(?i)mary|anne").is_right("It was MARY.")
        True
        """
        said, wanted = answer.strip(), self.expected.strip()
        if wanted and said.startswith(wanted):
            after = said[len(wanted) :][:1]
            if not (wanted[-1].isalnum() and after.isalnum()):
                return True
        return bool(self.pattern) and _compiled(self.pattern).search(answer) is not None


def read_prompts(text: str, name: str = "the test set") -> list[TestPrompt]:
    r"""Read a test set from JSON lines, CSV, or plain text.

    JSON lines begin with a brace. CSV has a first line of names with "prompt" among them; "answer"
    or "output" serve for "expected". All else is plain text.

    Raises
    ------
    ValueError
        One sentence that names the line.

    Examples
    --------
    >>> [each.expected for each in read_prompts('{"prompt": "2 + 2 =", "answer": "4"}\n')]
    ['4']
    >>> [each.prompt for each in read_prompts("prompt,expected\n\"One, two,\",three\n")]
    ['One, two,']
    >>> len(read_prompts("Once upon a time\n\nThe fox"))
    2
    """
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("{"):
        rows: Iterable[tuple[int, Mapping[str, Any]]] = _json_rows(text, name)
    elif "prompt" in (names := _names(text.partition("\n")[0])):
        rows = _csv_rows(text, names, name)
    else:
        lines = enumerate(text.splitlines(), 1)
        rows = ((number, {"prompt": line}) for number, line in lines if line.strip())
    found: list[TestPrompt] = []
    for number, row in rows:
        if len(found) == MOST_PROMPTS:
            raise ValueError(f"{name} has more than {MOST_PROMPTS:,} prompts: split it.")
        found.append(_prompt(row, f"Line {number} of {name}"))
    if not found:
        raise ValueError(f"{name} has no prompts: write one a line.")
    return found


def shipped_prompts(n: int = 150) -> list[TestPrompt]:
    """Take questions that the models in the box were trained to answer, of every skill as many."""
    by_skill: dict[tuple[str, str], list[TestPrompt]] = {}
    for each in shipped_questions():
        asked = TestPrompt(prompt=each.prompt, expected=each.answer)
        by_skill.setdefault((each.skill, each.level), []).append(asked)
    in_turn = [one for several in zip(*by_skill.values(), strict=False) for one in several]
    return in_turn[:n]


def to_json_lines(prompts: Sequence[TestPrompt]) -> str:
    """Write a test set as `read_prompts` reads it."""
    rows = ({name: getattr(each, name) for name in NAMES} for each in prompts)
    lines = (json.dumps({n: v for n, v in row.items() if v}, ensure_ascii=False) for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _json_rows(text: str, name: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise ValueError(f"Line {number} of {name} is not JSON: {line.strip()[:40]!r}.") from (
                problem
            )
        if not isinstance(row, dict):
            raise ValueError(f"Line {number} of {name} is not a JSON object with a prompt.")
        yield number, row


def _names(line: str) -> list[str]:
    try:
        first = next(csv.reader([line.strip()]), [])
    except csv.Error:
        return []
    plain = [each.strip().lower() for each in first]
    return [_ALSO.get(each, each) for each in plain]


def _csv_rows(text: str, names: list[str], name: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        next(reader)
        for row in reader:
            if any(cell.strip() for cell in row):
                if len(row) > len(names):
                    raise ValueError(
                        f"Line {reader.line_num} of {name} has {len(row)} cells for {len(names)} "
                        "names: put quotes around a cell with a comma."
                    )
                yield reader.line_num, dict(zip(names, row, strict=False))
    except csv.Error as problem:
        raise ValueError(f"Line {reader.line_num} of {name} is not CSV: {problem}.") from problem


def _prompt(row: Mapping[str, Any], where: str) -> TestPrompt:
    known = {_ALSO.get(key, key): value for key, value in row.items() if value is not None}
    if "prompt" not in known:
        raise ValueError(f"{where} has no prompt.")
    told = {key: known[key] for key in NAMES if key in known}
    for key, value in told.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{where}: {key} should be text.")
    try:
        return TestPrompt(**{key: str(value) for key, value in told.items()})
    except ValueError as problem:
        raise ValueError(f"{where}: {problem}") from problem


def _compiled(pattern: str) -> "re2._Regexp":
    """Compile for RE2, which takes time in proportion to the text, whatever the pattern."""
    options = re2.Options()
    options.max_mem, options.log_errors = _MEMORY, False
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(
            f"The pattern {pattern[:40]!r}… has {len(pattern):,} characters; {LONGEST_PATTERN} are "
            "the most."
        )
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as problem:
        why = problem.args[0] if isinstance(problem, re2.error) else "not text"
        why = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        raise ValueError(
            f"{pattern[:60]!r} is not a regular expression of RE2: {why[:60]}."
        ) from problem
