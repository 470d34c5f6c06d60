"""Reading GGUF files: the header and where each tensor lies; the weights stay on disk.

    "GGUF"  version u32                 3, or 2
            n_tensors u64, n_entries u64
            n_entries of metadata       key, kind u32, value
            n_tensors descriptions      name, n_axes u32, axes u64 each, type u32, offset u64
            zeros up to a multiple of the alignment
            the tensors; offsets count from here

A string is its length as u64 and its bytes. All numbers have the byte order that the version shows.
Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Read here rather than by the
package of that name, which believes what a file says.
"""

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES, in_little_endian
from quantcore.io import ByteSource, ModelError
from quantcore.io.gguf_layout import Described, laid_out
from quantcore.io.on_disk import FileState, opened, read_range

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEADER_BYTES = 64 * 2**20  # the largest vocabularies with their merges take 17 MB
MAX_STRINGS = 2**21  # in all arrays together; the largest vocabularies with merges have 850,000
MAX_ENTRIES = 2**14  # of metadata; models have fewer than a hundred
MAX_TENSORS = 2**16  # models of 100 layers with experts have 2,000
MAX_AXES = 4
MAX_NAME_BYTES = 2**16
ALIGNMENT = 32  # where the metadata has no general.alignment

NUMBERS = {0: "u1", 1: "i1", 2: "u2", 3: "i2", 4: "u4", 5: "i4", 6: "f4", 7: "u1", 10: "u8",
            11: "i8", 12: "f8"}  # fmt: skip
BOOL, STRING, ARRAY = 7, 8, 9


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where one tensor lies in a file."""

    path: Path
    name: str
    type: str  # ggml's name; "type 999" where neither it nor the lab knows one
    shape: tuple[int, ...]  # (n_rows, n_cols): the file has it the other way round
    start_byte: int  # from the beginning of the file
    n_bytes: int
    big_endian: bool = False
    known: FileState | None = None  # of the file when its header was read; None if not on this disk

    def packed(self, rows: slice = slice(None)) -> NDArray[np.uint8]:
        """Read the tensor's bytes as of a little-endian file, (n_rows, row_bytes), or some rows.

        Raises
        ------
        ModelError
            If the file has changed since its header was read, in one sentence.
        """
        if self.type not in GGML_TYPES:
            raise self._unreadable()
        n_rows = math.prod(self.shape[:-1])
        row_bytes = self.n_bytes // max(n_rows, 1)
        first, last, _ = rows.indices(n_rows)
        count = max(0, last - first)
        stored = read_range(
            self.path, self.start_byte + first * row_bytes, count * row_bytes, self.known
        )
        if self.big_endian:
            stored = in_little_endian(self.type, stored)
        return stored.reshape(count, row_bytes)

    def read(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """Decode all values, or some rows of a matrix."""
        if self.type not in FORMATS:
            raise self._unreadable()
        if not self.n_bytes:
            return np.zeros(self.shape, np.float32)[rows]
        return FORMATS[self.type].dequantize(self.packed(rows)).reshape(-1, *self.shape[1:])

    def _unreadable(self) -> ModelError:
        return ModelError(
            f"{self.path.name} stores {self.name[:80]!r} as {self.type}, whose values the lab "
            "cannot read."
        )


@dataclass(frozen=True)
class GgufFile:
    """What the header of a file says, checked against the file."""

    path: Path
    version: int
    big_endian: bool
    metadata: dict[str, Any] = field(repr=False)
    kinds: dict[str, int] = field(repr=False)  # number of each value's kind; of an array's entries
    tensors: dict[str, GgufTensor] = field(repr=False)
    entry_bytes: dict[str, int] = field(repr=False)  # of each metadata entry, its key included
    header_bytes: int  # before padding; of all parts, like the next
    file_bytes: int
    refused: str = ""  # why llama.cpp does not take tensors laid out so; empty where it does

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors; what is neither they nor the header is padding."""
        return sum(tensor.n_bytes for tensor in self.tensors.values())


def read_gguf(path: Path) -> GgufFile:
    """Read the header of one GGUF file; every count and offset is checked against its size.

    A model cut into several files is read by `gguf_parts.read_parts`.

    Raises
    ------
    ModelError
        If it is not a GGUF file, cut off, or contradicts itself, in one sentence.
    """
    with opened(path) as (file, state):
        return read_header(path, file, state.n_bytes, state)


