"""Sizes of known models, kept in assets/presets.json."""

import json
from functools import cache
from pathlib import Path

from quantcore.memory.shape import ModelShape, shape_from_preset

PRESETS = Path(__file__).resolve().parents[2] / "assets" / "presets.json"


@cache
def presets() -> dict[str, ModelShape]:
    """Known models by name, smallest first; each says in `source` where its sizes come from."""
    entries = json.loads(PRESETS.read_text(encoding="utf-8"))
    return {entry["name"]: shape_from_preset(entry) for entry in entries}
