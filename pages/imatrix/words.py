"""The sentences of the page Importance: numbers in, text out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pages.shared.units import exact, opening, percent, plural, the, times
from quantcore.evaluate.importance_use import BlockPair, Loudest, Pair
from quantcore.io.imatrix import Imatrix

PURPOSE = (
    "Which columns of a matrix matter most to what the model computes, and what an importance "
    "matrix changes."
)
DEFINED = (
    "token, tensor, embedding, quantization, code, scale, block, format, importance matrix"
).split(", ")

HOW_TO_READ_MAP = (
    "Share of the total that the most important 1 % of the columns hold. If importance were spread "
    "evenly, this would be 1 %. Matrices that share an input have the same value. Click a cell to "
    "look at its columns."
)
HOW_TO_READ_ERRORS = (
    "Weighted error: the errors of each column count by its mean squared input, as they do in what "
    "comes out of the matrix. Importance trades plain error for weighted error. Choose a block to "
    "see how."
)


def none_here(model: str) -> str:
    """Say that there is nothing to show."""
    return f"There is no importance matrix for **{model}** yet."


def how_to_make(place: Path, stories: bool) -> str:
    """Say how one is made, and where the page looks for it.

    `stories` says whether the model knows the calibration text's world.
    """
    name = place.name
    where = f"{name}/imatrix.gguf" if place.is_dir() else f"{place.stem}.imatrix.gguf"
    text, on = ("", "the calibration text") if stories else ("--text TEXT ", "a text of yours")
    more = "; `--text` names another text" if stories else ""
    return (
        f"In the folder that holds the model, `python -m quantcore imatrix {name} {text}--output "
        f"{where}` measures one on {on} and keeps it where this page finds it{more}. A file "
        "written by llama.cpp’s llama-imatrix works too."
    )


def no_entry(asked: str, shown: str) -> str:
    """Say that a matrix has no importance, and which one is shown instead."""
    return (
        f"{opening(the(asked))} has no importance values, because it is looked up rather than "
        f"multiplied, or was left out. Showing {the(shown)}, the most uneven matrix, instead."
    )


def of_another(model: str) -> str:
    """Say that a file does not fit."""
    return f"The importance matrix beside {model} belongs to another model: no entry fits."


def finely(share: float) -> str:
    r"""Write a share in percent, in three digits: with and without are near each other.

    >>> finely(0.07134)
    '7.13\u202f%'
    """
    return exact(100 * share, 3) + "\u202f%"


def loudest(tensor: str, loud: Loudest) -> str:
    """Say which column is the loudest, and how much the loud ones hold."""
    if not loud.share:
        return (
            f"No column of **{the(tensor)}** ever saw an input: its importance is zero throughout."
        )
    if loud.over_median is None:
        return f"At least half of the columns of **{the(tensor)}** never see an input."
    return (
        f"Column {loud.column} of **{the(tensor)}** matters **{times(loud.over_median)} times** "
        f"as much as the median column; the most important 1 % of the columns hold "
        f"{percent(loud.share)} of the total."
    )


def silent(tensors: Sequence[str]) -> str:
    """Warn of tensors that have only zeros."""
    which = f"{the(tensors[0])}" + (f" and {len(tensors) - 1} more" if len(tensors) > 1 else "")
    return (
        f"The importance matrix has nothing but zeros for {which}. llama-quantize then stores such "
        "a tensor as zeros in most formats, and so does `quantize`: measure the matrix on a text "
        "that reaches it, or quantize without."
    )


def how_to_read_columns(imatrix: Imatrix) -> str:
    """Say what was measured, on what."""
    texts = ", ".join(imatrix.datasets) or "a text that the file does not name"
    chunks = plural(imatrix.chunk_count, "chunk")
    size = f" of {imatrix.chunk_size} tokens" if imatrix.chunk_size else ""
    return (
        f"Mean squared input of each column, over {chunks}{size} of {texts}, on a log scale. The "
        "line marks the median, the rings the three largest."
    )


def most_uneven(shares: Mapping[str, float]) -> str:
    """Name the most uneven matrix and the most even one."""
    high, low = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
    return (
        f"In **{the(high)}** the most important 1 % of the columns hold "
        f"**{percent(shares[high])}** of the total, in {the(low)} {percent(shares[low])}."
    )


def changed(tensor: str, type_name: str, whole: Pair) -> str:
    """Say what the matrix changes in a whole tensor."""
    (before, after), (plain_before, plain_after) = whole.weighted, whole.plain
    if plain_after == 1:
        return (
            f"With this importance matrix, {type_name} stores {the(tensor)} as **zeros**, as "
            "llama-quantize does: where no column matters, no scale is better than 0."
        )
    if not before:
        return f"**{type_name}** loses nothing of {the(tensor)}, with importance or without."
    moved = 1 - after / before
    verb = "lowers" if moved >= 0 else "raises"
    return (
        f"In {type_name}, the importance matrix {verb} the weighted error of {the(tensor)} by "
        f"**{percent(abs(moved))}**; the plain error goes from {finely(plain_before)} to "
        f"{finely(plain_after)}."
    )


def does_not_fit(tensor: str, type_name: str) -> str:
    """Say that rows do not divide into blocks."""
    return f"The rows of **{the(tensor)}** cannot be split into blocks of {type_name}."


def one_block(row: int, block: int, both: BlockPair) -> str:
    """Say how many weights of a block come back as others, and explain the picture."""
    weights, loud = plural(both.weights.size, "weight"), exact(both.loudest_over_mean, 2)
    come = "comes" if both.n_changed == 1 else "come"
    return (
        f"Row {row}, block {block}: {both.n_changed} of {weights} {come} back with another value. "
        f"Above: the importance of the columns; the largest is {loud} times the mean. Below: the "
        "error of each weight, hollow without the importance matrix, filled with it."
    )


def error_rows(both: BlockPair, whole: Pair) -> list[tuple[str, tuple[float, float]]]:
    """Name the rows of the table of errors."""
    return [
        ("this block, weighted", both.errors.weighted),
        ("this block, plain", both.errors.plain),
        ("whole tensor, weighted", whole.weighted),
        ("whole tensor, plain", whole.plain),
    ]
