"""Bad input gets one sentence: what is wrong, and where."""

import difflib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]

LONGEST_NAME = 80  # letters that are compared with the names that there are
CHUNK = 1 << 20  # weights searched at a time for the first bad one


def as_float32(name: str, weights: Weights) -> Weights:
    """Contiguous, aligned float32; anything but floats is refused."""
    weights = np.asarray(weights)
    if weights.dtype.kind != "f":
        raise ValueError(f"{name} quantizes floats, got an array of {weights.dtype}")
    with np.errstate(over="ignore"):  # a float64 too large becomes inf, which is refused later
        return np.require(weights, np.float32, ["C", "A"])


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view that cannot be written: kernels are compiled for this kind of input only."""
    view = array.view()
    view.flags.writeable = False
    return view


def did_you_mean(name: str, names: Iterable[str], n: int = 3) -> str:
    """Ask whether one of the names that are nearest to an unknown one was meant; "" for none.

    >>> did_you_mean("Q4_K_XL", ["Q8_0", "Q4_K_S", "Q4_K_M"]), did_you_mean("FOO", ["Q8_0"])
    (' Did you mean Q4_K_S or Q4_K_M?', '')
    """
    near = difflib.get_close_matches(name[:LONGEST_NAME].upper(), dict.fromkeys(names), n)
    *more, last = near or [""]
    listed = f"{', '.join(more)} or {last}" if more else last
    return f" Did you mean {listed}?" if last else ""


def check_not_empty(name: str, shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` if there is no weight, or no row."""
    if not shape or 0 in shape:
        raise ValueError(f"{name} needs at least one row of weights, got shape {tuple(shape)}")


def ragged(name: str, block_size: int, n_cols: int) -> str:
    """Say that rows do not divide into blocks.

    >>> ragged("Q4_K", 256, 576)
    'Q4_K works on rows whose length is a multiple of 256 weights; here it is 576'
    """
    return (
        f"{name} works on rows whose length is a multiple of {block_size} weights; here it is "
        f"{n_cols}"
    )


def checked_out(name: str, out: Weights, shape: tuple[int, ...]) -> Weights:
    """Return `out` if a result of this shape can be written to it."""
    right = isinstance(out, np.ndarray) and out.dtype == np.float32 and out.shape == shape
    if not (right and out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError(f"{name} needs out= as a C-contiguous, writable float32 array {shape}")
    return out


def checked_importance(importance: Weights, shape: tuple[int, ...]) -> Weights:
    """Return the importance as float32, one finite number that is not negative for each column."""
    importance = as_float32("an importance matrix", np.asarray(importance, np.float32))
    if importance.shape != shape[-1:]:
        raise ValueError(
            f"The importance matrix has shape {importance.shape}, but rows have {shape[-1]} weights"
        )
    if not (np.isfinite(importance).all() and importance.min() >= 0):
        raise ValueError("The importance matrix holds a number that is negative or not finite")
    return importance


def check_place(n_places: tuple[int, ...], row: int, block: int) -> None:
    """Raise a `ValueError` if there is no such row or block."""
    if not (0 <= row < n_places[0] and 0 <= block < n_places[1]):
        raise ValueError(
            f"No block {block} in row {row}: there are {n_places[0]} rows of {n_places[1]} blocks"
        )


def refuse_non_finite(name: str, weights: Weights, start: int = 0) -> None:
    """Raise a `ValueError` that names the first NaN or infinity at or after position `start`."""
    flat = weights.reshape(-1)
    for chunk in range(start, flat.size, CHUNK):
        bad = np.flatnonzero(~np.isfinite(flat[chunk : chunk + CHUNK]))
        if bad.size:
            row, column = divmod(chunk + int(bad[0]), weights.shape[-1])
            value = flat[chunk + int(bad[0])]
            raise ValueError(f"{name} cannot store {value} (row {row}, column {column})")


def refuse_lost(name: str, weights: Weights, restored: Weights, first_row: int = 0) -> None:
    """Raise a `ValueError` that names a finite weight whose block came back as no numbers.

    Formats store a float16, a scale or the weight itself, and ggml's encoders write an infinity
    where that is too small. Both are (n_rows, n_cols); the first row has the number `first_row`.
    """
    if not np.isfinite(restored).all():
        row = int(np.argmin(np.isfinite(restored).all(axis=1)))
        lost = np.where(np.isfinite(restored[row]), 0, np.abs(weights[row]))
        column = int(np.argmax(lost))  # the whole block is lost; this weight is why
        value = weights[row, column]
        raise ValueError(
            f"{name} cannot hold {value:g} (row {first_row + row}, column {column}): its block "
            "needs a number beyond 65,504, the largest float16. Choose F32 or BF16 for this tensor"
        )
