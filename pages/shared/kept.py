"""Where what was measured here is kept: a folder in the user's cache, a file for each measurement.

A file is named after the model's files and all else that decides about its figures, so that what
was measured of another model, or of another text, is never taken for it.
"""

import hashlib
import logging
import os
from functools import cache
from pathlib import Path

from quantcore import scratch
from quantcore.model.source import Model

LONGEST = 200  # bytes of a name that follows a model's, which may have 255 itself


def folder() -> Path:
    """Folder of what is kept: QUANTLAB_RESULTS, else the user's cache; else one for this server.

    It is made again where somebody has cleared it away meanwhile.
    """
    wanted = os.environ.get("QUANTLAB_RESULTS")
    try:
        place = Path(wanted) if wanted else Path.home() / ".cache" / "quantlab" / "sensitivity"
        place.mkdir(parents=True, exist_ok=True)
        if os.access(place, os.W_OK):
            return place
        why = f"{place} does not allow writing"
    except (OSError, RuntimeError) as problem:  # a full disk, a user without a home
        why = str(problem)
    _say(f"Measurements are kept only until the server ends: {why}.")
    place = scratch.own_folder() / "results"
    place.mkdir(exist_ok=True)
    return place


@cache
def _say(sentence: str) -> None:
    logging.getLogger("quantlab").warning(sentence)


def prefix(model: Model) -> str:
    """Begin the names of a model's files: with its key, of a long one with the end of it."""
    return model.key.encode()[-LONGEST:].decode(errors="ignore") + "-"


def path_for(model: Model, ending: str, *decisive: object) -> Path:
    """Name the file that keeps a measurement; `decisive` is what else its figures depend on."""
    digest = hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]
    return folder() / f"{prefix(model)}{digest}{ending}"


def make_room(ending: str, most_bytes: int) -> None:
    """Remove the oldest files with an ending, until those that stay take no more than that."""
    total = 0
    for path in sorted(folder().glob(f"*{ending}"), key=changed, reverse=True):
        total += changed(path)[1]
        if total > most_bytes:
            path.unlink(missing_ok=True)


def changed(path: Path) -> tuple[int, int, int]:
    """When a file was written, its size, and its number on the disk: zeros where there is none."""
    try:
        status = path.stat()
    except OSError:  # another session has just put a newer one in its place
        return 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino
