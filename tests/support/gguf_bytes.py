"""Writes small GGUF files by hand, right ones and broken ones."""

import struct

import numpy as np

from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.gguf import read_gguf

KINDS = {bool: 7, int: 4, float: 6, str: 8}
ARRAYS = {"uint32": 4, "int32": 5, "float32": 6}
FORMATS = {4: "I", 5: "i", 6: "f", 7: "?", 10: "Q"}


def string(text: str, order: str = "<") -> bytes:
    """Length and bytes."""
    coded = text.encode()
    return struct.pack(order + "Q", len(coded)) + coded


def value(entry: object, order: str = "<") -> bytes:
    """Kind and value; a list becomes an array of the kind of its first entry."""
    if isinstance(entry, np.ndarray):
        head = struct.pack(order + "IIQ", 9, ARRAYS[entry.dtype.name], entry.size)
        return head + entry.astype(entry.dtype.newbyteorder(order)).tobytes()
    if isinstance(entry, list):
        kind = KINDS[type(entry[0])]
        head = struct.pack(order + "IIQ", 9, kind, len(entry))
        return head + b"".join(_bare(one, order) for one in entry)
    return struct.pack(order + "I", KINDS[type(entry)]) + _bare(entry, order)


def _bare(entry: object, order: str) -> bytes:
    if isinstance(entry, str):
        return string(entry, order)
    return struct.pack(order + FORMATS[KINDS[type(entry)]], entry)


def description(name: str, axes: list[int], type_number: int, offset: int, order="<") -> bytes:
    """Describe one tensor; `axes` as in the file, columns first."""
    head = string(name, order) + struct.pack(order + "I", len(axes))
    return head + struct.pack(f"{order}{len(axes)}QIQ", *axes, type_number, offset)


def gguf_bytes(metadata: dict, tensors: dict, version: int = 3, order: str = "<") -> bytes:
    """Write a whole file. `tensors`: (axes, type number, bytes) by name."""
    align = metadata.get("general.alignment", 32)
    head = b"GGUF" + struct.pack(order + "IQQ", version, len(tensors), len(metadata))
    for key, entry in metadata.items():
        head += string(key, order) + value(entry, order)
    body = b""
    for name, (axes, number, stored) in tensors.items():
        head += description(name, axes, number, len(body), order)
        body += stored + bytes(-len(stored) % align)
    return head + bytes(-len(head) % align) + body


def with_metadata(path, change: dict):
    """Write a file again beside itself with other metadata; None takes a key away."""
    file = read_gguf(path)
    metadata = {key: entry for key, entry in (file.metadata | change).items() if entry is not None}
    tensors = {
        name: (list(reversed(t.shape)), GGML_TYPES[t.type].number, t.packed().tobytes())
        for name, t in file.tensors.items()
    }
    other = path.with_name(f"changed-{path.name}")
    other.write_bytes(gguf_bytes(metadata, tensors))
    return other


def small_file(order: str = "<", version: int = 3) -> bytes:
    """One F32 vector and one Q8_0 matrix of two rows."""
    vector = np.arange(5, dtype=order + "f4").tobytes()
    matrix = np.arange(2 * 2 * 34, dtype=np.uint8).tobytes()
    metadata = {"general.architecture": "llama", "llama.block_count": 2, "ok": True}
    metadata |= {"rope": 1e4, "tokens": ["a", "Ġb", "<0xE4>"], "scores": [0.5, -1.0]}
    return gguf_bytes(
        metadata, {"v": ([5], 0, vector), "m.weight": ([64, 2], 8, matrix)}, version, order
    )
