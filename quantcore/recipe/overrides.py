"""Types asked for by name: `--tensor-type` of llama-quantize, and its file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.strict_json import file_size

MAX_FILE_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class Override:
    """Tensors whose name the pattern is found in get the type."""

    pattern: str  # a regular expression, in lower case as llama-quantize makes it
    type: str  # ggml's name


def parse_override(text: str) -> Override:
    """Read `PATTERN=TYPE`.

    >>> parse_override("ffn_down=q6_k")
    Override(pattern='ffn_down', type='Q6_K')
    """
    pattern, equals, type = text.partition("=")
    if not (pattern and equals and type):
        raise ValueError(f"{text[:60]!r} is not an override: write a pattern, '=' and a type.")
    by_lower_case = {name.lower(): name for name in GGML_TYPES}
    if type.lower() not in by_lower_case:
        raise ValueError(f"There is no tensor type {type[:40]!r}, asked for by {text[:60]!r}.")
    try:
        re.compile(pattern.lower())
    except re.error as problem:
        raise ValueError(f"{pattern[:60]!r} is not a regular expression: {problem}.") from problem
    return Override(pattern.lower(), by_lower_case[type.lower()])


def read_overrides(path: Path) -> list[Override]:
    """Read a `--tensor-type-file`: overrides between spaces or line ends."""
    if (size := file_size(path)) > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has {size:,} bytes, too many for a list of types.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path.name} is not UTF-8 text.") from problem
    return [parse_override(entry) for entry in text.split()]


def first_matches(overrides: Sequence[Override], names: Iterable[str]) -> dict[str, str]:
    """Find the types that overrides ask for, by tensor: the first pattern that is found counts.

    >>> first_matches([Override("ffn_down", "Q6_K")], ["blk.0.ffn_down.weight", "output.weight"])
    {'blk.0.ffn_down.weight': 'Q6_K'}
    """
    types = {}
    for name in names:
        hits = (each.type for each in overrides if re.search(each.pattern, name))
        if type := next(hits, None):
            types[name] = type
    return types


def exactly(types: Mapping[str, str]) -> list[Override]:
    r"""Ask for types by tensors' whole names.

    >>> exactly({"output.weight": "Q6_K"})
    [Override(pattern='^output\\.weight$', type='Q6_K')]
    """
    return [Override(f"^{re.escape(name)}$", type) for name, type in types.items()]


def overrides_as_text(types: Iterable[tuple[str, str]]) -> str:
    r"""Write names of tensors and their types as a `--tensor-type-file`, one a line.

    >>> print(overrides_as_text([("blk.0.ffn_down.weight", "Q6_K")]), end="")
    ^blk\.0\.ffn_down\.weight$=q6_k
    """
    return "".join(f"^{re.escape(name)}$={type.lower()}\n" for name, type in types)
