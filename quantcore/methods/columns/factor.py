"""The second moment of a matrix's inputs as GPTQ uses it: damped, in an order, and factored.

An error e in the weights of a row costs e H e.T. With H = A D A.T, A upper triangular with ones on
its diagonal and D diagonal, that is the sum over columns i of

    D_i (e_i + sum over j < i of e_j A_ji)^2

so a column that is rounded after others should aim at what makes the bracket zero: at its weight
plus the errors before it, each times an entry of A. GPTQ's reference takes the same numbers from
the inverse of H: its upper Cholesky factor has the rows of A's inverse, divided by the roots of D.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantcore.model.blas import one_thread

Order = Literal["natural", "group", "act"]
ShareOf = Literal["mean", "largest"]  # of the diagonal; eigenvalue
Moment = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """H = root root.T, and root = feedback * sqrt(D); all in an order of columns."""

    feedback: NDArray[np.float32]  # A, (n_cols, n_cols), upper triangular, ones on its diagonal
    root: Moment  # upper triangular
    diagonal: NDArray[np.float64]  # D, (n_cols,): what the squared miss of each aim costs


@dataclass(frozen=True, slots=True, eq=False)
class Damped:
    """A second moment that can be factored."""

    moment: Moment  # (n_cols, n_cols)
    added: float  # to every entry of the diagonal
    dead: NDArray[np.bool_]  # (n_cols,): columns without any input, which have a 1 there


def damped(moment: Moment, damping: float, share_of: ShareOf = "mean") -> Damped:
    """Add to the diagonal a share of its mean, or of the largest eigenvalue.

    Columns without any input get a 1 there before, as in GPTQ's reference.

    Raises
    ------
    ValueError
        If all inputs are 0, or one is not finite.
    """
    moment = np.array(moment, np.float64)
    if not np.isfinite(moment).all():
        raise ValueError("The inputs of this matrix are not finite; calibrate with the original.")
    diagonal = np.einsum("ii->i", moment)
    dead = diagonal == 0
    if dead.all():
        raise ValueError("All inputs of this matrix are 0 in this text; calibrate on another one.")
    diagonal[dead] = 1
    whole = diagonal.mean() if share_of == "mean" else _largest_eigenvalue(moment)
    diagonal += damping * whole
    return Damped(moment, float(damping * whole), dead)


def _largest_eigenvalue(moment: Moment, n_rounds: int = 30) -> float:
    """By power iteration, from a vector of ones."""
    vector = np.ones(len(moment))
    for _ in range(n_rounds):
        vector = moment @ vector
        vector /= np.linalg.norm(vector)
    return float(vector @ moment @ vector)


def factored(moment: Moment) -> Factor:
    """Factor a damped second moment, by a Cholesky factor from the last column on.

    Raises
    ------
    ValueError
        If it is singular.
    """
    try:
        with one_thread():
            lower = np.linalg.cholesky(moment[::-1, ::-1])
    except np.linalg.LinAlgError:
        lower = None
    if lower is None or not np.isfinite(lower).all():
        raise ValueError(
            "The second moment of the inputs is singular: some columns say the same. Raise the "
            "damping (0.01 is usual), or calibrate on a longer text."
        )
    root: Moment = lower[::-1, ::-1].astype(np.float64, copy=False)
    ends = np.diagonal(root)
    return Factor((root / ends).astype(np.float32), root, np.square(ends))


def order_of(diagonal: NDArray, order: Order, group: int) -> NDArray[np.intp]:
    """Say in which order columns are rounded.

    natural
        As they stand.
    act
        Those with the largest inputs first.
    group
        Groups by their largest input, and within a group the largest first, so that columns that
        share a scale stay together (Gafni et al., 2025).

    Examples
    --------
    >>> order_of(np.array([1, 2, 4, 3]), "group", 2).tolist()
    [2, 3, 1, 0]
    """
    if order == "natural":
        return np.arange(len(diagonal))
    if order == "act":
        return np.argsort(-diagonal, kind="stable")
    by_group = diagonal.reshape(-1, group)
    inside = np.argsort(-by_group, axis=1, kind="stable")
    groups = np.argsort(-by_group.max(axis=1), kind="stable")
    return (inside + group * np.arange(len(by_group))[:, None])[groups].reshape(-1)
