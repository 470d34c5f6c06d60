"""What methods cost a shipped model as a whole, kept beside it.

`python -m quantcore measure [MODEL] --recipes` writes assets/<model>/measured/recipes.json:

    key        digest of the model and the text, as in `measured`
    columns    names of `MethodDrift`'s fields; files from before a field was measured lack it
    rows       a list for each of `RECIPES`
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from quantcore.evaluate.measured import key
from quantcore.evaluate.method_drift import method_drift_steps
from quantcore.evaluate.recipes import MethodDrift, Recipe, from_json, to_json
from quantcore.io import ModelError
from quantcore.io.writing import write_whole
from quantcore.model.shipped import SHIPPED, shipped_folder
from quantcore.model.source import open_model
from quantcore.progress import Progress

INTEGERS = ("INT4_G128_ASYM", "INT3_G128_ASYM", "INT2_G64_ASYM")
K_QUANTS = ("Q4_K pure", "Q3_K pure", "Q2_K pure")
RECIPES = (
    *(Recipe(type=t, by=by) for t in INTEGERS for by in ("rtn", "gptq", "awq", "hqq", "autoround")),
    *(Recipe(type=t, by=by) for t in K_QUANTS for by in ("rtn", "gptq")),
    *(Recipe(type=t, by="quip") for t in ("E8P4", "E8P3", "E8P2")),
    *(Recipe(type=t) for t in ("Q6_K", "Q4_K_M")),
    Recipe(type="Q4_K_M", with_imatrix=True),
)


@dataclass(frozen=True, slots=True)
class ShippedRecipes:
    """What `measure_recipes_steps` wrote."""

    stale: bool  # measured on another model or text than lies there now
    rows: tuple[MethodDrift, ...]


def measure_recipes_steps(name: str = SHIPPED[0]) -> Iterator[Progress[Path]]:
    """Measure a shipped model with all `RECIPES`, and write the file at the end."""
    before = key(name)
    for step in method_drift_steps(open_model(name), RECIPES, with_skills=True):
        yield Progress(step.share, step.stage)
    columns = [each.name for each in fields(MethodDrift)]
    kept = [to_json(row) for row in step.known]
    rows = ",\n".join(f"  {json.dumps([row[each] for each in columns])}" for row in kept)
    path = shipped_folder(name) / "measured" / "recipes.json"
    path.parent.mkdir(exist_ok=True)
    head = f' "key": "{before}",\n "columns": {json.dumps(columns)}'
    write_whole(path, f'{{\n{head},\n "rows": [\n{rows}\n ]\n}}\n')
    yield Progress(1.0, "done", path)


def load(name: str = SHIPPED[0]) -> ShippedRecipes:
    """Read what was measured of a shipped model.

    Raises
    ------
    ModelError
        If nothing was measured yet, or the file cannot be read.
    """
    try:
        path = shipped_folder(name) / "measured" / "recipes.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(from_json(dict(zip(raw["columns"], row, strict=True))) for row in raw["rows"])
        return ShippedRecipes(stale=raw["key"] != key(name), rows=rows)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(
            f"Nothing readable was measured of {name} by methods: run python -m quantcore measure "
            f"{name} --recipes."
        ) from problem
