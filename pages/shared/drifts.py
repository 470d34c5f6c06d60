"""Drift that pages know: shipped with the lab, and kept on this machine.

What was measured here is kept as sweeps are, by the model's files, the text and its chunks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from pages.shared import kept, shipped, texts
from quantcore.evaluate import kept_drift
from quantcore.evaluate.drift_result import DriftFigures
from quantcore.evaluate.kept_drift import KeptDrift
from quantcore.evaluate.skills import SkillScore
from quantcore.evaluate.text import evaluation_text
from quantcore.model.source import Model

ENDING = ".drift.json"


@dataclass(frozen=True)
class Results:
    """Drift and skills by type."""

    drifts: Mapping[str, DriftFigures] = field(default_factory=dict)
    skills: Mapping[str, Sequence[SkillScore]] = field(default_factory=dict)
    stale: bool = False  # of another version of the model


def results(model: Model, text: str, context: int) -> Results:
    """Return what is known of a model on a text: shipped, and measured here since."""
    mine = _cached(path := path_for(model, text, context), kept.changed(path))
    drifts = mine.drifts if mine else {}
    skills = mine.skills if mine else {}
    if not shipped.is_measured(model.name) or text != evaluation_text():
        return Results(drifts, skills)
    known = shipped.measured(model.name)
    stale = known.stale and not drifts
    return Results({**known.drifts, **drifts}, {**known.skills, **skills}, stale)


def on_its_text(model: Model) -> Results:
    """Return what is known of a model on the text that suits it."""
    text = texts.to_judge_on(texts.suited(model.name))
    return results(model, text, texts.length(model.name, text).context)


def keep(model: Model, text: str, measured: KeptDrift) -> None:
    """Keep what was measured, beside what is kept of the same model on the same text."""
    kept_drift.keep(path_for(model, text, measured.context), measured)


def path_for(model: Model, text: str, context: int) -> Path:
    """Name the file that keeps what is measured of a model on a text, in chunks of a length."""
    return kept.path_for(model, ENDING, kept_drift.text_digest(text), context)


@st.cache_resource(show_spinner=False, max_entries=64)
def _cached(path: Path, changed: tuple[int, int, int]) -> KeptDrift | None:
    return kept_drift.find(path)
