"""What was measured of the shipped model's cache and of its noise, kept beside it.

    assets/<model>/measured/cache.json     divergence by types of keys and values, and context;
                                           the noise floor

`python -m quantcore measure --caches` writes it.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from quantcore.evaluate.cache_drift import CacheDrift, measure_cache_steps
from quantcore.evaluate.measured import key
from quantcore.evaluate.noise_floor import NoiseFloor, noise_floor_steps
from quantcore.evaluate.sureness import SureBin
from quantcore.evaluate.text import evaluation_text
from quantcore.io import ModelError
from quantcore.io.writing import write_whole
from quantcore.model.cache_types import CACHE_TYPES, FLOATS, TURBO, CacheTypes
from quantcore.model.shipped import SHIPPED, shipped_folder
from quantcore.model.source import open_model
from quantcore.progress import Progress

CONTEXTS = (128, 256, 512)  # the last is the model's own
N_CHARACTERS = 48_000  # of the evaluation text: enough for one standard error of 5 to 10 %
FLOOR_CONTEXT = 512  # of the drifts in measured.json


def shipped_caches() -> list[CacheTypes]:
    """Every type for keys, for values and for both, the others in llama.cpp's F16.

    Those that llama.cpp rotates without rotation, too.
    """
    caches = [CacheTypes("F16", "F16"), CacheTypes("BF16", "BF16"), CacheTypes("Q8_0", "Q4_0")]
    for name in (name for name in CACHE_TYPES if name not in FLOATS):
        for pair in ((name, "F16"), ("F16", name), (name, name)):
            caches += [
                CacheTypes(*pair, rotation=r) for r in (True, False) if r or name not in TURBO
            ]
    return caches


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedCaches:
    """What `measure_caches_steps` wrote."""

    stale: bool  # measured on another model or text than lies there now
    caches: tuple[CacheDrift, ...]  # of all `CONTEXTS`, on the first characters of the text
    floor: NoiseFloor  # on all of it


def measure_caches_steps(name: str = SHIPPED[0]) -> Iterator[Progress[Path]]:
    """Measure the shipped model with all `shipped_caches`, and write the file at the end."""
    model, before = open_model(name), key(name)
    text = evaluation_text()[:N_CHARACTERS]
    for step in measure_cache_steps(model, shipped_caches(), text, CONTEXTS):
        yield Progress(0.95 * step.share, step.stage)
    for last in noise_floor_steps(model, context=FLOOR_CONTEXT):
        yield Progress(0.95 + 0.05 * last.share, last.stage)
    path = shipped_folder(name) / "measured" / "cache.json"
    rows = ",\n".join(f"  {json.dumps(asdict(row))}" for row in step.known)
    floor = json.dumps(asdict(last.known))
    write_whole(
        path, f'{{\n "key": "{before}",\n "caches": [\n{rows}\n ],\n "floor": {floor}\n}}\n'
    )
    yield Progress(1.0, "done", path)


def load(name: str = SHIPPED[0]) -> ShippedCaches:
    """Read what was measured of the shipped model.

    Raises
    ------
    ModelError
        If nothing was measured yet, or the file cannot be read.
    """
    try:
        path = shipped_folder(name) / "measured" / "cache.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        bins = tuple(SureBin(**row) for row in raw["floor"].pop("by_sureness"))
        return ShippedCaches(
            stale=raw["key"] != key(name),
            caches=tuple(CacheDrift(**row) for row in raw["caches"]),
            floor=NoiseFloor(**raw["floor"], by_sureness=bins),
        )
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(
            "Nothing readable was measured of the shipped model's cache: run python -m quantcore "
            "measure --caches."
        ) from problem
