"""Reading safetensors files, one tensor at a time, as float32.

    bytes 0..7      length of the header, little endian
    then            the header: {"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}
    then            the tensors; offsets count from here

Layout: https://github.com/huggingface/safetensors#format. The header is read here rather than by
the package of that name, whose numpy door cannot read BF16.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from quantcore.io import ByteSource, ModelError
from quantcore.io.on_disk import FileState, opened, read_range
from quantcore.io.strict_json import parse_json_object, read_json_object

MAX_HEADER_BYTES = 8 * 2**20  # 40 times what a model of 126 layers needs
MAX_AXES = 8
DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # that are read as floats
CODES = {
    **{"I8": "i1", "I32": "<i4", "I64": "<i8"},
    **dict.fromkeys(("U8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), "u1"),
}
"""Those of quantized weights, by what numpy reads their codes as: eight-bit floats as bytes."""
SLAB_BYTES = 1 << 22  # read at a time where only some columns are kept
BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class SafetensorsTensor:
    """Where one tensor lies in a file."""

    path: Path
    dtype: str  # as the header spells it
    shape: tuple[int, ...]
    start_byte: int  # from the beginning of the file
    n_bytes: int
    known: FileState | None = None  # of the file when its header was read; None if not on this disk

    def read(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """All values, or some rows, read-only. Other dtypes than F32, F16, BF16 are refused."""
        if self.dtype not in DTYPES:
            raise ModelError(
                f"{self.path.name} stores weights as {self.dtype[:20]}; "
                "the lab reads F32, F16 and BF16."
            )
        stored = self.codes(rows)  # of a scalar, (1,)
        values = (
            _from_bfloat16(stored)
            if self.dtype == "BF16"
            else stored.astype(np.float32, copy=False)
        )
        values.flags.writeable = False
        return values

    def codes(self, rows: slice = slice(None)) -> NDArray:
        """Numbers as they are stored, all or some rows; a scalar as (1,)."""
        shape = self.shape or (1,)
        first, last, _ = rows.indices(shape[0])
        row_size = math.prod(shape[1:])
        dtype = np.dtype((DTYPES | CODES)[self.dtype])
        start_byte = self.start_byte + first * row_size * dtype.itemsize
        n_bytes = max(0, last - first) * row_size * dtype.itemsize
        stored = read_range(self.path, start_byte, n_bytes, self.known).view(dtype)
        return stored.reshape(max(0, last - first), *shape[1:])

    def columns(self, columns: slice) -> NDArray:
        """Read some columns of numbers as they are stored, (n_rows, n); others are not kept."""
        step = max(1, SLAB_BYTES * self.shape[0] // max(1, self.n_bytes))
        starts = range(0, self.shape[0], step)
        return np.concatenate([self.codes(slice(at, at + step))[:, columns] for at in starts])


def _from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Widen bfloat16, which is the upper half of a float32.

    >>> _from_bfloat16(np.array([0x3FC0], np.uint16))
    array([1.5], dtype=float32)
    """
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def read_folder(folder: Path) -> dict[str, SafetensorsTensor]:
    """Every tensor of a model folder, in one file or in shards, checked but not read.

    Raises
    ------
    ModelError
        If a file is missing, cut off, or its header contradicts itself, in one sentence.
    """
    if not (folder / SINGLE).exists() and not (folder / INDEX).exists():
        _refuse_others(folder)
    if (folder / SINGLE).exists() or not (folder / INDEX).exists():
        return read_header(folder / SINGLE)
    homes = _read_index(folder)
    tensors: dict[str, SafetensorsTensor] = {}
    for file_name in sorted(set(homes.values())):
        for name, tensor in read_header(folder / file_name).items():
            if homes.get(name) != file_name:
                raise ModelError(f"{file_name} holds {name[:80]!r}, which {INDEX} does not say.")
            tensors[name] = tensor
    if missing := homes.keys() - tensors.keys():
        raise ModelError(f"{homes[min(missing)]} lacks {min(missing)[:80]!r}, named in {INDEX}.")
    return tensors


def _refuse_others(folder: Path) -> None:
    """Say what is wrong with a folder that has weights, but none that could be read."""
    if shards := sorted(folder.glob("model-*-of-*.safetensors")):
        raise ModelError(
            f"{folder} holds {shards[0].name} and no {INDEX}, which says what is where."
        )
    if any(folder.glob("pytorch_model*.bin")):
        raise ModelError(
            f"{folder} holds its weights as pytorch_model.bin, which runs code of its makers when "
            "it is read; the lab reads safetensors: load the model with transformers and save it."
        )


