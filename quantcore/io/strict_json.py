"""JSON from strangers: bounded in size, no key twice, no NaN, one sentence when it is broken."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from quantcore.io import ModelError


def file_size(path: Path) -> int:
    """Size in bytes of an ordinary file (or a link to one); `ModelError` for anything else."""
    try:
        status = path.stat()
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path.name} is missing or unreadable in {path.parent}.") from problem
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path.name} in {path.parent} is not an ordinary file.")
    return status.st_size


def read_json_object(path: Path, max_bytes: int = 2**20) -> dict[str, Any]:
    """Read one JSON object from a file of at most `max_bytes` bytes."""
    file_size(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            text = file.read(min(size, max_bytes))  # not what is added to it meanwhile
    except OSError as problem:
        raise ModelError(f"{path.name} in {path.parent} cannot be read.") from problem
    if size > max_bytes:
        raise ModelError(f"{path.name} has {size:,} bytes, more than the {max_bytes:,} expected.")
    return parse_json_object(text, path.name)


def parse_json_object(text: bytes, what: str) -> dict[str, Any]:
    """Parse UTF-8 JSON that must be an object; `what` names it in the error.

    >>> parse_json_object(b'{"a": 1, "a": 2}', "config.json")
    Traceback (most recent call last):
    quantcore.io.ModelError: config.json has the key 'a' twice.
    """
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=lambda pairs: _unique(pairs, what),
            parse_constant=lambda name: _refuse_constant(name, what),
        )
    except ModelError:
        raise
    except RecursionError as problem:
        raise ModelError(f"{what} is nested too deeply.") from problem
    except ValueError as problem:
        raise ModelError(f"{what} is not valid JSON.") from problem
    if not isinstance(value, dict):
        raise ModelError(f"{what} should hold a JSON object, not a {type(value).__name__}.")
    return value


def _unique(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ModelError(f"{what} has the key {name[:80]!r} twice.")
            seen.add(name)
    return members


def _refuse_constant(name: str, what: str) -> None:
    raise ModelError(f"{what} holds {name}, which is not JSON.")
