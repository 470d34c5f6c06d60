"""The folder of a model with outlier channels: one small file that names its base and the settings.

    outliers.json    {"base": "fable-7m",        a shipped model, or what lies beside the folder
                      "settings": {...},         of `OutlierSettings`
                      "direction": [...]}        of the states, only where they are rotated

What else lies there is as in any model's folder: imatrix.gguf.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantcore.io import ModelError
from quantcore.io.strict_json import read_json_object
from quantcore.io.writing import write_whole
from quantcore.model.outliers.settings import OutlierSettings
from quantcore.model.shipped import SHIPPED, shipped_folder

FILE = "outliers.json"


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """What a folder says: a model, and the outlier channels that it is given."""

    base: Path  # a model's folder, or a GGUF file
    settings: OutlierSettings
    direction: NDArray[np.float64] | None = None  # (hidden_size,), of the states


def is_recipe(folder: Path) -> bool:
    """Whether a folder holds a model with outlier channels."""
    return (folder / FILE).is_file()


def read_recipe(folder: Path) -> Recipe:
    """Read what a folder says.

    Raises
    ------
    ModelError
        One sentence that says what is wrong with its file.
    """
    raw = read_json_object(folder / FILE)
    settings, direction = raw.get("settings"), raw.get("direction")
    if not isinstance(settings, dict):
        raise ModelError(f"{FILE} in {folder.name} lacks the object 'settings'.")
    read = OutlierSettings.read(settings, f"{FILE} in {folder.name}")
    return Recipe(_base(folder, raw.get("base")), read, _direction(folder, direction))


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """Write the file, whole; the base must be a shipped model or lie beside the folder.

    Raises
    ------
    ValueError
        If the base lies elsewhere.
    """
    base = recipe.base.absolute()
    if base.parent != folder.absolute().parent and base != shipped_folder(base.name):
        raise ValueError(
            f"{base.name} and {folder.name} must be in one folder: move one of the two there."
        )
    content = {"base": base.name, "settings": recipe.settings.written()}
    if recipe.direction is not None:
        content["direction"] = np.asarray(recipe.direction, np.float64).tolist()
    folder.mkdir(exist_ok=True)
    write_whole(folder / FILE, json.dumps(content, indent=2) + "\n")


def _base(folder: Path, name: object) -> Path:
    if not isinstance(name, str) or not name or Path(name).name != name or name == folder.name:
        raise ModelError(f"{FILE} in {folder.name} should name its base, a model beside it.")
    beside = folder.parent / name
    found = beside if beside.exists() or name not in SHIPPED else shipped_folder(name)
    if found.is_dir() and is_recipe(found):
        raise ModelError(f"{name}, the base of {folder.name}, has outlier channels itself.")
    return found


def _direction(folder: Path, raw: object) -> NDArray[np.float64] | None:
    if raw is None:
        return None
    try:
        direction: NDArray[np.float64] = np.array(raw, np.float64)
    except (TypeError, ValueError) as problem:
        raise ModelError(f"{FILE} in {folder.name} has a direction of no numbers.") from problem
    if direction.ndim != 1 or not np.isfinite(direction).all() or not direction.any():
        raise ModelError(f"{FILE} in {folder.name} has a direction that is none.")
    return direction
