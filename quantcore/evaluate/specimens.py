"""Single blocks to be taken apart: of a tensor, or made up to teach something."""

from dataclasses import dataclass

import numpy as np

from quantcore.evaluate.landing import rms
from quantcore.format import Format, OpenedBlock, Weights
from quantcore.model.gguf_source import StoredInFile

TEXTBOOK_VALUE = 33.0
TEXTBOOK_WEIGHT = 20  # the one that is 33
MADE_UP_COLUMNS = 256


@dataclass(frozen=True, slots=True)
class BytesInFile:
    """Where the very bytes of a block lie in a GGUF file."""

    file: str
    start_byte: int
    big_endian: bool  # the bytes of a number are in the other order there


@dataclass(frozen=True, slots=True)
class Specimen:
    """A block of weights (n_weights,), and what a format makes of it."""

    weights: Weights
    opened: OpenedBlock
    bits_per_weight: float  # of the tensor it comes from, scales included
    place: BytesInFile | None = None  # None where no file holds these bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierHarm:
    """What an outlier does to the weights beside it, and to those of other sub-blocks.

    Errors are by the weights' size; the outlier itself is in none of them.
    """

    part: int  # the sub-block that holds it
    n_near: int  # other weights in there
    n_others: int  # other sub-blocks
    near_before: float
    near: float
    far_before: float
    far: float

    @property
    def growth_far(self) -> float:
        """How many times the outlier makes the error of the other sub-blocks."""
        return self.far / self.far_before if self.far_before else 1.0


def from_tensor(
    fmt: Format,
    weights: Weights,
    packed: object,
    row: int,
    block: int,
    stored: StoredInFile | None = None,
) -> Specimen:
    """Take a block of a tensor.

    Parameters
    ----------
    weights
        Of the tensor, (n_rows, n_cols).
    packed
        What the format makes of them, or what `stored` holds.
    stored
        The tensor in a GGUF file, if it is from one.

    Raises
    ------
    ValueError
        If there is no such row or block.
    """
    length = fmt.block_length(weights.shape[1])
    opened = fmt.open_block(packed, row, block)
    place = None
    if stored is not None and stored.dtype == fmt.name and stored.factor is None:
        start = stored.row_start(row) + block * opened.packed.size
        place = BytesInFile(stored.path.name, start, stored.tensor.big_endian)
    bits = 8 * fmt.stored_bytes(weights.shape) / weights.size
    return Specimen(weights[row, block * length : (block + 1) * length], opened, bits, place)


def alone(fmt: Format, weights: Weights) -> Specimen:
    """Store a block (n_weights,) by itself; what is kept once for a whole tensor is not counted.

    Of a format that needs an importance matrix, no column matters more than another.
    """
    importance = np.ones_like(weights) if fmt.needs_importance else None
    packed = fmt.quantize(weights[None], importance)
    opened = fmt.open_block(packed, 0, 0)
    n_bytes = min(fmt.stored_bytes((1, weights.size)), opened.packed.size)
    return Specimen(weights, opened, 8 * n_bytes / weights.size)


def textbook(fmt: Format) -> Specimen:
    """Store the textbook's numbers, -128 to 119, the one at `TEXTBOOK_WEIGHT` being 33.

    Q4_0's step is 16 for them, so that 33 comes back as 32. Where fewer weights than 32 are stored
    together, they are some of these, 33 among them.
    """
    ramp = np.round(np.linspace(-128, 119, 32))
    ramp[TEXTBOOK_WEIGHT] = TEXTBOOK_VALUE
    length = fmt.block_length(MADE_UP_COLUMNS)
    start = min(TEXTBOOK_WEIGHT, max(ramp.size - length, 0))
    return alone(fmt, np.resize(ramp[start:], length).astype(np.float32))


def all_equal(fmt: Format) -> Specimen:
    """Store a block of weights that are all 0.5."""
    return alone(fmt, np.full(fmt.block_length(MADE_UP_COLUMNS), 0.5, np.float32))


def spoilt(fmt: Format, weights: Weights) -> Specimen:
    """Make one weight of a block eight times the largest, and store the block by itself."""
    weights = weights.copy()
    weights[_place_of_outlier(weights)] = 8 * np.abs(weights).max()
    return alone(fmt, weights)


def outlier_harm(fmt: Format, weights: Weights) -> OutlierHarm | None:
    """Compare a block (n_weights,) with the one that `spoilt` makes of it.

    None where the block has no sub-blocks.
    """
    before, after, at = alone(fmt, weights), spoilt(fmt, weights), _place_of_outlier(weights)
    spans = [part.weights for part in after.opened.parts]
    if len(spans) == 1:
        return None
    here = next(i for i, span in enumerate(spans) if span.start <= at < span.stop)
    near = np.zeros(weights.size, bool)
    near[spans[here]] = True
    far, near[at] = ~near, False

    def error(of: Specimen, where: np.ndarray) -> float:
        return rms((of.opened.restored - weights)[where]) / (rms(weights[where]) or 1.0)

    return OutlierHarm(
        part=here,
        n_near=int(near.sum()),
        n_others=len(spans) - 1,
        near_before=error(before, near),
        near=error(after, near),
        far_before=error(before, far),
        far=error(after, far),
    )


def _place_of_outlier(weights: Weights) -> int:
    return len(weights) // 4 + 1 if len(weights) > 1 else 0
