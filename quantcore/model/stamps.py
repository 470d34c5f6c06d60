"""What tells a model's files from those that lay in their place before."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from quantcore.io import ModelError
from quantcore.io.gguf_parts import all_parts
from quantcore.io.on_disk import FileState, file_state
from quantcore.model.outliers.folder import is_recipe, read_recipe


def stamp_of(path: Path) -> str:
    """Digest of the files in a folder, or of a GGUF file and those beside it, and their dates.

    Another one for each place, and for a replaced file, which has another number on its disk. What
    was measured is kept under it, and so it stays when a file is only linked or given to somebody.
    """
    states = _files_of(path)
    dated = "".join(f"{name} {s.n_bytes} {s.written_ns} {s.number};" for name, s in states)
    return hashlib.sha256(f"{path.resolve()}{dated}".encode()).hexdigest()[:12]


def state_of(path: Path) -> str:
    """Digest of the same files and of all that is compared when they are read.

    Who meets a file that has changed since it was opened finds another state, and opens it again.
    """
    return hashlib.sha256(f"{path}{_files_of(path)}".encode()).hexdigest()[:12]


def _files_of(path: Path) -> list[tuple[str, FileState]]:
    files = list(path.iterdir()) if path.is_dir() else [*all_parts(path), imatrix_file(path)]
    if path.is_dir() and is_recipe(path):
        with suppress(ModelError, OSError):  # whoever opens it is told
            base = read_recipe(path).base
            return _states(files) + _files_of(base)
    return _states(files)


def _states(files: Iterable[Path]) -> list[tuple[str, FileState]]:
    found = [(file.name, file_state(file)) for file in sorted(files)]
    return [(name, state) for name, state in found if state is not None]


def imatrix_file(path: Path) -> Path:
    """Name the file that holds the importance matrix of a folder, or of a GGUF file."""
    return path / "imatrix.gguf" if path.is_dir() else path.with_suffix(".imatrix.gguf")
