"""What is measured in a sweep: one piece is one change of the model, in one format."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.quantized import needed_importance, restored
from quantcore.formats import FORMATS, get_format
from quantcore.model.layer import ENTRY_OF
from quantcore.model.source import Model
from quantcore.recipe.quantize import importance_of

Group = Literal["tensor", "layer", "role", "all"]
How = Literal["alone", "kept"]
Entry = tuple[int, int]  # a layer, and a place in it
GROUPS: tuple[Group, ...] = ("tensor", "layer", "role", "all")
HOWS: tuple[How, ...] = ("alone", "kept")
DEFAULT_FORMATS = ("Q2_K", "IQ3_XXS", "Q3_K", "IQ4_XS", "Q4_K", "Q5_K", "Q6_K", "Q8_0")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some tensors in a format, or all but these."""

    group: Group
    name: str  # of the tensor, the layer's number, the role, or "all"
    how: How  # "alone": only these are quantized; "kept": all but these
    format: str
    tensors: tuple[str, ...]


def checked_formats(model: Model, names: Sequence[str]) -> dict[str, list[str]]:
    """List the tensors that each format can store, by its name as the lab spells it.

    Raises
    ------
    ValueError
        If there is no such format, it can store no tensor at all, or needs an importance matrix
        and there is none.
    """
    if not names:
        raise ValueError("No format is given.")
    spelled = dict.fromkeys(get_format(name).name for name in names)
    return {name: storable(model, name) for name in spelled}


def storable(model: Model, format_name: str) -> list[str]:
    """List the tensors that a format can store, with the importance matrix if it needs one.

    Raises
    ------
    ValueError
        If there is none.
    """
    able, reason = [], None
    for name in model.quantizable:
        try:
            get_format(format_name).check(model.tensors[name].shape)
            needed_importance(model, name, format_name)
            able.append(name)
        except ValueError as problem:
            reason = problem
    if not able:
        raise ValueError(f"{format_name} can store no tensor of {model.name}: {reason}")
    return able


def restored_as(model: Model, name: str, format_name: str) -> NDArray[np.float32]:
    """One tensor (n_rows, n_cols) quantized and restored.

    An importance matrix that was given to the model serves every format, its own those that
    cannot do without.
    """
    importance = needed_importance(model, name, format_name)
    if importance is None and model.given and format_name in FORMATS:
        importance = importance_of(model.given, name, model.tensors[name].shape[-1])
    return restored(model, name, format_name, importance)


def pieces_of(
    model: Model, formats: dict[str, list[str]], groups: Sequence[Group], hows: Sequence[How]
) -> list[Piece]:
    """List all pieces, in the order in which the forward pass meets them.

    Of groups, only the tensors that a format can store are quantized in it.
    """
    pieces = []
    for how in hows:
        for group in groups:
            for format_name, able in formats.items():
                pieces += [
                    Piece(group, name, how, format_name, tensors)
                    for name, tensors in _members(model, able, group).items()
                    if not (group == "all" and how == "kept")  # that is the original
                ]
    order = {name: i for i, name in enumerate(formats)}

    def place(piece: Piece) -> tuple:
        # Where all but one are quantized, each format has a forward pass of its own.
        base = -1 if piece.how == "alone" else order[piece.format]
        return base, entry(model, piece), piece.name, order[piece.format]

    return sorted(pieces, key=place)


def entry(model: Model, piece: Piece) -> Entry:
    """Find the layer, and the place in it, before which the piece changes nothing."""
    return entry_of(model, piece.tensors)


def entry_of(model: Model, tensors: Iterable[str]) -> Entry:
    """Find the layer, and the place in it, before which a change of these changes nothing.

    -1 stands for the embedding, the number of layers for the output.
    """

    def of(name: str) -> tuple[int, int]:
        tensor = model.tensors[name]
        if tensor.layer is not None:
            return tensor.layer, ENTRY_OF[tensor.role]
        return (-1 if tensor.role == "token_embd" else model.config.n_layers), 0

    return min(map(of, tensors))


def _members(model: Model, able: list[str], group: Group) -> dict[str, tuple[str, ...]]:
    members: dict[str, list[str]] = {}
    for name in able:
        tensor = model.tensors[name]
        if group == "layer" and tensor.layer is None:
            continue
        key = {"tensor": name, "layer": str(tensor.layer), "role": tensor.role, "all": "all"}
        members.setdefault(key[group], []).append(name)
    return {name: tuple(tensors) for name, tensors in members.items()}
