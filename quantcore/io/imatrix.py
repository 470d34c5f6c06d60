"""Importance matrices in files: llama.cpp's GGUF, read and written, and its older .dat, read.

GGUF: two tensors in F32 for each matrix, ``<name>.in_sum2`` with the sum of its squared inputs by
column and ``<name>.counts`` with the number of tokens, one row for each expert; in the metadata
general.type = "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size.

.dat, all little endian:

    n_entries i32
    n_entries of   length i32, name, n_calls i32, n_values i32, values f32 each
    n_chunks i32, length i32, name of the text          (may be missing)

There a value is the mean squared input times `n_calls`.
Source: llama.cpp, tools/imatrix/imatrix.cpp and common/imatrix-loader.cpp (commit 0c1e57098).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantcore.io import ModelError
from quantcore.io.gguf import MAGIC, MAX_NAME_BYTES, GgufFile, read_gguf
from quantcore.io.gguf_writer import OutgoingTensor, Value, write_gguf
from quantcore.io.on_disk import opened
from quantcore.io.strict_json import file_size

SUMS, COUNTS = ".in_sum2", ".counts"
DATASETS, CHUNK_COUNT, CHUNK_SIZE = (
    f"imatrix.{key}" for key in ("datasets", "chunk_count", "chunk_size")
)
MAX_MATRICES = 2**16
MAX_BYTES = 2**31  # the largest models with experts come to half of it


@dataclass(frozen=True, kw_only=True)
class Imatrix:
    """Sums of squared inputs of each matrix, over the tokens of some text."""

    sums: Mapping[str, NDArray[np.float32]] = field(repr=False)  # (n_experts or 1, n_cols) by name
    counts: Mapping[str, NDArray[np.float32]] = field(repr=False)  # (n_experts or 1,), tokens
    datasets: tuple[str, ...] = ()  # names of texts
    chunk_count: int = 0
    chunk_size: int = 0  # tokens; 0 where the file does not say
    source: str = ""  # name of the file that it was read from

    def importance(self, name: str) -> NDArray[np.float32] | None:
        """Mean squared input of each column, (n_cols,), as llama-quantize takes it; or None.

        For stacked experts (n_experts * n_cols,); an expert that no token reached has ones.
        """
        if name not in self.sums:
            return None
        sums, counts = self.sums[name], self.counts[name][:, None]
        means = np.ones_like(sums)
        np.divide(sums, counts, out=means, where=counts > 0)
        return means.ravel()


def write_imatrix(path: Path, imatrix: Imatrix) -> None:
    """Write it as llama.cpp does, tensors in order of names.

    Raises
    ------
    ModelError
        If there is a file already, no room, or no permission: nothing is left behind.
    """
    metadata: dict[str, Value] = {
        "general.type": "imatrix",
        DATASETS: list(imatrix.datasets),
        CHUNK_COUNT: np.uint32(imatrix.chunk_count),
        CHUNK_SIZE: np.uint32(imatrix.chunk_size),
    }
    tensors = []
    for name in sorted(imatrix.sums):
        tensors += [
            _outgoing(name + SUMS, imatrix.sums[name]),
            _outgoing(name + COUNTS, imatrix.counts[name][:, None]),
        ]
    for _ in write_gguf(path, metadata, tensors):
        pass


def _outgoing(name: str, values: NDArray[np.float32]) -> OutgoingTensor:
    shape = values.shape[1:] if len(values) == 1 else values.shape  # ggml drops axes of one
    return OutgoingTensor(name, "F32", shape, lambda: values.astype("<f4").view(np.uint8))


def read_imatrix(path: Path) -> Imatrix:
    """Read an importance matrix that llama.cpp or the lab wrote.

    Raises
    ------
    ModelError
        If it is none, is cut off, or holds what cannot be, in one sentence.
    """
    if (size := file_size(path)) > MAX_BYTES:
        raise ModelError(f"{path.name} has {size:,} bytes, more than any importance matrix.")
    try:
        with opened(path) as (file, _):
            is_gguf = file.read(len(MAGIC)) == MAGIC
        matrix = _from_gguf(read_gguf(path)) if is_gguf else _from_dat(path)
    except OSError as problem:
        raise ModelError(f"{path.name} in {path.parent} cannot be read.") from problem
    for name in matrix.sums:
        _check(path, name, matrix.sums[name], matrix.counts[name])
    return matrix


def _check(path: Path, name: str, sums: NDArray, counts: NDArray) -> None:
    for values in (sums, counts):
        if not (np.isfinite(values).all() and values.min() >= 0):
            raise ModelError(
                f"{path.name} has a number for {name[:80]!r} that is negative or not finite."
            )


def _from_gguf(file: GgufFile) -> Imatrix:
    path, about = file.path, file.metadata
    for key in (DATASETS, CHUNK_COUNT, CHUNK_SIZE):
        if key not in about:
            raise ModelError(f"{path.name} is not an importance matrix: it lacks {key}.")
    numbers = about[CHUNK_COUNT], about[CHUNK_SIZE]
    datasets = about[DATASETS]
    if not isinstance(datasets, list) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ModelError(f"{path.name} says of its text what makes no sense.")
    sums, counts = {}, {}
    for stored in file.tensors:
        if not stored.endswith((SUMS, COUNTS)):
            continue  # llama.cpp takes no notice of others either
        name, _, kind = stored.rpartition(".")
        if kind == "in_sum2":
            sums[name], counts[name] = _pair(file, name)
        elif name + SUMS not in file.tensors:
            raise ModelError(f"{path.name} has counts but no sums for {name[:80]!r}.")
    if not sums:
        raise ModelError(f"{path.name} holds no importance of any matrix.")
    return Imatrix(
        sums=sums,
        counts=counts,
        datasets=tuple(datasets),
        chunk_count=numbers[0],
        chunk_size=numbers[1],
        source=path.name,
    )


def _pair(file: GgufFile, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read sums (n_experts or 1, n_cols) and counts (n_experts or 1,) of one matrix."""
    sums, counts = file.tensors[name + SUMS], file.tensors.get(name + COUNTS)
    if counts is None:
        raise ModelError(f"{file.path.name} has sums but no counts for {name[:80]!r}.")
    if {sums.type, counts.type} != {"F32"}:
        raise ModelError(f"{file.path.name} stores {name[:80]!r} in another type than F32.")
    tokens = np.rint(counts.read().ravel())
    if sums.n_bytes // 4 % tokens.size:
        raise ModelError(f"{file.path.name} has sums and counts for {name[:80]!r} that do not fit.")
    return sums.read().reshape(tokens.size, -1), tokens


