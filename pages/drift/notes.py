"""What the page says before its charts: of the model, and of figures that are old or missing."""

from collections.abc import Sequence

from pages.drift import words
from pages.drift.texts import Text
from pages.shared import look, model_types, stored
from pages.shared.drifts import Results
from quantcore.model.source import Model


def show(known: Results, model: Model, types: Sequence[str], chosen: str, text: Text) -> None:
    """Say what is stored, and what of the figures is old, missing, or no change at all."""
    stored.note(model)
    if known.stale:
        look.note(words.STALE)
    if copies := model_types.copies(model, chosen):
        look.note(copies)
    if missing := [name for name in types if name not in known.drifts]:
        look.note(words.missing(missing, text.says))
