"""What scale factors cost and what finer ones save, and how they differ over a tensor."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Format
from quantcore.formats import OUTSIDE_GGUF, UNAIDED, get_format
from quantcore.formats.fitting import fits

# What one scale of an integer covers, from all weights to sixteen.
SPANS = ("TENSOR", "ROW", "G256", "G128", "G64", "G32", "G16")


def scale_bits(fmt: Format, shape: tuple[int, int]) -> float:
    """Bits a weight that a tensor of this shape spends on scales and minima.

    >>> scale_bits(get_format("Q4_0"), (1, 32))  # a float16 for 32 weights
    0.5
    """
    return 8 * fmt.stored_bytes(shape) / (shape[0] * shape[1]) - fmt.code_bits


def rivals_of(fmt: Format, shape: tuple[int, int]) -> list[Format]:
    """List formats with codes of as many bits that can store a tensor of this shape.

    First integers whose scale covers ever fewer weights, last the format itself. Codes of more than
    8 bits, which are floats, are compared with those of 8, and left out.
    """
    bits = max(2, min(fmt.code_bits, 8))
    names = [f"INT{bits}_{span}" for span in SPANS if span != f"G{shape[1]}"]
    names += [name for name in (*UNAIDED, *OUTSIDE_GGUF) if get_format(name).code_bits == bits]
    names += [fmt.name] if fmt.code_bits <= 8 else []
    return [get_format(name) for name in dict.fromkeys(names) if fits(get_format(name), shape)]


def largest_to_median(sizes: NDArray) -> float:
    """How many times as large as the median the largest is; 0 where the median is 0.

    >>> largest_to_median(np.array([1.0, 2.0, 8.0]))
    4.0
    """
    middle = float(np.median(sizes))
    return float(sizes.max()) / middle if middle else 0.0


def merged(sizes: NDArray, at_most: int) -> tuple[NDArray, NDArray[np.int64], NDArray[np.int64]]:
    """Keep the largest of neighbours until at most so many rows and columns are left.

    Returns
    -------
    The largest sizes (n_cells, n_cells), and the first row and the first column of each cell.

    Examples
    --------
    >>> merged(np.array([[1, 2, 3], [4, 5, 6]]), 2)
    (array([[2, 3],
           [5, 6]]), array([0, 1]), array([0, 2]))
    """
    rows, columns = (np.arange(0, count, -(-count // at_most)) for count in sizes.shape)
    by_row = np.maximum.reduceat(sizes, rows, axis=0)
    return np.maximum.reduceat(by_row, columns, axis=1), rows, columns


def stripes(sizes: NDArray) -> Literal["rows", "columns"] | None:
    """Say whether rows or columns of scales differ by more than chance would make their means.

    Where both do, those that do so more. None where neither does.

    >>> stripes(np.repeat([[1.0], [2.0], [3.0]], 9, axis=1))
    'rows'
    """
    by_row, by_column = (
        sizes.mean(axis=1 - axis).std() * np.sqrt(sizes.shape[1 - axis]) / (sizes.std() or 1.0)
        for axis in (0, 1)
    )
    if max(by_row, by_column) < 1.5:
        return None
    return "rows" if by_row >= by_column else "columns"
