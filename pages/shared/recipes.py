"""What recipes cost a whole model, as pages know it: shipped with the lab, and measured here.

What was measured here is kept by the model's files, the text, its chunks, and the text that methods
saw. The row and the mark of a recipe are the same wherever they are drawn.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from pages.shared import bench, kept, texts
from pages.shared.charts.plane import Mark
from pages.shared.units import number
from quantcore.evaluate import kept_recipes, measured_recipes
from quantcore.evaluate.kept_drift import text_digest
from quantcore.evaluate.recipes import MethodDrift, Recipe
from quantcore.evaluate.text import evaluation_text
from quantcore.io import ModelError
from quantcore.methods import METHODS
from quantcore.model.shipped import shipped_name
from quantcore.model.source import Model
from quantcore.recipe.types import get_type

ENDING = ".recipes.json"


@bench.per_model(st.cache_resource, show_spinner=False, max_entries=4)
def shipped_rows(model_name: str) -> tuple[MethodDrift, ...]:
    """Read what recipes cost a shipped model on its text; nothing for any other."""
    name = shipped_name(bench.model(model_name).path)
    if not name:
        return ()
    try:
        known = measured_recipes.load(name)
    except ModelError:
        return ()
    return () if known.stale else known.rows


def known(model: Model, text: str) -> Mapping[str, MethodDrift]:
    """Return what is known of a model on a text, by name: shipped, and measured here since."""
    path = path_for(model, text)
    mine = _cached(path, kept.changed(path))
    if text != evaluation_text():
        return mine
    context = texts.length(model.name, text).context
    beside = {row.recipe.name: row for row in shipped_rows(model.name) if row.context == context}
    return {**beside, **mine}


def measured_here(model: Model, text: str) -> Mapping[str, MethodDrift]:
    """Return what was measured on this machine, by name."""
    path = path_for(model, text)
    return _cached(path, kept.changed(path))


def keep(model: Model, text: str, rows: Sequence[MethodDrift]) -> None:
    """Keep what was measured, beside what is kept of the same model on the same text."""
    kept_recipes.keep(path_for(model, text), model.fingerprint, rows)


def path_for(model: Model, text: str) -> Path:
    """Name the file that keeps what recipes cost a model on a text."""
    context = texts.length(model.name, text).context
    _, seen = texts.to_choose_by(texts.suited(model.name))
    return kept.path_for(model, ENDING, text_digest(text), context, text_digest(seen))


@st.cache_resource(show_spinner=False, max_entries=64)
def _cached(path: Path, changed: tuple[int, int, int]) -> Mapping[str, MethodDrift]:
    return kept_recipes.find(path)


def called(recipe: Recipe) -> str:
    """Name a recipe as people read it.

    >>> called(Recipe(type="NF4", by="gptq")), called(Recipe(type="Q4_K_M", with_imatrix=True))
    ('NF4 by GPTQ', 'Q4_K_M with imatrix')
    """
    return recipe.name if recipe.by == "rtn" else f"{recipe.type} by {METHODS[recipe.by].title}"


def mark(row: MethodDrift, name: str = "", chosen: bool = False) -> Mark:
    """Make the mark of a recipe in the plane of bits and divergence, with its interval."""
    by = f"<b>{METHODS[row.by].title}</b> to {row.type}"
    return Mark(
        by=row.by,
        type=row.type,
        bits_per_weight=row.bits_per_weight,
        error=row.mean_kl_divergence,
        low=row.kl_low,
        high=row.kl_high,
        tip=f"{by}{' with imatrix' * row.with_imatrix}<br>{row.bits_per_weight:.3f} bits per "
        f"weight<br>{number(row.mean_kl_divergence)} nats per token",
        name=name,
        joined=get_type(row.type).mix is None,  # a mix is no step between two formats
        chosen=chosen,
    )
