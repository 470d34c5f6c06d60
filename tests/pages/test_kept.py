"""Where measurements are kept: elsewhere with a sentence where the folder cannot be, and again."""

import shutil

import pytest

from pages.shared import bench, drifts, kept
from quantcore import scratch
from quantcore.evaluate.kept_drift import KeptDrift
from tests.support.toy_model import write_folder


def test_where_nothing_can_be_written_a_sentence_says_where_it_is_kept(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("QUANTLAB_RESULTS", str(tmp_path / "file"))
    monkeypatch.setattr(kept, "_say", kept._say.__wrapped__)
    assert kept.folder().is_relative_to(scratch.own_folder())
    assert "kept only until the server ends: " in caplog.text and "file" in caplog.text


@pytest.mark.parametrize("name", ["toy", "x" * 255, "\u00e9" * 127])
def test_a_model_of_any_name_keeps_what_was_measured_also_in_a_folder_cleared_away(
    tmp_path, monkeypatch, name
):
    monkeypatch.setenv("QUANTLAB_RESULTS", str(tmp_path / "kept"))
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    write_folder(tmp_path / name)
    model = bench.model(name)
    measured = KeptDrift(
        model=name, fingerprint="f", text="t", text_digest="d", context=64, drifts={}
    )
    for _ in range(2):
        drifts.keep(model, "a text", measured)
        path = drifts.path_for(model, "a text", 64)
        assert path.exists() and path.name.startswith(kept.prefix(model))
        shutil.rmtree(tmp_path / "kept")
