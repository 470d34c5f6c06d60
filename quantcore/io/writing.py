"""Writing files: whole or not at all, beside their place first, and one sentence where that fails.

Whoever is killed meanwhile leaves a file beside it, which the next who writes there removes.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from quantcore import scratch
from quantcore.io import ModelError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
OF_THE_DISK = (*NO_ROOM, *NOT_ALLOWED)


@contextmanager
def whole_file(path: Path, *, new: bool = False, needed: int | None = None) -> Iterator[BinaryIO]:
    """Open a file to be written, which takes its place when the block ends without an error.

    Parameters
    ----------
    new
        Whether there must be no file of that name; otherwise it is replaced.
    needed
        How many bytes it will have, if that is known.

    Raises
    ------
    ModelError
        If it cannot be written: no room, no permission, or a file that is there already.
    """
    if new:
        refuse_existing(path)
    place = path.resolve() if path.is_symlink() else path
    scratch.remove_left_behind(place.parent)
    try:
        temporary, file = scratch.new_part(place.parent)
    except OSError as problem:
        raise ModelError(why_not_written(path, problem, needed)) from problem
    try:
        with file:
            yield file
            file.flush()
            if os.name == "nt":  # which renames no file that is open
                file.close()
            _put(temporary, place, new)
    except FileExistsError:
        refuse_existing(path)
        raise
    except OSError as problem:
        raise ModelError(why_not_written(path, problem, needed)) from problem
    finally:
        with suppress(OSError):  # it is at its place, or the disk has become read-only
            temporary.unlink()


@contextmanager
def whole_folder(path: Path, *, needed: int | None = None) -> Iterator[Path]:
    """Make a folder that takes its place when the block ends without an error.

    Parameters
    ----------
    path
        Of the folder; there must be nothing of that name.
    needed
        How many bytes its files will have, if that is known.

    Raises
    ------
    ModelError
        As of `whole_file`.
    """
    refuse_existing(path)
    scratch.remove_left_behind(path.parent)
    try:
        with scratch.part_folder(path.parent) as folder:
            yield folder
            os.rename(folder, path)
    except OSError as problem:
        refuse_existing(path)  # somebody else was quicker
        raise ModelError(why_not_written(path, problem, needed)) from problem


def refuse_existing(path: Path) -> None:
    """Raise a `ModelError` if there is a file of that name."""
    if path.exists():
        raise ModelError(f"{path} exists already; choose another name or remove it.")


def write_whole(path: Path, text: str) -> None:
    """Write a text file: it is there whole, or what was there stays; `ModelError` as above."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


def _put(temporary: Path, place: Path, new: bool) -> None:
    if new:
        try:
            os.link(temporary, place)  # which refuses a file that somebody else wrote meanwhile
            return
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links
            if place.exists():
                raise FileExistsError(errno.EEXIST, "File exists", str(place)) from None
    os.replace(temporary, place)


def why_not_written(path: Path, problem: OSError, needed: int | None = None) -> str:
    """Say in a sentence why a file cannot be written that will have `needed` bytes."""
    if problem.errno in NO_ROOM:
        if needed is None:
            return f"There is not enough room for {path}."
        return f"{path} needs {needed:,} bytes, and there is not so much room."
    if problem.errno in NOT_ALLOWED:
        return f"{path.parent} does not allow writing."
    if problem.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"There is no folder {path.parent}."
    return f"{path} cannot be written: {problem.strerror}."
