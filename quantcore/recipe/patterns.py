r"""Regular expressions that a stranger may write: what llama-quantize reads, in bounded time.

llama-quantize takes a pattern in lower case and asks `std::regex_search`, whose grammar is
ECMAScript's. Python's `re` reads most of them alike, but it tries one way after another, on a small
pattern for ever, and no other thread works meanwhile. RE2 (the package google-re2) takes time in
proportion to the pattern and to the name.

Where the two grammars differ, a pattern is refused rather than read otherwise: what RE2 alone knows
(`(?i)`, `\pl`, `\z`), what std::regex alone knows (`(?=...)`, `\1`, `[[=a=]]`), and what compilers
disagree about. Nobody has look-ahead and references in bounded time, and the names that such a
pattern is for can be written out.
"""

import re
from collections.abc import Iterable

import re2

LONGEST = 1024  # characters; a tensor's whole name takes about 40
_MEMORY = 2**18  # bytes, of a pattern and of what a search keeps
_READ_ALIKE = re.compile(  # `*+`: what was read stays read, so that this takes linear time, too
    r"""(?:
      [^\\\[({^$*+?]                        # a character
    | \\(?:[dsw]|[^\w\n])                   # a class, or a sign as it is
    | \((?:\?:|(?!\?))                      # a group
    | \[\^?+(?!\])                          # a class that is not empty
      (?:[^\\\[\]]|\\(?:[dsw]|[^\w\n])|\[:[a-z]+:\]|\[(?![.:=]))*+\]
    | [*+?]\??
    | \{\d+(?:,\d*)?\}\??
    | (?:[\^$]|\\b)(?![*+?{])               # an end of the name or of a word, once
    )*+""",
    re.VERBOSE,
)


def steps_of(pattern: str) -> int:
    """Count the steps that a search may take for each character of a name.

    Raises
    ------
    ValueError
        In one sentence, for a pattern that the lab does not read.

    Examples
    --------
    >>> steps_of("ffn_down"), steps_of("(.{30}){30}")
    (12, 1864)
    >>> steps_of("ffn_(up")
    Traceback (most recent call last):
    ValueError: 'ffn_(up' is not a regular expression: missing ): ffn_(up.
    """
    return _compiled(pattern).programsize


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    r"""List the names that a pattern is found in.

    >>> matching(r"\.[0-4]\.ffn_", ["blk.3.ffn_up.weight", "blk.7.ffn_up.weight"])
    ['blk.3.ffn_up.weight']
    """
    compiled = _compiled(pattern)
    return [name for name in names if compiled.search(_in_bytes(name))]


def _compiled(pattern: str) -> "re2._Regexp":
    if len(pattern) > LONGEST:
        raise ValueError(
            f"The pattern {pattern[:40]!r}… has {len(pattern):,} characters; {LONGEST:,} are the "
            "most that are read."
        )
    alike = _READ_ALIKE.match(pattern)
    if alike is None or alike.end() < len(pattern):
        odd = pattern[alike.end() if alike else 0 :]
        raise ValueError(
            f"The lab does not read {odd[:20]!r} in the pattern {pattern[:60]!r}: it knows groups, "
            "classes and repetition, but no look-ahead, references or rare escapes."
        )
    options = re2.Options()
    options.max_mem, options.log_errors = _MEMORY, False
    options.encoding = re2.Options.Encoding.LATIN1  # byte by byte, as std::regex
    try:
        return re2.compile(_in_bytes(pattern), options)
    except re2.error as problem:
        why = problem.args[0].decode(errors="replace")
        raise ValueError(f"{pattern[:60]!r} is not a regular expression: {why[:60]}.") from problem


def _in_bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
