"""Known models, by their Hugging Face id: their config.json and count, in assets/presets.json."""

import json
from functools import cache
from pathlib import Path

from quantcore.shape.configs import shape_from_json
from quantcore.shape.model_shape import ModelShape

PRESETS = Path(__file__).resolve().parents[2] / "assets" / "presets.json"


@cache
def preset_ids() -> tuple[str, ...]:
    """Ids of all known models, smallest first."""
    return tuple(_entries())


@cache
def preset(model_id: str) -> ModelShape:
    """Shape of a known model; its name is the id's last part, which will do for the id too.

    Raises
    ------
    KeyError
        If there is none of this id.
    """
    entry = _entry(model_id)
    return shape_from_json(
        entry["config"],
        entry["id"].split("/")[1],
        f"config.json of {entry['id']}",
        published_weights=entry["published_weights"],
        extras=entry["extras"],
    )


def preset_config(model_id: str) -> dict:
    """Give a known model's config.json, parsed; only what decides about sizes is in it."""
    return dict(_entry(model_id)["config"])


def _entry(model_id: str) -> dict:
    entries = _entries()
    by_name = {known.split("/")[1]: known for known in entries}
    return entries[by_name.get(model_id, model_id)]


@cache
def _entries() -> dict[str, dict]:
    entries = json.loads(PRESETS.read_text(encoding="utf-8"))
    return {entry["id"]: entry for entry in entries}
