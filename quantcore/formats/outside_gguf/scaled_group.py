"""A group of small floats that share a scale: its loops, and how it is taken apart."""

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import kernel
from quantcore.checks import read_only
from quantcore.format import Field, OpenedBlock, Packed, Part, Weights, opened
from quantcore.formats.shared.magnitudes import largest_magnitude


@kernel
def find_peaks(groups, peaks):
    """Fill `peaks` (n_groups,): the largest magnitude; NaN or infinity where a group holds one."""
    for g in range(groups.shape[0]):
        peaks[g] = largest_magnitude(groups[g])


@kernel
def _decode_pairs(pairs, codes, scales, out):
    for g in range(codes.shape[0]):
        bytes_here, here, scale = codes[g], out[g], scales[g]
        for i in range(bytes_here.size):
            # Views of two floats: both are loaded, multiplied and stored at once.
            values, weights = pairs[bytes_here[i]], here[i]
            weights[0] = values[0] * scale
            weights[1] = values[1] * scale


def decode_pairs(pairs: Weights, codes: Packed, scales: Weights, out: Weights) -> None:
    """Fill `out` (n_groups, group_size) from two codes a byte; `pairs` as `pairs_of` makes them."""
    _decode_pairs(pairs, codes, scales, out.reshape(len(out), -1, 2))


def pairs_of(values: Weights, high_first: bool) -> Weights:
    """Tabulate the two values that each byte stands for, (256, 2), given those of 16 codes."""
    halves = _halves(np.arange(256, dtype=np.uint8), high_first)
    return read_only(values[halves].reshape(256, 2))


def safe(scales: Weights) -> Weights:
    """Put infinity for scales of 0, so that weights divided by them become 0."""
    return np.where(scales > 0, scales, np.float32(np.inf))


def widest_step(values: Weights) -> float:
    """Find the largest gap between neighbouring values of a grid, in units of its scale.

    >>> widest_step(np.float32([0, 0.5, 2, -0.5, -2]))
    1.5
    """
    return float(np.diff(np.sort(values[np.isfinite(values)])).max())


def open_group(
    codes: Packed,
    *,
    stored_scale: np.float32 | np.uint8,
    scale: np.float32,
    says: str,
    values: Weights,
    high_first: bool,
) -> OpenedBlock:
    """Show the scale as it is stored, then the bytes of the codes.

    Eight-bit floats are counted from zero on, negative ones downwards, as F16 and its like; codes
    of four bits stay as they are.
    """
    head = np.frombuffer(stored_scale.tobytes(), np.uint8)
    where = slice(len(head), len(head) + len(codes))
    if len(values) == 16:
        numbers, first_code, grid = _halves(codes, high_first), 0, values
        per_byte = 2
        order = "high" if high_first else "low"
        code_says = f"four bits each, the first of two in the {order} half"
    else:
        grid = _ascending(values)
        first_code = -(len(grid) // 2)
        numbers, per_byte = _signed(codes) - np.int32(first_code), 1
        code_says = "an eight-bit float each"
    return opened(
        np.concatenate([head, codes]),
        fields=(
            Field(name="scale", kind="scale", where=slice(0, len(head)), says=says),
            Field(name="codes", kind="codes", where=where, says=code_says),
        ),
        parts=(
            Part(
                weights=slice(0, len(numbers)),
                scale=float(scale),
                minimum=0.0,
                grid=grid * scale,
            ),
        ),
        codes=numbers,
        first_code=first_code,
        code_bytes=tuple((len(head) + i // per_byte,) for i in range(len(numbers))),
    )


def _halves(codes: Packed, high_first: bool) -> NDArray[np.int32]:
    pair = (codes >> 4, codes & 15) if high_first else (codes & 15, codes >> 4)
    return np.stack(pair, axis=-1).reshape(-1).astype(np.int32)


def _signed(codes: Packed) -> NDArray[np.int32]:
    """Magnitude in seven bits, sign in the eighth."""
    sizes = (codes & 0x7F).astype(np.int32)
    return np.where(codes & 0x80, -sizes, sizes)


def _ascending(values: Weights) -> Weights:
    """Finite values of eight-bit floats from the least to the greatest, zero once."""
    positive = values[:128][np.isfinite(values[:128])]
    return np.concatenate([-positive[:0:-1], positive])
