"""What can lie under the microscope: blocks of the model, and blocks made up to teach something."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pages.block import words
from quantcore.format import Format, OpenedBlock, Weights

TEXTBOOK_WEIGHT = 20  # the one that is 33
MADE_UP_COLUMNS = 256


@dataclass(frozen=True)
class Specimen:
    """A block and what a format makes of it."""

    weights: Weights
    opened: OpenedBlock
    bits_per_weight: float  # of the tensor it comes from, scales included
    file: str = ""  # the GGUF file whose very bytes these are
    start_byte: int = 0  # of the block in that file
    turned: bool = False  # the file is big-endian: bytes of a number are in the other order there


def alone(fmt: Format, weights: Weights) -> Specimen:
    """Store a block by itself; what a format keeps once for a whole tensor is not counted."""
    rows = weights[None]
    equal = np.ones_like(weights)  # no column matters more than another, where a format asks
    packed = fmt.quantize(rows, equal if fmt.needs_importance else None)
    opened = fmt.open_block(packed, 0, 0)
    n_bytes = min(fmt.stored_bytes((1, weights.size)), opened.packed.size)
    return Specimen(weights, opened, 8 * n_bytes / weights.size)


def made_up(fmt: Format, example: str) -> Specimen:
    """Make the block of an example that no model has, as long as the format's blocks."""
    length = fmt.block_length(MADE_UP_COLUMNS)
    if example == words.EQUAL:
        return alone(fmt, np.full(length, 0.5, np.float32))
    ramp = np.round(np.linspace(-128, 119, 32))
    ramp[TEXTBOOK_WEIGHT] = 33
    return alone(fmt, np.resize(ramp, max(length, 32))[:length].astype(np.float32))


def spoilt(fmt: Format, weights: Weights) -> Specimen:
    """Make one weight of a block eight times the largest, and store the block by itself."""
    weights = weights.copy()
    weights[len(weights) // 4 + 1 if len(weights) > 1 else 0] = 8 * np.abs(weights).max()
    return alone(fmt, weights)


def rms(numbers: NDArray) -> float:
    """Root mean square.

    >>> rms(np.array([3.0, -3.0]))
    3.0
    """
    return float(np.sqrt(np.mean(np.square(numbers, dtype=np.float64))))
