"""How llama.cpp shares layers between GPUs and the CPU.

After llama-model.cpp (load_tensors) and common/fit.cpp at llama.cpp commit 0c1e57098. Unlike the
latter, a layer of experts is kept on the CPU whole: `--n-cpu-moe` says so in one number, where
fit.cpp overrides parts of a layer, and experts of the first layers stay there, not of the last.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

from quantcore.memory.layers import BytesByLayer

Reserve = Callable[[bool, bool], int]


@dataclass(frozen=True, slots=True)
class Split:
    """Number of layers on each GPU, first to last, and leading layers without their experts."""

    counts: tuple[int, ...]
    without_experts: int = 0


def split_layers(
    parts: BytesByLayer, free: list[int], reserve: Reserve, fixed: int | None = None, kept: int = 0
) -> Split:
    """Give each GPU its layers.

    Parameters
    ----------
    free
        Bytes of each GPU.
    reserve
        Bytes of a GPU that are for no layer, by whether it holds the output, and whether the whole
        model lies on GPUs.
    fixed, kept
        -ngl and --n-cpu-moe, where they are given: nothing is moved then.
    """
    n, several = len(parts.all), len(free) > 1
    if not free or fixed == 0:
        return Split((0,) * len(free))
    if fixed is not None:
        return Split(_by_free_memory(fixed, free), kept)
    even = Split(_by_free_memory(n, free))
    last = max(i for i, count in enumerate(even.counts) if count)
    rooms = [size - reserve(i == last, True) for i, size in enumerate(free)]
    if all(size <= room for size, room in zip(_sizes(parts, even), rooms, strict=True)):
        return even
    split = Split(_filled(parts, free, reserve, several, 0))
    alone = Split(_filled(parts, free, reserve, False, 0))
    if sum(alone.counts) < n:  # else all of it fits but for what several GPUs hand over
        split = alone
    return _without_experts(parts, free, reserve, split)


def _without_experts(parts: BytesByLayer, free: list[int], reserve: Reserve, first: Split) -> Split:
    """Move experts to the CPU, layer by layer, till all else fits; nothing else is moved if not."""
    split = first
    if any(piece.expert_bytes for piece in parts.layers):
        for kept in range(len(parts.layers) + 1):
            if sum(split.counts) == len(parts.all):
                break
            split = Split(_filled(parts, free, reserve, False, kept), kept)
    return split


def _by_free_memory(n: int, free: list[int]) -> tuple[int, ...]:
    """Share `n` layers as llama.cpp does: layer i goes where i / n falls in the summed memory."""
    ends = list(accumulate(max(size, 0) for size in free))
    if not ends[-1]:
        return (*[0] * (len(free) - 1), n)
    shares = [end / ends[-1] for end in ends]
    places = [min(bisect_right(shares, layer / n), len(free) - 1) for layer in range(n)]
    return tuple(places.count(gpu) for gpu in range(len(free)))


def _filled(
    parts: BytesByLayer, free: list[int], reserve: Reserve, whole: bool, without_experts: int
) -> tuple[int, ...]:
    """Fill the last GPU with the last layers, then the one before it, while whole layers fit."""
    sizes = [
        piece.bytes - piece.expert_bytes * (layer < without_experts)
        for layer, piece in enumerate(parts.all)
    ]
    counts, left = [], len(sizes)
    for size in reversed(free):
        room, count = size - reserve(left == len(sizes), whole), 0
        while left and sizes[left - 1] <= room:
            room -= sizes[left - 1]
            left, count = left - 1, count + 1
        counts.append(count)
    return tuple(reversed(counts))


def gpu_ranges(parts: BytesByLayer, counts: tuple[int, ...]) -> list[range]:
    """Say where each GPU's layers stand among all, the output last."""
    first = len(parts.all) - sum(counts)
    ends = list(accumulate(counts, initial=first))
    return [range(start, stop) for start, stop in pairwise(ends)]


def _sizes(parts: BytesByLayer, split: Split) -> list[int]:
    return [
        sum(
            parts.all[i].bytes - parts.all[i].expert_bytes * (i < split.without_experts)
            for i in places
        )
        for places in gpu_ranges(parts, split.counts)
    ]
