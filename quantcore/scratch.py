"""Files and folders for a while, and locks; what a killed process left is found and removed.

Each is held by a lock of the system's, which ends with its process however that ends: whoever gets
the lock knows that nobody works there any more. Where a system has no such locks (Windows, some
network disks), nothing that may be another's is removed.
"""

import atexit
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PART = re.compile(r"\.quantlab-[0-9a-f]{8}\.part")
_FOLDER = re.compile(r"quantlab-run-\w+")
PATIENCE_S = 30.0


def new_part(folder: Path) -> tuple[Path, BinaryIO]:
    """Open a new file beside what it is to become; the caller renames or removes it."""
    while True:
        path = folder / f".quantlab-{secrets.token_hex(4)}.part"
        file = path.open("xb")
        if _held(file.fileno()) is not False and path.exists():
            return path, file
        file.close()  # somebody who tidied up was quicker than the lock


@contextmanager
def part_folder(folder: Path) -> Iterator[Path]:
    """Make a new folder beside what it is to become; what the caller did not rename is removed."""
    while True:
        path = folder / f".quantlab-{secrets.token_hex(4)}.part"
        path.mkdir()
        descriptor = None if fcntl is None else os.open(path, os.O_RDONLY)
        if descriptor is None or (_held(descriptor) is not False and path.exists()):
            break
        os.close(descriptor)  # somebody who tidied up was quicker than the lock
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


@cache
def own_folder() -> Path:
    """Make this process's folder for temporary files; it goes with the process, or with the next.

    What killed processes of the same user left goes now.
    """
    temporary = Path(tempfile.gettempdir())
    remove_left_behind(temporary)
    while True:
        folder = Path(tempfile.mkdtemp(prefix="quantlab-run-"))
        if fcntl is None or (_held(os.open(folder, os.O_RDONLY)) is not False and folder.exists()):
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            return folder


def remove_left_behind(place: Path) -> None:
    """Remove what killed processes of this user left in a folder: never what a live one holds."""
    if fcntl is None:
        return
    with suppress(OSError):  # a folder that cannot be listed; one that another has just removed
        for name in os.listdir(place):
            if _PART.fullmatch(name) or _FOLDER.fullmatch(name):
                with suppress(OSError):
                    _remove_if_free(os.path.join(place, name))


def _remove_if_free(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid() and _held(descriptor):
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes and threads from reading, changing and writing what lies in a folder.

    Raises
    ------
    TimeoutError
        If another keeps it for half a minute.
    """
    if fcntl is None:
        yield
        return
    descriptor, until = os.open(folder, os.O_RDONLY), time.monotonic() + PATIENCE_S
    try:
        while _held(descriptor) is False:
            if time.monotonic() > until:
                raise TimeoutError(f"Another process keeps {folder} locked; try again later.")
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _held(descriptor: int) -> bool | None:
    """Take the lock of an open file: False where another has it, None where there is none to take.

    It is held until the file is closed.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks
        return None
    return True
