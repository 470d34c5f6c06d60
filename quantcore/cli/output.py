"""What the commands print: results on standard output, the rest on standard error."""

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, TypeVar, cast

from quantcore.io.visible import visible
from quantcore.progress import Progress, result_of

Result = TypeVar("Result")


def followed(steps: Iterator[Progress[Result]]) -> Result:
    """Take all steps of long work, show how far it is, and return its result."""
    start = time.monotonic()

    def report(step: Progress[Result]) -> None:
        show(step.share, _left(step.share, time.monotonic() - start) + step.stage)

    return result_of(steps, report)


def _left(share: float, seconds: float) -> str:
    """Say how long the rest takes, once there is something to go by.

    >>> _left(0.25, 30), _left(0.02, 20), _left(0.5, 1)
    ('1:30 left  ', '16:20 left  ', '')
    """
    if seconds < 2 or not 0.01 < share < 1:
        return ""
    minutes, seconds = divmod(round(seconds * (1 / share - 1)), 60)
    return f"{minutes}:{seconds:02} left  "


_shown = -1


def show(share: float, stage: str) -> None:
    """Progress on standard error: a line that rewrites itself, or every tenth in a file."""
    global _shown
    if sys.stderr.isatty():
        print(f"\r{share:4.0%}  {stage:<50.50}", end="\n" if share >= 1 else "", file=sys.stderr)
    elif (tenth := int(share * 10)) != _shown:
        _shown = tenth
        print(f"{share:4.0%}  {stage}", file=sys.stderr)


class _Visible:
    """A stream of text that shows control characters as their numbers."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text; names and tokens in it may be anything."""
        return self._stream.write(visible(text))


@contextmanager
def visible_output() -> Iterator[None]:
    """Let no escape code of a file reach the terminal meanwhile."""
    out, errors = _Visible(sys.stdout), _Visible(sys.stderr)
    with redirect_stdout(cast(TextIO, out)), redirect_stderr(cast(TextIO, errors)):
        yield


def complain(sentence: str, status: int) -> int:
    """Say what went wrong; return the exit status."""
    print(sentence, file=sys.stderr)
    return status


def sentence(problem: Exception) -> str:
    """Word an exception as one sentence."""
    if isinstance(problem, OSError) and problem.strerror:
        return f"{problem.filename}: {problem.strerror}." if problem.filename else problem.strerror
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text + ("" if text.endswith((".", "!", "?")) else ".")


def print_json(value: object) -> None:
    """Print one object on a line of its own."""
    print(json.dumps(_finite(value), allow_nan=False))


def _finite(value: object) -> object:
    """JSON knows no infinity: the SQNR of a lossless format becomes null."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_pairs(*pairs: tuple[str, str]) -> None:
    """Print names and values in two columns."""
    for name, value in pairs:
        print(f"{name:<16} {value}")
