"""Sizes of memory as people write them: 24GiB, 24 GB, 24g."""

import re

LARGEST = 2**60  # bytes; more is a slip of the keyboard
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"\s*([+-]?(?:\d{1,24}(?:\.\d{0,12})?|\.\d{1,12}))\s*([a-z]{1,3})\s*", re.I)


def parse_size(text: str) -> int:
    """Read a size in bytes; GB is 10^9, GiB 2^30, and a bare G is binary, as with Docker and Java.

    Examples
    --------
    >>> parse_size("24GiB"), parse_size("24 GB"), parse_size("512m")
    (25769803776, 24000000000, 536870912)

    Raises
    ------
    ValueError
        If number or unit cannot be read, or the size is not more than 0.
    """
    match = _SIZE.fullmatch(text)
    unit = _unit(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ValueError(
            f"{text[:40]!r} is not a size: write a number with B, KB, MB, GB or TB (powers of "
            "1000) or KiB, MiB, GiB or TiB (powers of 1024), for instance 24GiB"
        )
    size = float(match[1]) * unit
    if not 1 <= size <= LARGEST:
        raise ValueError(f"{text.strip()} cannot be: a size is more than 0 and at most 1024 PiB")
    return int(size)


def _unit(text: str) -> int | None:
    """Bytes in a unit, None where there is no such unit."""
    if text == "b":
        return 1
    power = _POWERS.get(text[:1])
    if power is None or text[1:] not in ("", "b", "i", "ib"):
        return None
    return 1000**power if text[1:] == "b" else 1024**power


def gib(n_bytes: float) -> str:
    """Write bytes in GiB for sentences of the engine, MiB below one of them.

    >>> gib(25769803776), gib(2**20), gib(5_702_000_000)
    ('24.0 GiB', '1 MiB', '5.3 GiB')
    """
    size = abs(n_bytes)
    return f"{n_bytes / 2**30:,.1f} GiB" if size >= 2**30 else f"{n_bytes / 2**20:,.0f} MiB"
