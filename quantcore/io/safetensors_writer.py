"""Writing safetensors files: the header first, then one tensor after the other.

Layout: see `safetensors.py`. Wide numbers come first, so that each begins at a multiple of its
size; the header ends at one of eight.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from quantcore.io.safetensors import BITS

WRITTEN_AS = {"F32": "<f4", "F16": "<f2", "I32": "<i4", "I64": "<i8"}  # BF16: half of a float32
ABOUT = {"format": "pt"}  # transformers opens no file that does not say so


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One tensor to be written: its values are made when its turn has come."""

    name: str
    dtype: str  # of `WRITTEN_AS`, or "BF16"
    shape: tuple[int, ...]
    make: Callable[[], NDArray]  # values that the dtype holds without rounding

    @property
    def n_bytes(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape) * BITS[self.dtype] // 8


def header_of(tensors: Sequence[Outgoing]) -> bytes:
    """Everything before the tensors, which follow in this order."""
    header: dict[str, object] = {"__metadata__": ABOUT}
    start = 0
    for each in tensors:
        span = [start, start + each.n_bytes]
        header[each.name] = {"dtype": each.dtype, "shape": each.shape, "data_offsets": span}
        start += each.n_bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_safetensors(file: BinaryIO, tensors: Sequence[Outgoing]) -> Iterator[Outgoing]:
    """Write a file that is open; yields each tensor once it is written.

    Raises
    ------
    ValueError
        If what is made has another shape than was said.
    """
    ordered = sorted(tensors, key=lambda each: -BITS[each.dtype])
    file.write(header_of(ordered))
    for each in ordered:
        values = each.make()
        if values.shape != each.shape:
            raise ValueError(f"{each.name}: shape {values.shape} made, {each.shape} planned")
        file.write(_as_bytes(values, each.dtype))
        yield each


def _as_bytes(values: NDArray, dtype: str) -> bytes:
    if dtype == "BF16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return (bits >> np.uint32(16)).astype("<u2").tobytes()
    return values.astype(WRITTEN_AS[dtype], copy=False).tobytes()