class _Bytes:
    """An open .dat, and how much of it is left."""

    def __init__(self, path: Path, file: BufferedReader, n_bytes: int) -> None:
        self.path, self.left, self._file = path, n_bytes, file

    def take(self, n_bytes: int) -> NDArray[np.uint8]:
        if n_bytes > self.left:
            raise ModelError(f"{self.path.name} ends too early for an importance matrix.")
        content = np.empty(n_bytes, np.uint8)
        if self._file.readinto(content.data) < n_bytes:
            raise ModelError(f"{self.path.name} has changed since it was opened.")
        self.left -= n_bytes
        return content

    def number(self) -> int:
        return int(self.take(4).view("<i4")[0])

    def name(self, longest: int) -> str:
        length = self.number()
        if not 0 <= length <= longest:
            says = "is not an importance matrix: a name makes no sense."
            raise ModelError(f"{self.path.name} {says}")
        return self.take(length).tobytes().decode("utf-8", "replace").rstrip("\0")


def _from_dat(path: Path) -> Imatrix:
    """Read entry by entry: what is none is found out before the rest is read."""
    with opened(path) as (file, state):
        return _entries(path, _Bytes(path, file, state.n_bytes))


def _entries(path: Path, data: _Bytes) -> Imatrix:
    n_entries = data.number()
    if not 0 < n_entries <= min(data.left // 16, MAX_MATRICES):
        raise ModelError(
            f"{path.name} is neither a GGUF file nor one of llama.cpp's older importance matrices."
        )
    sums: dict[str, NDArray[np.float32]] = {}
    counts: dict[str, NDArray[np.float32]] = {}
    for _ in range(n_entries):
        name = data.name(MAX_NAME_BYTES)
        n_calls, n_values = data.number(), data.number()
        if name in sums or not name.isprintable() or n_values < 1:
            raise ModelError(f"{path.name} has an entry {name[:80]!r} that makes no sense.")
        sums[name] = data.take(4 * n_values).view("<f4").astype(np.float32, copy=False)[None]
        counts[name] = np.array(
            [n_calls if n_calls > 0 else 1], np.float32
        )  # llama-quantize's rule
    n_chunks, text = 0, ""
    if data.left:
        n_chunks = data.number()
        text = data.name(MAX_NAME_BYTES) if data.left else ""
    return Imatrix(
        sums=sums,
        counts=counts,
        datasets=(text,) if text else (),
        chunk_count=max(n_chunks, 0),
        source=path.name,
    )
