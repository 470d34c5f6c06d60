"""A model that lies in several GGUF files, as llama-gguf-split and the converter cut it.

The first, ``model-00001-of-00003.gguf``, has all metadata and says so: split.no 0, split.count 3,
split.tensors.count. The others hold only those three keys and their share of the tensors.
"""

import glob
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from quantcore.io import ModelError
from quantcore.io.gguf import GgufFile, GgufTensor, read_gguf

NUMBERED = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
MAX_PARTS = 1000


def read_parts(
    path: Path,
    read: Callable[[Path], GgufFile] = read_gguf,
    exists: Callable[[Path], bool] = Path.is_file,
) -> GgufFile:
    """Read the header of a GGUF file, or those of all parts of a model that was split.

    Any part can be named; the result has the path and the metadata of the first. Files that lie
    elsewhere than on disk bring their own `read` and `exists`.

    Raises
    ------
    ModelError
        If a part is missing or contradicts the others, or a file is broken, in one sentence.
    """
    target = _target(path)
    if target != path:
        return replace(read_parts(target, read, exists), path=path)
    first = first_part(path)
    if first != path and not exists(first):
        raise ModelError(f"{path.name} is one part of several, and {first.name} is missing.")
    file = read(first)
    count = file.metadata.get("split.count", 1)
    if type(count) is not int or not 0 <= count <= MAX_PARTS:
        raise ModelError(f"{first.name} claims to be one of {str(count)[:40]} parts.")
    return file if count < 2 else _joined(file, count, read, exists)


def first_part(path: Path) -> Path:
    """Name the first part of a model whose part `path` is; `path` itself where it is none.

    >>> first_part(Path("m-00002-of-00003.gguf")).name, first_part(Path("m.gguf")).name
    ('m-00001-of-00003.gguf', 'm.gguf')
    """
    match = NUMBERED.fullmatch(path.name)
    return path.with_name(f"{match[1]}-00001-of-{match[3]}.gguf") if match else path


def all_parts(path: Path) -> list[Path]:
    """List the files that a GGUF file consists of, in order: itself, or the parts that are there.

    >>> [part.name for part in all_parts(Path("m.gguf"))]
    ['m.gguf']
    """
    path = _target(path)
    numbered = NUMBERED.fullmatch(path.name)
    if not numbered:
        return [path]
    series = f"{glob.escape(numbered[1])}-[0-9][0-9][0-9][0-9][0-9]-of-{numbered[3]}.gguf"
    return sorted(path.parent.glob(series))


def _target(path: Path) -> Path:
    """Follow a link whose own name does not say that it leads to one part of several."""
    if NUMBERED.fullmatch(path.name) or not path.is_symlink():
        return path
    target = path.resolve()
    return target if NUMBERED.fullmatch(target.name) else path


def _joined(
    first: GgufFile,
    count: int,
    read: Callable[[Path], GgufFile],
    exists: Callable[[Path], bool],
) -> GgufFile:
    match = NUMBERED.fullmatch(first.path.name)
    if not match or int(match[3]) != count:
        raise ModelError(
            f"{first.path.name} is the first of {count} parts; its name must end in "
            f"-00001-of-{count:05d}.gguf."
        )
    parts = [first]
    for number in range(2, count + 1):
        path = first.path.with_name(f"{match[1]}-{number:05d}-of-{match[3]}.gguf")
        if not exists(path):
            raise ModelError(f"{first.path.name} is one of {count} parts; {path.name} is missing.")
        parts.append(read(path))
    for number, part in enumerate(parts):
        said = part.metadata.get("split.no"), part.metadata.get("split.count")
        if said != (number, count):
            raise ModelError(
                f"{part.path.name} says that it is part {str(said[0])[:20]} of "
                f"{str(said[1])[:20]}, counted from 0; its name says {number} of {count}."
            )
    return replace(
        first,
        tensors=_all_tensors(parts),
        header_bytes=sum(part.header_bytes for part in parts),
        file_bytes=sum(part.file_bytes for part in parts),
    )


def _all_tensors(parts: list[GgufFile]) -> dict[str, GgufTensor]:
    tensors: dict[str, GgufTensor] = {}
    for part in parts:
        for name, tensor in part.tensors.items():
            if name in tensors:
                raise ModelError(
                    f"{part.path.name} has the tensor {name[:80]!r}, which "
                    f"{tensors[name].path.name} has too."
                )
            tensors[name] = tensor
    claimed = parts[0].metadata.get("split.tensors.count", len(tensors))
    if claimed != len(tensors):
        raise ModelError(
            f"{parts[0].path.name} and its other parts hold {len(tensors):,} tensors, but it "
            f"claims {str(claimed)[:20]}."
        )
    return tensors
