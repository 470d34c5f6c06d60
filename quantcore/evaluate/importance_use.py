"""What an importance matrix changes: errors with and without it, plain and weighted.

    plain     sqrt(sum of error² / sum of weight²)
    weighted  the same with each column's terms times its mean squared input

The weighted one is the error of the product with inputs that are independent of each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.formats import FORMATS
from quantcore.formats.block_format import BlockFormat
from quantcore.io.imatrix import Imatrix
from quantcore.model.source import Model

Floats = NDArray[np.float32]
ROWS_AT_ONCE = 1 << 21  # weights


@dataclass(frozen=True, slots=True)
class Pair:
    """Relative errors of the same weights, (without importance matrix, with it)."""

    plain: tuple[float, float]
    weighted: tuple[float, float]


@dataclass(frozen=True, slots=True)
class BlockPair:
    """One block with and without; arrays (block_size,)."""

    weights: Floats
    importance: Floats
    without: Floats  # restored
    with_it: Floats
    errors: Pair

    @property
    def n_changed(self) -> int:
        """Number of weights that come back with another value."""
        return int((self.without != self.with_it).sum())

    @property
    def loudest_over_mean(self) -> float:
        """Largest importance in the block, in times the mean of the block; 0 where all are 0."""
        return float(self.importance.max() / (self.importance.mean() or 1.0))


@dataclass(frozen=True, slots=True)
class Loudest:
    """How unevenly the columns of one matrix matter."""

    column: int  # the most important one
    over_median: float | None  # times the median column; None where the median is zero
    share: float  # of all importance, held by the loudest hundredth of the columns


def loudest(importance: Floats) -> Loudest:
    """Find the most important column of a matrix, from the importance of each, (n_cols,).

    >>> loudest(np.float32([1, 1, 5, 1]))
    Loudest(column=2, over_median=5.0, share=0.625)
    """
    median = float(np.median(importance))
    return Loudest(
        column=int(importance.argmax()),
        over_median=float(importance.max()) / median if median else None,
        share=loudest_share(importance),
    )


def loudest_shares(model: Model, imatrix: Imatrix) -> dict[str, float]:
    """Give what `loudest_share` says of each matrix of a model that the importance matrix knows.

    An entry that does not fit the matrix's rows is left out: it is of another model, or of stacked
    experts.
    """
    entries = {name: imatrix.importance(name) for name in model.quantizable}
    return {
        name: loudest_share(importance)
        for name, importance in entries.items()
        if importance is not None and importance.size == model.tensors[name].shape[1]
    }


def silent(imatrix: Imatrix, names: Iterable[str]) -> list[str]:
    """Name the tensors whose entry is nothing but zeros: inputs that the text never reached."""
    entries = ((name, imatrix.importance(name)) for name in names)
    return [name for name, entry in entries if entry is not None and not entry.any()]


def stored_as_zeros(imatrix: Imatrix, types: Mapping[str, str]) -> list[str]:
    """Name the tensors that are silent and come out as zeros in their types, as ggml makes them.

    Weighted by zeros, no scale is better than 0; only some types find theirs by other means.
    """
    weighted = {n: t for n, t in types.items() if t in FORMATS and FORMATS[t].uses_importance}
    return [name for name in silent(imatrix, weighted) if makes_zeros(FORMATS[weighted[name]])]


def makes_zeros(fmt: BlockFormat) -> bool:
    """Whether a format stores any weights as zeros where no column has importance."""
    ramp = np.linspace(-1, 1, fmt.block_size, dtype=np.float32)[None]
    return not fmt.dequantize(fmt.quantize(ramp, np.zeros_like(ramp[0]))).any()


def loudest_share(importance: Floats, share: float = 0.01) -> float:
    """Part of all importance that the most important columns hold; at least one column.

    >>> loudest_share(np.float32([1, 1, 1, 5]))
    0.625
    """
    n = max(1, round(share * importance.size))
    top = np.partition(importance, importance.size - n)[-n:]
    return float(top.sum(dtype=np.float64) / (importance.sum(dtype=np.float64) or 1.0))


def with_and_without(fmt: BlockFormat, weights: Weights, importance: Floats) -> Pair:
    """Errors of weights (n_rows, n_cols) quantized with and without importance (n_cols,).

    Raises
    ------
    ValueError
        If the format cannot store such weights, or the importance does not fit.
    """
    sums = np.zeros((3, 2))  # signal, error without, error with; plain and weighted
    step = max(1, ROWS_AT_ONCE // weights.shape[1])
    for start in range(0, len(weights), step):
        rows = weights[start : start + step]
        restored = (fmt.dequantize(fmt.quantize(rows, by)) for by in (None, importance))
        for place, values in enumerate((rows, *(back - rows for back in restored))):
            by_column = np.square(values).sum(axis=0, dtype=np.float64)
            sums[place] += by_column.sum(), by_column @ importance
    return _pair(sums)


def block_with_and_without(
    fmt: BlockFormat, row: Weights, importance: Floats, block: int
) -> BlockPair:
    """Quantize a row (n_cols,) both ways and take one block out of it."""
    here = slice(block * fmt.block_size, (block + 1) * fmt.block_size)
    without, with_it = (
        fmt.dequantize(fmt.quantize(row[None], by))[0, here] for by in (None, importance)
    )
    weights, counts = row[here], importance[here]
    parts = (weights, without - weights, with_it - weights)
    squares = [np.square(part, dtype=np.float64) for part in parts]
    sums = np.array([[square.sum(), square @ counts] for square in squares])
    return BlockPair(weights, counts, without, with_it, _pair(sums))


def _pair(sums: NDArray[np.float64]) -> Pair:
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.nan_to_num(np.sqrt(sums[1:] / sums[0]))
    (plain_without, weighted_without), (plain_with, weighted_with) = errors.tolist()
    return Pair((plain_without, plain_with), (weighted_without, weighted_with))
