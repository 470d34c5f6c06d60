"""Where the tensors of a GGUF file lie by its header, and whether llama.cpp takes them so.

The bytes of a tensor follow from its type. Where the type is unknown, they reach to the next
tensor, or to the end of the data; up to an alignment of padding is then counted with them.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from quantcore.formats.ggml_types import BY_NUMBER, type_name
from quantcore.io import ModelError


@dataclass(frozen=True, slots=True)
class Described:
    """A tensor as the header describes it."""

    name: str
    shape: tuple[int, ...]  # (n_rows, n_cols)
    type_number: int
    offset: int  # from the start of the data


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor, its type by name, and its bytes."""

    name: str
    type: str  # ggml's name; "type 999" where nobody knows one
    shape: tuple[int, ...]
    offset: int  # from the start of the data
    n_bytes: int


def laid_out(
    file_name: str, described: Sequence[Described], alignment: int, data_bytes: int
) -> tuple[list[Place], str]:
    """Count the bytes of each tensor, and say why llama.cpp refuses the layout, if it does.

    Raises
    ------
    ModelError
        If a name comes twice, tensors overlap, or one ends beyond the file, in one sentence.
    """
    if twice := [name for name, n in Counter(each.name for each in described).items() if n > 1]:
        raise ModelError(f"{file_name} has the tensor {twice[0][:80]!r} twice.")
    places: list[Place] = []
    refused, expected = "", 0
    for each, end in zip(described, _next_offsets(described, data_bytes), strict=True):
        n_bytes = _bytes_of(file_name, each, end)
        if each.offset + n_bytes > data_bytes:
            raise ModelError(f"{file_name} ends before its tensor {each.name[:80]!r} does.")
        if each.offset + n_bytes > end:
            raise ModelError(f"{file_name} puts another tensor over {each.name[:80]!r}.")
        if each.offset != expected and not refused:
            refused = (
                f"it puts {each.name[:80]!r} at byte {each.offset:,} of its data instead of "
                f"{expected:,}"
            )
        expected = each.offset + -(-n_bytes // alignment) * alignment
        type = type_name(each.type_number)
        places.append(Place(each.name, type, each.shape, each.offset, n_bytes))
    return places, refused


def _next_offsets(described: Sequence[Described], data_bytes: int) -> list[int]:
    """Where the tensor that lies behind each one begins; for the last, where the data end.

    Of several that begin at one place, all but one must be empty.
    """
    order = sorted(
        range(len(described)), key=lambda i: (described[i].offset, math.prod(described[i].shape))
    )
    ends = [data_bytes] * len(described)
    for here, behind in pairwise(order):
        ends[here] = described[behind].offset
    return ends


def _bytes_of(file_name: str, each: Described, end: int) -> int:
    stored = BY_NUMBER.get(each.type_number)
    n_weights = math.prod(each.shape)
    if stored is None:
        return max(0, end - each.offset) if n_weights else 0
    if each.shape[-1] % stored.block_size:
        raise ModelError(
            f"{file_name} gives {each.name[:80]!r} rows of {each.shape[-1]:,} weights, which are "
            f"not whole blocks of {stored.name}."
        )
    return n_weights // stored.block_size * stored.block_bytes