def read_header(
    path: Path, file: ByteSource, size: int, known: FileState | None = None
) -> GgufFile:
    """Read a header from an open file of `size` bytes, of which only the header need be there.

    `known` is the state of a file on this disk, whose tensors are to be read later.
    """
    header = _Header(path, file, size)
    version = header.open()
    n_tensors = header.count("tensors", 24, MAX_TENSORS)
    n_entries = header.count("metadata entries", 13, MAX_ENTRIES)
    metadata: dict[str, Any] = {}
    kinds: dict[str, int] = {}
    entry_bytes: dict[str, int] = {}
    for _ in range(n_entries):
        began = header.place
        key = header.name("a metadata key")
        if key in metadata:
            raise ModelError(f"{path.name} has the metadata key {key[:80]!r} twice.")
        metadata[key], kinds[key] = header.value(header.number("u4"), key)
        entry_bytes[key] = header.place - began
    described = [header.description() for _ in range(n_tensors)]
    alignment = _alignment(path, metadata)
    start = -(-header.place // alignment) * alignment
    places, refused = laid_out(path.name, described, alignment, size - start)
    big_endian = header.order == ">"
    tensors = {
        place.name: GgufTensor(
            path,
            place.name,
            place.type,
            place.shape,
            start + place.offset,
            place.n_bytes,
            big_endian,
            known,
        )
        for place in places
    }
    return GgufFile(
        path=path,
        version=version,
        big_endian=big_endian,
        metadata=metadata,
        kinds=kinds,
        tensors=tensors,
        entry_bytes=entry_bytes,
        header_bytes=header.place,
        file_bytes=size,
        refused=refused,
    )


class _Header:
    """A file that is read from its start, and how far it was read."""

    def __init__(self, path: Path, file: ByteSource, file_bytes: int) -> None:
        self.path, self.place, self.order, self.file_bytes = path, 0, "<", file_bytes
        self._file, self._strings_left = file, MAX_STRINGS

    def open(self) -> int:
        """Read magic and version; find out the byte order."""
        if self._take(4, "its first four bytes") != MAGIC:
            raise ModelError(f"{self.path.name} is not a GGUF file: it does not begin with GGUF.")
        version = self.number("u4")
        if not version & 0xFFFF:
            self.order, version = ">", int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in VERSIONS:
            raise ModelError(f"{self.path.name} has GGUF version {version}; the lab reads 2 and 3.")
        return version

    def number(self, kind: str) -> Any:
        """Read one number of a numpy kind such as ``u4``: an int, or a float where that is one."""
        dtype = np.dtype(self.order + kind)
        return np.frombuffer(self._take(dtype.itemsize, "a number"), dtype)[0].item()

    def count(self, what: str, least_bytes: int, at_most: int | None = None) -> int:
        """Read how many things follow; each takes at least so many bytes of the file."""
        count = self.number("u8")
        if at_most is not None and at_most < count <= self.file_bytes // least_bytes:
            raise ModelError(f"{self.path.name} has {count:,} {what}; no model has that many.")
        if count > (self.file_bytes - self.place) // least_bytes:
            raise ModelError(
                f"{self.path.name} has {self.file_bytes:,} bytes but claims {count:,} {what}."
            )
        return count

    def name(self, what: str) -> str:
        """Read the name of something."""
        text = self._string(what)
        if not 0 < len(text) <= MAX_NAME_BYTES or not text.isprintable():
            raise ModelError(f"{self.path.name} has {what} that makes no sense.")
        return text

    def value(self, kind: int, key: str) -> tuple[Any, int]:
        """Read one value of the metadata, and the kind of it or of its entries."""
        if kind == STRING:
            return self._string(key), kind
        if kind != ARRAY:
            number = self.number(_number_kind(self.path, kind, key))
            return bool(number) if kind == BOOL else number, kind
        kind = self.number("u4")
        if kind == STRING:
            return self._strings(key), kind
        dtype = np.dtype(self.order + _number_kind(self.path, kind, key))
        count = self.count(f"entries of {key[:80]}", dtype.itemsize)
        entries = np.frombuffer(self._take(count * dtype.itemsize, key), dtype)
        return entries.astype(bool if kind == BOOL else dtype.newbyteorder("=")), kind

    def description(self) -> Described:
        """Read name, shape, type and offset of a tensor."""
        name = self.name("a tensor name")
        n_axes = self.number("u4")
        if n_axes > MAX_AXES:
            raise ModelError(f"{self.path.name} gives {name[:80]!r} {n_axes:,} axes.")
        axes = [self.number("u8") for _ in range(n_axes)] or [1]  # ggml has a scalar as one weight
        return Described(name, tuple(reversed(axes)), self.number("u4"), self.number("u8"))

    def _strings(self, key: str) -> list[str]:
        count = self.count(f"entries of {key[:80]}", 8)
        self._strings_left -= count
        if self._strings_left < 0:
            raise ModelError(f"{self.path.name} holds more than {MAX_STRINGS:,} strings.")
        # A loop of its own: a vocabulary and its merges are 400,000 strings.
        read, unpack, place, strings = (
            self._file.read,
            struct.Struct(self.order + "Q").unpack,
            0,
            [],
        )
        end = min(self.file_bytes, MAX_HEADER_BYTES) - self.place
        for _ in range(count):
            length = read(8)
            n_bytes = unpack(length)[0] if len(length) == 8 else 0
            place += 8 + n_bytes
            if place > end:
                raise ModelError(f"{self.path.name} has entries of {key[:80]!r} beyond its header.")
            strings.append(read(n_bytes).decode("utf-8", "surrogateescape"))
        self.place += place
        return strings

    def _string(self, what: str) -> str:
        text = self._take(self.count(f"bytes of {what[:80]}", 1), what)
        # A tokenizer may hold bytes that are no UTF-8; what stands for them must not be lost.
        return text.decode("utf-8", "surrogateescape")

    def _take(self, n_bytes: int, what: str) -> bytes:
        if self.place + n_bytes > MAX_HEADER_BYTES:
            raise ModelError(f"{self.path.name} has a header that is longer than any model's.")
        data = self._file.read(n_bytes)
        if len(data) < n_bytes:
            raise ModelError(f"{self.path.name} ends within {what[:80]!r}.")
        self.place += n_bytes
        return data


def _number_kind(path: Path, kind: int, key: str) -> str:
    if kind == ARRAY:
        raise ModelError(f"{path.name} nests arrays in {key[:80]!r}, which GGUF readers refuse.")
    if kind not in NUMBERS:
        raise ModelError(f"{path.name} stores {key[:80]!r} as unknown kind {kind}.")
    return NUMBERS[kind]


def _alignment(path: Path, metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= 2**20 or alignment & (alignment - 1):
        raise ModelError(f"{path.name} asks for an alignment of {alignment!r:.40}.")
    return alignment
