"""Control characters made visible, for terminals: text from outside could move the cursor there."""

import re

# Of C0 a tab, the end of a line and the return that our own progress needs are let through.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Write control characters, and those that turn the direction of a line, as their numbers.

    >>> visible("\x1b]0;owned\x07 of\u202etxt.exe")
    '\\x1b]0;owned\\x07 of\\u202etxt.exe'
    """
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)