def _read_index(folder: Path) -> dict[str, str]:
    homes = read_json_object(folder / INDEX, MAX_HEADER_BYTES).get("weight_map")
    if not isinstance(homes, dict) or not homes:
        raise ModelError(f"{INDEX} has no weight_map.")
    for file_name in homes.values():
        if not isinstance(file_name, str) or Path(file_name).name != file_name:
            raise ModelError(
                f"{INDEX} names {str(file_name)[:80]!r}, which is not a file beside it."
            )
    return homes


def read_header(path: Path) -> dict[str, SafetensorsTensor]:
    """List the tensors of one file; check that they fit in it and don't overlap."""
    with opened(path) as (file, state):
        return list_tensors(path, file, state.n_bytes, state)


def list_tensors(
    path: Path, file: ByteSource, size: int, known: FileState | None = None
) -> dict[str, SafetensorsTensor]:
    """List the tensors of an open file of `size` bytes, of which only the header need be there.

    `known` is the state of a file on this disk, whose tensors are to be read later.
    """
    header, data_start = _parse_header(path, file, size)
    tensors = {
        name: _tensor(path, name, entry, data_start, known)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    for name, tensor in tensors.items():
        if tensor.start_byte + tensor.n_bytes > size:
            raise ModelError(f"{path.name} ends before its tensor {name[:80]!r} does.")
    _refuse_gaps(path, tensors, data_start, size)
    return tensors


def _parse_header(path: Path, file: ByteSource, size: int) -> tuple[dict, int]:
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or 8 + length > size:
        raise ModelError(
            f"{path.name} has {size:,} bytes but claims a header of {length:,}: "
            "it is cut off or not a safetensors file."
        )
    if length > MAX_HEADER_BYTES:
        raise ModelError(f"{path.name} has a header of {length:,} bytes, which is too long.")
    header = parse_json_object(file.read(length), f"The header of {path.name}")
    about = header.get("__metadata__")
    if about is None:
        about = {}
    if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
        raise ModelError(f"{path.name} has a __metadata__ that is not a table of texts.")
    return header, 8 + length


def _tensor(
    path: Path, name: str, entry: object, data_start: int, known: FileState | None
) -> SafetensorsTensor:
    if not isinstance(entry, dict) or not _is_text(name):
        raise ModelError(f"{path.name} describes {name[:80]!r} in a way that makes no sense.")
    dtype, shape, span = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or not _whole(shape, MAX_AXES) or not _whole(span, 2):
        raise ModelError(f"{path.name} describes {name[:80]!r} in a way that makes no sense.")
    if dtype not in BITS:
        raise ModelError(f"{path.name} stores {name[:80]!r} as {dtype[:20]!r}, an unknown type.")
    n_bytes = span[-1] - span[0] if len(span) == 2 else -1
    if math.prod(shape) * BITS[dtype] != 8 * n_bytes:
        raise ModelError(f"{path.name} gives {name[:80]!r} a shape that its bytes do not fill.")
    return SafetensorsTensor(path, dtype, tuple(shape), data_start + span[0], n_bytes, known)


def _is_text(name: str) -> bool:
    """Whether there are no halves of characters in it, which JSON can spell and UTF-8 cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _whole(values: object, at_most: int) -> TypeGuard[list[int]]:
    return (
        isinstance(values, list)
        and len(values) <= at_most
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def _refuse_gaps(
    path: Path, tensors: dict[str, SafetensorsTensor], data_start: int, size: int
) -> None:
    """Refuse tensors that overlap or leave bytes over, as the format's own reader does."""
    end = data_start
    for name, tensor in sorted(tensors.items(), key=_span):
        if tensor.start_byte != end:
            raise ModelError(
                f"{path.name} lets {name[:80]!r} begin at byte {tensor.start_byte - data_start:,} "
                f"of its data, where the tensors before it end at {end - data_start:,}: they must "
                "neither overlap nor leave a gap."
            )
        end += tensor.n_bytes
    if end < size:
        raise ModelError(
            f"{path.name} has {size - end:,} bytes behind its last tensor that belong to none."
        )


def _span(named: tuple[str, SafetensorsTensor]) -> tuple[int, int]:
    return named[1].start_byte, named[1].n_bytes
