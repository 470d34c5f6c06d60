"""A recipe as JSON: the type of every tensor of a file, written by the lab and read back.

One JSON object, as `plan --json` prints it and the page Mix saves it:

    recipe, version        "quantlab", 1
    model                  name of the model that it was made for
    type                   file type, as general.file_type will have it: "Q4_K_M"
    with_imatrix           whether it is for a file made with an importance matrix; false where it
                           is missing, as in recipes that were written before there was this field
    tensors                [{"name": ..., "type": ..., ...}, ...], every tensor once, norms included
    bytes, bits_per_weight of all tensors, without padding
    ...                    what else is known, such as predicted_kl_divergence
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.strict_json import parse_json_object, read_json_object
from quantcore.model.source import Model
from quantcore.recipe.contents import Contents, contents_of
from quantcore.recipe.file_types import file_of
from quantcore.recipe.overrides import Override, exactly
from quantcore.recipe.plan import Plan, plan
from quantcore.recipe.rules import may_quantize

MAX_FILE_BYTES = 2**22  # a tensor takes about 200, and the largest models have a thousand
VERSION = 1
_ROW = ("name", "type")
_KEPT = ("F32", "F16", "BF16")  # what a vector can be


def recipe_of(made: Plan, **known: Any) -> dict[str, Any]:
    """Put a plan, and what else is known of it, into the fields of the file."""
    rows = [
        {"name": t.name, "type": t.type, "bytes": t.bytes, "shape": list(t.shape),
         "rule": t.rule, "fallback": t.fallback}
        for t in made.tensors
    ]  # fmt: skip
    head = {"recipe": "quantlab", "version": VERSION, "model": made.model, "type": made.type}
    head["with_imatrix"] = made.with_imatrix
    size = {"bytes": made.bytes, "bits_per_weight": made.bits_per_weight}
    return head | size | known | {"tensors": rows}


def recipe_as_json(made: Plan, **known: Any) -> str:
    """Write a plan as JSON, a line for each tensor; `known` is added, numbers and names."""
    recipe = recipe_of(made, **known)
    rows = ",\n".join(f"  {json.dumps(row)}" for row in recipe.pop("tensors"))
    head = "".join(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in recipe.items())
    return f'{{\n{head} "tensors": [\n{rows}\n ]\n}}\n'


def read_recipe(place: str | Path, source: Model | Contents) -> dict[str, str]:
    """Read the type of each matrix of a model by its name.

    Parameters
    ----------
    place
        A file, or the text of one.
    source
        The model that it is meant for, or its contents.

    Raises
    ------
    ValueError
        If it is no recipe, is of a model with other tensors, or names a type that there is none of
        or that a tensor's rows do not divide into.

    Examples
    --------
    >>> from quantcore.model.source import open_model
    >>> model = open_model()
    >>> read_recipe(recipe_as_json(plan(model, "Q4_K_M")), model)["token_embd.weight"]
    'Q6_K'
    """
    contents = source if isinstance(source, Contents) else contents_of(source)
    return _types(*_parsed(place), contents)


def plan_of_recipe(
    place: str | Path,
    source: Model | Contents,
    overrides: Sequence[Override] = (),
    *,
    imatrix: bool | None = None,
    **how: Any,
) -> Plan:
    """Plan the file of a recipe.

    Parameters
    ----------
    place, source
        As for `read_recipe`.
    overrides
        Types by name that go before those of the recipe.
    imatrix
        Whether there will be an importance matrix; None: as the recipe says.
    how
        What else `plan` takes.

    Raises
    ------
    ValueError
        As `read_recipe`, or if the recipe's file type is none.
    """
    contents = source if isinstance(source, Contents) else contents_of(source)
    raw, what = _parsed(place)
    types = _types(raw, what, contents)
    if not isinstance(raw.get("type"), str):
        raise ValueError(f'{what} names no file type under "type", as "Q4_K_M".')
    if not isinstance(raw.get("with_imatrix", False), bool):
        raise ValueError(f'{what} says under "with_imatrix" neither true nor false.')
    file_type, pure = file_of(raw["type"])
    others = {name for name, type in types.items() if type != file_type.format}
    if others and not file_type.is_quantized:  # llama-quantize overrides nothing there
        raise ValueError(
            f"{what} speaks of a file of type {file_type.name}, which has one type throughout, "
            f'and gives {min(others)} another: name under "type" what most tensors have.'
        )
    asked = (*overrides, *exactly(types))
    imatrix = raw.get("with_imatrix", False) if imatrix is None else imatrix
    return plan(contents, file_type.name, overrides=asked, pure=pure, imatrix=imatrix, **how)


def _parsed(place: str | Path) -> tuple[dict[str, Any], str]:
    if isinstance(place, Path):
        raw, what = read_json_object(place, MAX_FILE_BYTES), place.name
    else:
        what = "the recipe"
        if len(place) > MAX_FILE_BYTES:
            raise ValueError(f"{what} has {len(place):,} characters, too many for one.")
        raw = parse_json_object(place.encode(errors="replace"), what)
    if raw.get("recipe") != "quantlab" or not isinstance(raw.get("tensors"), list):
        raise ValueError(
            f"{what} is not a recipe of the lab: save one on the page Mix, or by plan --json."
        )
    if raw.get("version") != VERSION:
        raise ValueError(
            f"{what} is a recipe of version {str(raw.get('version'))[:20]}; this lab reads version "
            f"{VERSION}: save it again with the lab at hand."
        )
    return raw, what


def _types(raw: dict[str, Any], what: str, contents: Contents) -> dict[str, str]:
    types: dict[str, str] = {}
    for row in raw["tensors"]:
        if not isinstance(row, dict) or not all(isinstance(row.get(k), str) for k in _ROW):
            raise ValueError(f"{what} has an entry that is not a tensor with a name and a type.")
        name = row["name"]
        if name in types:
            raise ValueError(f"{what} names {name[:80]} twice.")
        types[name] = row["type"].upper()
        _refuse_other_shape(row, what, raw, contents)
    if missing := [name for name in contents.shapes if name not in types]:
        raise ValueError(f"{_of_another(what, raw, contents)}: it says nothing of {missing[0]}.")
    for name, type in types.items():
        _refuse_type(name, type, what, contents.shapes)
    return {n: t for n, t in types.items() if may_quantize(n, contents.shapes[n])}


def _of_another(what: str, raw: dict[str, Any], contents: Contents) -> str:
    return f"{what} is of another model, {str(raw.get('model'))[:80]}, than {contents.name}"


def _refuse_other_shape(
    row: dict[str, Any], what: str, raw: dict[str, Any], contents: Contents
) -> None:
    shape = contents.shapes.get(row["name"])
    if shape is None:
        raise ValueError(f"{_of_another(what, raw, contents)}, which has no {row['name'][:80]}.")
    if "shape" in row and row["shape"] != list(shape):
        raise ValueError(f"{_of_another(what, raw, contents)}: {row['name']} has other sizes.")


def _refuse_type(name: str, type: str, what: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if type not in GGML_TYPES:
        raise ValueError(f"{what} gives {name} a type that there is none of: {type[:40]!r}.")
    if not may_quantize(name, shapes[name]):
        if type not in _KEPT:
            raise ValueError(f"{what} gives {name} the type {type}, but it is never quantized.")
        return
    n_cols, block = shapes[name][-1], GGML_TYPES[type].block_size
    if n_cols % block:
        raise ValueError(
            f"{what} gives {name} the type {type}, but its rows of {n_cols:,} do not divide into "
            f"blocks of {block}: choose another type for it."
        )
