"""Files: nothing that a file says is believed before it was checked."""

from typing import Protocol


class ByteSource(Protocol):
    """What is read from its start on: a file that is open, or one on the Hub."""

    def read(self, n_bytes: int, /) -> bytes:
        """Return the next bytes, fewer at the end."""


class ModelError(ValueError):
    """A model folder that cannot be used; the message is one sentence for its owner."""


def short(value: object) -> str:
    """Show a value from a stranger's file in at most 40 characters.

    >>> short("a" * 100), short(10**20)
    ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...", 'of more than 18 digits')
    """
    if type(value) is int and abs(value) >= 10**18:
        return "of more than 18 digits"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
