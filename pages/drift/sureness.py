"""Divergence by how sure the original was, beside the noise floor."""

from collections.abc import Sequence

import streamlit as st

from pages.drift import charts, sureness_words
from pages.drift.texts import Text
from pages.shared import bench, look, shipped
from quantcore.evaluate.sureness import SureBin, sureness_of
from quantcore.evaluate.text import evaluation_text
from quantcore.model.source import Model


def show(model: Model, chosen: str, text: Text) -> None:
    """Draw the divergence of a type by the original's own probability, where tokens were kept.

    They are for what ships with the lab; of what is measured here only figures are kept.
    """
    if not shipped.is_measured(model.name) or text.words != evaluation_text():
        return
    bins = _bins(model.name, chosen)
    if not bins:
        return
    floor = _floor(model.name)
    st.space("small")
    look.finding(sureness_words.finding(chosen, bins, floor), sureness_words.how_to_read(floor))
    look.show(
        charts.by_sureness(bins, floor, chosen, look.current(), narrow=look.narrow()),
        key="drift_sureness",
        alt=f"Divergence of {chosen} in {len(bins)} bins of the original's top probability"
        f"{', above the noise floor' if floor else ''}.",
    )


@bench.per_model(st.cache_data, max_entries=32)
def _bins(model_name: str, type_name: str) -> Sequence[SureBin]:
    """Return the bins of a type; none where its tokens were not kept, or of another model."""
    known = shipped.measured(model_name)
    drift = known.drifts.get(type_name)
    return () if known.stale or drift is None else sureness_of(drift.per_token)


def _floor(model_name: str) -> Sequence[SureBin]:
    """Return the bins of the noise floor; none where there is none, or of another model."""
    if not shipped.has_caches(model_name):
        return ()
    known = shipped.caches(model_name)
    return () if known.stale else known.floor.by_sureness
