"""Where what was measured here is kept: a folder in the user's cache, a file for each measurement.

A file is named after the model's files and all else that decides about its figures, so that what
was measured of another model, or of another text, is never taken for it.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from quantcore import scratch
from quantcore.model.source import Model


@lru_cache(maxsize=4)
def folder(wanted: str | None = None) -> Path:
    """Folder of what is kept: QUANTLAB_RESULTS, else the user's cache; else one for this server."""
    wanted = wanted or os.environ.get("QUANTLAB_RESULTS")
    try:
        place = Path(wanted) if wanted else Path.home() / ".cache" / "quantlab" / "sensitivity"
        place.mkdir(parents=True, exist_ok=True)
        if os.access(place, os.W_OK):
            return place
    except (OSError, RuntimeError):
        pass
    place = scratch.own_folder() / "results"
    place.mkdir(exist_ok=True)
    return place


def path_for(model: Model, ending: str, *decisive: object) -> Path:
    """Name the file that keeps a measurement; `decisive` is what else its figures depend on."""
    digest = hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]
    return folder() / f"{model.key}-{digest}{ending}"


def changed(path: Path) -> tuple[int, int, int]:
    """When a file was written, its size, and its number on the disk: zeros where there is none."""
    try:
        status = path.stat()
    except OSError:  # another session has just put a newer one in its place
        return 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino
