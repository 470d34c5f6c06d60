"""Writing GGUF files: the header first, then one tensor after the other, none kept in memory.

Layout: see `gguf.py`.
"""

import errno
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.gguf import ALIGNMENT, ARRAY, BOOL, MAGIC, NUMBERS, STRING, GgufFile
from quantcore.io.writing import whole_file

VERSION = 3
_KINDS = {np.dtype("?" if kind == BOOL else name): kind for kind, name in NUMBERS.items()}

Value = str | np.generic | list[str] | NDArray
"""A metadata value; numpy's type says how it is stored: `np.uint32(8)`, `np.bool_(True)`."""


def typed_metadata(file: GgufFile) -> dict[str, Value]:
    """Metadata of a file that was read, ready to be written again."""
    metadata: dict[str, Value] = {}
    for key, value in file.metadata.items():
        plain = isinstance(value, str | list | np.ndarray)
        kind = file.kinds[key]
        metadata[key] = (
            value if plain else np.dtype("?" if kind == BOOL else NUMBERS[kind]).type(value)
        )
    return metadata


@dataclass(frozen=True, slots=True)
class OutgoingTensor:
    """One tensor to be written: its bytes are made when its turn has come."""

    name: str
    type: str  # ggml's
    shape: tuple[int, ...]  # (n_rows, n_cols)
    make: Callable[[], NDArray[np.uint8]]  # the packed bytes, any shape

    @property
    def n_bytes(self) -> int:
        """Bytes of the tensor, without padding."""
        sizes = GGML_TYPES[self.type]
        return int(np.prod(self.shape)) // sizes.block_size * sizes.block_bytes


def write_gguf(
    path: Path, metadata: Mapping[str, Value], tensors: Sequence[OutgoingTensor]
) -> Iterator[OutgoingTensor]:
    """Write a file; yields each tensor once it is written.

    Closing the iterator before its end leaves nothing behind.

    Raises
    ------
    ModelError
        If there is a file already, no room, or no permission: nothing is left behind.
    """
    header = header_of(metadata, tensors)
    needed = len(header) + data_bytes(tensors)
    with whole_file(path, new=True, needed=needed) as file:
        _reserve(file, needed)
        file.write(header)
        for tensor in tensors:
            _write_tensor(file, tensor)
            yield tensor


def _write_tensor(file: BinaryIO, tensor: OutgoingTensor) -> None:
    packed = tensor.make()
    if packed.nbytes != tensor.n_bytes:
        raise ValueError(f"{tensor.name}: {packed.nbytes} bytes made, {tensor.n_bytes} planned")
    file.write(np.ascontiguousarray(packed).data.cast("B"))
    file.write(bytes(_padded(tensor.n_bytes) - tensor.n_bytes))


def _reserve(file: BinaryIO, n_bytes: int) -> None:
    """Find out at once whether the disk has room."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        except OSError as problem:
            if problem.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise  # those three say that this file system cannot reserve


def _padded(n_bytes: int) -> int:
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


def data_bytes(tensors: Sequence[OutgoingTensor]) -> int:
    """Bytes behind the header of a file, padding included."""
    return sum(_padded(tensor.n_bytes) for tensor in tensors)


def header_of(metadata: Mapping[str, Value], tensors: Sequence[OutgoingTensor]) -> bytes:
    """Everything before the tensors, padding included."""
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_string(key), _typed(value)]
    offset = 0
    for tensor in tensors:
        axes = tuple(reversed(tensor.shape))
        number = GGML_TYPES[tensor.type].number
        parts.append(_string(tensor.name))
        parts.append(struct.pack(f"<I{len(axes)}QIQ", len(axes), *axes, number, offset))
        offset += _padded(tensor.n_bytes)
    header = b"".join(parts)
    return header + bytes(_padded(len(header)) - len(header))


def _string(text: str) -> bytes:
    # What a tokenizer holds that is no UTF-8 was read as surrogates; the same bytes go out again.
    coded = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(coded)) + coded


def _typed(value: Value) -> bytes:
    """Kind and value, in little endian."""
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    if isinstance(value, list):
        strings = b"".join(_string(text) for text in value)
        return struct.pack("<IIQ", ARRAY, STRING, len(value)) + strings
    kind = _KINDS[value.dtype]
    raw = value.astype(value.dtype.newbyteorder("<")).tobytes()
    if isinstance(value, np.ndarray):
        return struct.pack("<IIQ", ARRAY, kind, value.size) + raw
    return struct.pack("<I", kind) + raw
