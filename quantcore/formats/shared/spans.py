"""What shares a scale where rows are not cut into blocks: the tensor, a row, or a group of columns.

``group_size`` counts the columns of a group, and is None where a scale covers rows or the tensor.
"""

from typing import Literal

from numpy.typing import NDArray

from quantcore.checks import check_not_empty, ragged
from quantcore.pool import WEIGHTS_PER_THREAD

Span = Literal["tensor", "row", "group"]


def check_groups(name: str, shape: tuple[int, ...], group_size: int | None) -> None:
    """Raise a `ValueError` if rows of this shape do not divide into groups."""
    check_not_empty(name, shape)
    if len(shape) != 2:
        raise ValueError(f"{name} needs weights (n_rows, n_cols), got shape {shape}")
    if group_size and shape[1] % group_size:
        raise ValueError(ragged(name, group_size, shape[1]))


def scales_shape(span: Span, shape: tuple[int, ...], group_size: int | None) -> tuple[int, int]:
    """Shape of the scales of weights: (1, 1), (n_rows, 1) or (n_rows, n_groups).

    >>> scales_shape("group", (2, 96), 32)
    (2, 3)
    """
    if span == "tensor":
        return (1, 1)
    return (shape[0], shape[1] // (group_size or shape[1]))


def per_group(numbers: NDArray, n_groups: int) -> NDArray:
    """Repeat what a whole tensor shares, so that there is one number for each group of weights."""
    return numbers.reshape(-1).repeat(n_groups // numbers.size)


def groups_per_thread(group_length: int) -> int:
    """Fewest groups that are worth handing to another thread."""
    return -(-WEIGHTS_PER_THREAD // group_length)
