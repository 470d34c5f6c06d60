"""Types asked for by name: `--tensor-type` of llama-quantize, and its file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.strict_json import file_size
from quantcore.recipe.patterns import matching, steps_of

MAX_FILE_BYTES = 2**19
MOST = 4096  # overrides; the largest models have a thousand matrices
MOST_STEPS = 250_000  # of all patterns together, see `steps_of`; a whole name takes about 45


@dataclass(frozen=True, slots=True)
class Override:
    """Tensors whose name the pattern is found in get the type."""

    pattern: str  # as `patterns.py` reads them, in lower case as llama-quantize makes it
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
    steps_of(pattern.lower())
    return Override(pattern.lower(), by_lower_case[type.lower()])


def parse_overrides(text: str, what: str = "the list") -> list[Override]:
    """Read overrides between spaces or line ends; `what` names the text in errors.

    >>> [each.type for each in parse_overrides("ffn_down=q6_k attn_v=q5_k")]
    ['Q6_K', 'Q5_K']
    """
    entries = text.split(maxsplit=MOST)
    if len(text) > MAX_FILE_BYTES or len(entries) > MOST:
        raise ValueError(
            f"{what} is too long for a list of types: at most {MOST:,} entries and "
            f"{MAX_FILE_BYTES:,} characters are read."
        )
    overrides, steps = [], 0
    for entry in entries:
        overrides.append(parse_override(entry))
        steps += steps_of(overrides[-1].pattern)
        if steps > MOST_STEPS:
            raise ValueError(f"The patterns of {what} take too long together: simplify them.")
    return overrides


def read_overrides(path: Path) -> list[Override]:
    """Read a `--tensor-type-file`: overrides between spaces or line ends."""
    if (size := file_size(path)) > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} has {size:,} bytes, too many for a list of types.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path.name} is not UTF-8 text.") from problem
    return parse_overrides(text, path.name)


def first_matches(overrides: Sequence[Override], names: Iterable[str]) -> dict[str, Override]:
    """Find the override of each tensor that has one: the first whose pattern is found counts.

    >>> asked = [Override("ffn_down", "Q6_K"), Override("weight", "Q4_K")]
    >>> {name: each.type for name, each in first_matches(asked, ["ffn_down.weight"]).items()}
    {'ffn_down.weight': 'Q6_K'}
    """
    found: dict[str, Override] = {}
    left = list(names)
    for override in overrides:
        found |= dict.fromkeys(matching(override.pattern, left), override)
        left = [name for name in left if name not in found]
    return found


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
