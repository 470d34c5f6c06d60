"""How the weights of a tensor are distributed: spread, tails, ranges. No format is involved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from quantcore.model.source import Model

Weights = NDArray[np.float32]
CHUNK_WEIGHTS = 1 << 20  # float64 temporaries of 8 MiB, however large the tensor
OUTLIER_SIGMAS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorStatistics:
    """Moments and extremes of one tensor."""

    n_weights: int
    mean: float
    standard_deviation: float
    minimum: float
    maximum: float
    excess_kurtosis: float  # 0 for a normal distribution, 3 for a Laplace; heavy tails are positive
    outlier_share: float  # farther than OUTLIER_SIGMAS standard deviations from the mean
    zero_share: float

    @property
    def largest(self) -> float:
        """Largest absolute value: what a symmetric scale for the whole tensor must reach."""
        return max(-self.minimum, self.maximum)

    @property
    def reach(self) -> float:
        """Largest absolute value in standard deviations; 0 where all weights are equal."""
        return self.largest / self.standard_deviation if self.standard_deviation else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Extremes along one axis: of each row, or of each column, or of a few neighbours."""

    first: NDArray[np.int64]  # first row (or column) that each entry covers
    last: NDArray[np.int64]  # and the last
    minimum: Weights
    maximum: Weights
    spread: Weights  # root mean square of the widest of them
    widest: int  # the row (or column) that reaches farthest, of all
    median_reach: float  # largest absolute value of the median row (or column), of all

    @property
    def reach(self) -> Weights:
        """Largest absolute value of each entry."""
        return np.maximum(-self.minimum, self.maximum)

    @property
    def widest_to_median(self) -> float:
        """How many times as far as the median row (or column) the widest reaches; 0: all are 0."""
        most = float(self.reach.max())
        return most / (self.median_reach or most or 1)


def tensor_statistics(weights: Weights) -> TensorStatistics:
    """Moments of float32 weights of any shape, in float64, chunk by chunk.

    Raises
    ------
    ValueError
        If there are no weights, or one is NaN or infinite.

    Examples
    --------
    >>> s = tensor_statistics(np.float32([[-1, 1], [-1, 1]]))
    >>> s.mean, s.standard_deviation, s.excess_kurtosis
    (0.0, 1.0, -2.0)
    """
    flat = _checked(weights).reshape(-1)
    mean = sum(float(c.sum(dtype=np.float64)) for c in _chunks(flat)) / flat.size
    second = fourth = 0.0
    for chunk in _chunks(flat):
        square = np.square(np.subtract(chunk, mean, dtype=np.float64))
        second += float(square.sum())
        fourth += float(np.square(square, out=square).sum())
    variance = second / flat.size
    limit = OUTLIER_SIGMAS * sqrt(variance)
    return TensorStatistics(
        n_weights=flat.size,
        mean=mean,
        standard_deviation=sqrt(variance),
        minimum=float(flat.min()),
        maximum=float(flat.max()),
        excess_kurtosis=fourth / flat.size / variance**2 - 3 if variance else 0.0,
        outlier_share=_share_beyond(flat, mean, limit) if variance else 0.0,
        zero_share=1 - np.count_nonzero(flat) / flat.size,
    )


def model_statistics(model: Model) -> Iterator[tuple[str, TensorStatistics]]:
    """Statistics of every quantizable tensor of a model, one at a time, in model order."""
    for name in model.quantizable:
        yield name, tensor_statistics(model.weights(name))


def histogram(weights: Weights, n_bins: int = 201) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count weights in bins over the symmetric range that holds every weight.

    An odd number of bins puts one bin around zero. Weights that are all zero get one unit of range.
    """
    flat = _checked(weights).reshape(-1)
    reach = float(np.abs([flat.min(), flat.max()]).max()) or 0.5
    edges = np.linspace(-reach, reach, n_bins + 1)
    none = np.zeros(n_bins, np.int64)
    counts = sum((np.histogram(chunk, edges)[0] for chunk in _chunks(flat)), none)
    return counts, edges


def tail_shares(weights: Weights, sigmas: Sequence[float]) -> NDArray[np.float64]:
    """Share of weights farther from the mean than each number of standard deviations."""
    flat = _checked(weights).reshape(-1)
    statistics = tensor_statistics(flat)
    limits = np.asarray(sigmas, np.float64) * statistics.standard_deviation
    beyond = np.zeros(limits.size, np.int64)
    for chunk in _chunks(flat):
        distance = np.sort(np.abs(chunk - statistics.mean))
        beyond += chunk.size - np.searchsorted(distance, limits, side="right")
    return beyond / flat.size


def normal_tail_shares(sigmas: Sequence[float]) -> NDArray[np.float64]:
    """Share of a normal distribution farther from the mean than each number of sigmas.

    >>> normal_tail_shares([0, 2]).round(4).tolist()
    [1.0, 0.0455]
    """
    return np.array([erfc(t / sqrt(2)) for t in sigmas])


def ranges(weights: Weights, axis: int, at_most: int = 512) -> Ranges:
    """Extremes of each row (axis 0) or column (axis 1), neighbours merged down to `at_most`.

    Where rows are merged, minimum and maximum are those of all of them, and spread that of the
    row that spreads most, so no outlier is lost.
    """
    matrix = _checked(weights)
    matrix = matrix.reshape(-1, matrix.shape[-1])
    low, high = matrix.min(axis=1 - axis), matrix.max(axis=1 - axis)
    spread = np.sqrt(np.einsum("ij,ij->" + "ij"[axis], matrix, matrix) / matrix.shape[1 - axis])
    reach = np.maximum(-low, high)
    step = -(-low.size // at_most)
    first = np.arange(0, low.size, step)
    return Ranges(
        first=first,
        last=np.append(first[1:], low.size) - 1,
        minimum=np.minimum.reduceat(low, first),
        maximum=np.maximum.reduceat(high, first),
        spread=np.maximum.reduceat(spread, first),
        widest=int(reach.argmax()),
        median_reach=float(np.median(reach)),
    )


def _checked(weights: Weights) -> Weights:
    if not weights.size:
        raise ValueError("There are no weights to describe: the tensor is empty")
    if not np.isfinite(total := float(weights.sum(dtype=np.float64))):
        raise ValueError(f"The weights add up to {total}: there is NaN or infinity among them")
    return weights


def _chunks(flat: Weights) -> Iterator[Weights]:
    for start in range(0, flat.size, CHUNK_WEIGHTS):
        yield flat[start : start + CHUNK_WEIGHTS]


def _share_beyond(flat: Weights, mean: float, limit: float) -> float:
    return sum(int(np.count_nonzero(np.abs(c - mean) > limit)) for c in _chunks(flat)) / flat.size
