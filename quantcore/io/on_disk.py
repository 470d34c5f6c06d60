"""Reading files that others may change meanwhile: into memory of our own, never mapped.

Whoever overwrites or cuts short a file that is mapped ends every process that looks at it (SIGBUS).
Here such a file gets one sentence: each read compares the file with what it was at first.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantcore.io import ModelError
from quantcore.io.strict_json import file_size


class FileState(NamedTuple):
    """What tells a file from one that was put in its place, or that it was changed into."""

    n_bytes: int
    written_ns: int
    changed_ns: int  # other than the time of writing, nobody can set it back
    number: int  # on its disk

    @classmethod
    def of(cls, status: os.stat_result) -> "FileState":
        """Take it from what the system says of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def as_named(path: Path) -> Path:
    """Make a path absolute and leave its last part as it was named, also where that is a link.

    >>> as_named(Path("some/model")).name, as_named(Path("/one/two/..")).name
    ('model', 'one')
    """
    return path.resolve() if path.name in ("", "..") else path.absolute()


def file_state(path: Path) -> FileState | None:
    """Return the state of an ordinary file (or of the one that a link leads to); else None."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return FileState.of(status) if stat.S_ISREG(status.st_mode) else None


@contextmanager
def opened(
    path: Path, known: FileState | None = None
) -> Iterator[tuple[BufferedReader, FileState]]:
    """Open an ordinary file, to be read here and now.

    Parameters
    ----------
    known
        The file as it was when it was read before, if it must still be that one.

    Raises
    ------
    ModelError
        If it is missing, no ordinary file, or has changed; also if it changes meanwhile.
    """
    file_size(path)  # says what is wrong with a path, and a pipe is not opened, which would wait
    try:
        with path.open("rb") as file:
            state = FileState.of(os.fstat(file.fileno()))
            _refuse_other(path, known or state, state)
            yield file, state
            _refuse_other(path, state, FileState.of(os.fstat(file.fileno())))
    except OSError as problem:
        raise ModelError(f"{path.name} in {path.parent} cannot be read.") from problem


def read_range(
    path: Path, start_byte: int, n_bytes: int, known: FileState | None
) -> NDArray[np.uint8]:
    """Read some bytes of a file, (n_bytes,), as it was `known`; a `ModelError` as of `opened`."""
    content = np.empty(n_bytes, np.uint8)
    with opened(path, known) as (file, _):
        file.seek(start_byte)
        if file.readinto(content.data) < n_bytes:
            raise ModelError(f"{path.name} ends before byte {start_byte + n_bytes:,}.")
    return content


def _refuse_other(path: Path, before: FileState, now: FileState) -> None:
    if now != before:
        raise ModelError(f"{path.name} has changed since it was opened.")
