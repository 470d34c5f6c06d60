"""Where compiled kernels are kept: in the user's cache, checked when they are read.

They are machine code, which this process runs: what another user can write is not loaded, what is
damaged is compiled again, and where nothing can be kept (a full disk, no home) kernels are compiled
at each start. One sentence says so.
"""

import hashlib
import logging
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from quantcore import scratch

_SETTINGS: Any = numba.config  # numba makes its settings while it is imported
_FOLDER_NAME = re.compile(r"(\w+-)?[0-9a-f]{12}")
_HALF_WRITTEN = re.compile(r".+\.tmp\.[0-9a-f]{16}")  # numba's own
_HALF_WRITTEN_S = 3600  # writing one takes a moment
_UNUSED_S = 30 * 86400  # after so long, kernels of a text that is gone are deleted
_MOST_DELETED = 200  # folders at a time
_DIGEST_BYTES = 32


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept between starts; else a folder of this process only."""
    try:
        wanted = os.environ.get("NUMBA_CACHE_DIR")
        folder = Path(wanted) if wanted else Path.home() / ".cache" / "quantcore"
        folder.mkdir(parents=True, exist_ok=True)
        _take_back(folder)
        if os.access(folder, os.W_OK):
            return folder
        why = f"{folder} does not allow writing"
    except (OSError, RuntimeError) as problem:  # a full disk, another's folder, a user without home
        why = str(problem)
    _say(f"Compiled kernels are not kept, and are compiled at each start: {why}.")
    return scratch.own_folder()


@cache
def _say(sentence: str) -> None:
    logging.getLogger("quantcore").warning(sentence)


def _is_private(status: os.stat_result) -> bool:
    """Whether nobody but this user, or the system's owner, can have written a file."""
    if not hasattr(os, "geteuid"):  # Windows keeps users' folders apart itself
        return True
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _take_back(folder: Path) -> None:
    """Let nobody else write into the cache; delete what others may have put there meanwhile."""
    status = folder.stat()
    if _is_private(status):
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user")
    folder.chmod(stat.S_IMODE(status.st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
    for name in os.listdir(folder):
        if _FOLDER_NAME.fullmatch(name):
            shutil.rmtree(folder / name, ignore_errors=True)


@cache
def _folder(name: str) -> Path | None:
    """Make a folder in the cache, or note by its time that it is in use; None if that fails."""
    folder = cache_folder() / name
    try:
        if os.path.lexists(folder) and not _all_private(folder):
            shutil.rmtree(folder)
        is_new = not folder.exists()
        folder.mkdir(mode=0o755, exist_ok=True)
        os.utime(folder)
        if not _is_private(folder.stat()):  # a umask lets a group write
            folder.chmod(0o755)
    except OSError:  # another user's
        return None
    if is_new:
        _delete_unused()
    return folder


def _all_private(folder: Path) -> bool:
    """Whether nobody else can have written what lies in a folder; removes what is half-written."""
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        if not _is_private(status) or stat.S_ISLNK(status.st_mode):
            return False
        if _HALF_WRITTEN.fullmatch(path.name) and time.time() - status.st_mtime > _HALF_WRITTEN_S:
            path.unlink(missing_ok=True)
    return True


def _delete_unused() -> None:
    """Delete kernels of texts that no process has asked for in a month."""
    since = time.time() - _UNUSED_S
    with suppress(OSError), os.scandir(cache_folder()) as entries:  # another process deletes too
        ours = [entry for entry in entries if _FOLDER_NAME.fullmatch(entry.name)]
        unused = [entry.path for entry in ours if entry.stat().st_mtime < since]
        for path in unused[:_MOST_DELETED]:
            shutil.rmtree(path, ignore_errors=True)


class _CheckedFile(IndexDataCacheFile):
    """Numba's files with a digest at their end: what is damaged counts as not there."""

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[BytesIO]:
        content = BytesIO()
        yield content
        with super()._open_for_write(filepath) as file:
            file.write(content.getvalue() + hashlib.sha256(content.getvalue()).digest())

    def _load_index(self) -> dict:
        return super()._load_index() if _is_sound(self._index_path) else {}

    def _load_data(self, name: str) -> Any:
        if not _is_sound(self._data_path(name)):
            raise OSError(f"{name} is damaged")  # numba takes it for one that is not there
        return super()._load_data(name)


def _is_sound(path: str) -> bool:
    try:
        content = Path(path).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-_DIGEST_BYTES]).digest() == content[-_DIGEST_BYTES:]


class _KernelCache(FunctionCache):
    """Numba's cache of one function, which fails no kernel."""

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _CheckedFile(
            self._cache_path, self._impl.filename_base, locator.get_source_stamp()
        )

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever numba meets in a file of another version
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError as problem:
            self.disable()
            _say(f"Compiled kernels cannot be kept in {cache_folder()}: {problem.strerror}.")


def keep(dispatcher: Any, function: Callable, name: str) -> None:
    """Have numba keep what it compiles of a function in a folder of this name, if that can be."""
    folder = _folder(name)
    if folder is None:
        return
    before, _SETTINGS.CACHE_DIR = _SETTINGS.CACHE_DIR, str(folder)
    try:
        kept = _KernelCache(function)
    except (OSError, RuntimeError):  # numba could not write there
        return
    finally:
        _SETTINGS.CACHE_DIR = before
    if Path(kept.cache_path).is_relative_to(folder):  # not where numba would go instead
        dispatcher._cache = kept
