"""What recipes cost a model on a text, measured on this machine, and the file that keeps it.

One JSON object, written whole beside its place and renamed. Its fields:

    fingerprint          digest of the weights (`Model.fingerprint`)
    rows                 a `MethodDrift` for each recipe, the newest of it
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from quantcore.evaluate.recipes import MethodDrift, from_json, to_json
from quantcore.io import ModelError
from quantcore.io.strict_json import read_json_object
from quantcore.io.writing import write_whole
from quantcore.scratch import locked

MAX_FILE_BYTES = 2**26


def keep(path: Path, fingerprint: str, rows: Sequence[MethodDrift]) -> None:
    """Add recipes to what a file holds of the same weights by now, and write it whole."""
    with locked(path.parent):
        known = {**find(path, fingerprint), **{row.recipe.name: row for row in rows}}
        content = {"fingerprint": fingerprint, "rows": [to_json(row) for row in known.values()]}
        write_whole(path, json.dumps(content) + "\n")


def find(path: Path, fingerprint: str | None = None) -> Mapping[str, MethodDrift]:
    """Read the recipes of a file by name; none where it is of other weights, or no such file."""
    try:
        raw = read_json_object(path, MAX_FILE_BYTES)
        if fingerprint not in (None, raw["fingerprint"]):
            return {}
        rows = [from_json(row) for row in raw["rows"]]
    except (AttributeError, KeyError, ModelError, OSError, TypeError, ValueError):
        return {}
    return {row.recipe.name: row for row in rows}
