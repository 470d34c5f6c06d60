"""Drift that was measured, kept in a file: it comes back as it was, and is added to."""

from dataclasses import fields, replace

import pytest

from quantcore import ModelError, measure_drift, open_model
from quantcore.evaluate.drift_result import DriftFigures
from quantcore.evaluate.kept_drift import KeptDrift, keep, load, text_digest
from quantcore.evaluate.skills import SkillScore
from tests.support.at_once import at_once
from tests.support.toy_model import write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 6


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    toy = open_model(write_folder(tmp_path_factory.mktemp("kept") / "toy"))
    drifts = {name: measure_drift(toy, name, TEXT, 64) for name in ("Q8_0", "INT4_ROW")}
    return KeptDrift(
        model=toy.name, fingerprint=toy.fingerprint, text="the river",
        text_digest=text_digest(TEXT), context=64, drifts=drifts,
        skills={"Q8_0": [SkillScore("recall", "easy", 3, 4)]},
    )  # fmt: skip


def test_a_file_gives_back_what_was_kept(kept, tmp_path):
    path = tmp_path / "toy.drift.json"
    kept.save(path)
    again = load(path)
    assert again.skills == kept.skills and list(again.drifts) == list(kept.drifts)
    for type, drift in again.drifts.items():
        for each in fields(DriftFigures):
            assert getattr(drift, each.name) == getattr(kept.drifts[type], each.name), each.name
    assert replace(again, drifts={}, skills={}) == replace(kept, drifts={}, skills={})


def test_newer_figures_join_older_ones_of_the_same_weights_and_text_only(kept):
    newer = replace(kept, drifts={"Q4_0": kept.drifts["Q8_0"]}, skills={})
    assert set(kept.with_newer(newer).drifts) == {"Q8_0", "INT4_ROW", "Q4_0"}
    for change in ({"fingerprint": "other"}, {"text_digest": "other"}, {"context": 128}):
        assert set(kept.with_newer(replace(newer, **change)).drifts) == {"Q4_0"}


def test_who_measures_at_the_same_time_loses_nothing(kept, tmp_path):
    path, drift = tmp_path / "toy.drift.json", kept.drifts["Q8_0"]
    types = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M")
    at_once(lambda i: keep(path, replace(kept, drifts={types[i]: drift})))
    assert set(load(path).drifts) == set(types)
    path.write_text("damaged")
    keep(path, kept)
    assert set(load(path).drifts) == set(kept.drifts)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ('"drifts"', '"drafts"'),
        ('"Q8_0": {', '"Q8_9": {'),
        ('"mean_kl_divergence": ', '"mean_kl_divergence": 1e999, "unknown": '),
        ('"perplexity": ', '"perplexity": "much", "unknown": '),
        ("{", "["),
    ],
)
def test_a_file_that_holds_something_else_is_one_sentence(kept, tmp_path, said, instead):
    path = tmp_path / "toy.drift.json"
    kept.save(path)
    path.write_text(path.read_text(encoding="utf-8").replace(said, instead, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=r"^[^\n]+\.$"):
        load(path)
