"""Sums over the inputs of a matrix, one chunk of tokens after the other."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from quantcore.methods.method import LayerInputs, Statistic
from quantcore.model.blas import one_thread

N_ROWS = 512  # inputs that are kept as they are, where somebody asks for them


class InputSums:
    """Adds up what `LayerInputs` holds.

    Products are summed in float32 within a chunk, by BLAS, and chunks in float64. So an entry of a
    moment is off by no more than n_tokens of a chunk * 2**-24 * the mean of ``|x_i x_j|``.

    Parameters
    ----------
    n_tokens
        How many tokens there will be, over all chunks.
    statistics
        What is wanted besides squares and magnitudes.
    n_rows
        How many inputs to keep at most where "rows" are wanted.
    """

    def __init__(self, n_tokens: int, statistics: Collection[Statistic], n_rows: int) -> None:
        self._statistics = frozenset(statistics)
        self._n_tokens = 0  # so far
        kept = np.arange(min(n_rows, n_tokens)) * n_tokens // max(1, min(n_rows, n_tokens))
        self._kept = kept  # tokens whose inputs stay, counted over all chunks
        self._rows: list[NDArray[np.float32]] = []
        self._squares: NDArray[np.float64] | float = 0.0
        self._magnitudes: NDArray[np.float64] | float = 0.0
        self._largest: NDArray[np.float32] | None = None
        self._moment: NDArray[np.float64] | None = None
        self._cross: NDArray[np.float64] | None = None

    def wants(self, statistic: Statistic) -> bool:
        """Whether something is summed up."""
        return statistic in self._statistics

    def add(self, rows: NDArray[np.float32], original: NDArray[np.float32] | None = None) -> None:
        """Take in the inputs of a chunk, (n, n_cols), and those of the original model."""
        with np.errstate(over="ignore", invalid="ignore"):  # `result` refuses what is not finite
            self._squares = self._squares + np.square(rows).sum(axis=0, dtype=np.float64)
            magnitudes = np.abs(rows)
            self._magnitudes = self._magnitudes + magnitudes.sum(axis=0, dtype=np.float64)
            largest: NDArray[np.float32] = magnitudes.max(axis=0)
            self._largest = largest if self._largest is None else np.maximum(self._largest, largest)
            if self.wants("second_moment"):
                self._moment = _added(self._moment, rows, rows)
            if self.wants("cross_moment"):
                assert original is not None  # whoever asks for it runs two models
                self._cross = _added(self._cross, original, rows)
        if self.wants("rows"):
            here = self._kept[
                (self._kept >= self._n_tokens) & (self._kept < self._n_tokens + len(rows))
            ]
            self._rows.append(rows[here - self._n_tokens])
        self._n_tokens += len(rows)

    def result(self, where: str) -> LayerInputs:
        """Divide the sums by the number of tokens.

        Raises
        ------
        ValueError
            If inputs were not finite; `where` says whose they are.
        """
        n = np.float32(self._n_tokens)
        squares = np.asarray(self._squares, np.float64)
        if not np.isfinite(squares).all() or self._largest is None:
            raise ValueError(
                f"{where}: inputs are not finite; the model is broken, or its weights are too far "
                "from the original's."
            )
        return LayerInputs(
            n_tokens=self._n_tokens,
            mean_square=squares.astype(np.float32) / n,  # as an importance matrix is divided
            mean_abs=np.asarray(self._magnitudes, np.float64).astype(np.float32) / n,
            largest=self._largest,
            second_moment=None if self._moment is None else self._moment / self._n_tokens,
            cross_moment=None if self._cross is None else self._cross / self._n_tokens,
            rows=np.concatenate(self._rows) if self._rows else None,
        )


def _added(
    moment: NDArray[np.float64] | None, left: NDArray[np.float32], right: NDArray[np.float32]
) -> NDArray[np.float64]:
    with one_thread():
        product = left.T @ right  # of an array with itself BLAS computes one half only
    if moment is None:
        return product.astype(np.float64)
    moment += product
    return moment
