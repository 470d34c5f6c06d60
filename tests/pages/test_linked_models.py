"""A model is what was opened: a link keeps its own name, and figures are of its weights."""

import dataclasses
import shutil

import pytest

from pages.shared import bench, shipped, sweeps
from quantcore import open_model
from quantcore.evaluate import measured
from tests.engine.io.test_gguf_parts import SHARES, write_parts
from tests.support.app import findings, said, sentences, visit
from tests.support.gguf_models import write
from tests.support.toy_model import CONFIG, write_folder

PAGES = ("weights", "block", "scales", "layer_error", "drift", "mix", "imatrix", "sensitivity")


@pytest.fixture
def linked(tmp_path, monkeypatch):
    """Link models/river to a folder that has the name of the shipped model, and river.gguf too."""
    models, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    models.mkdir()
    elsewhere.mkdir()
    wide = CONFIG | {"hidden_size": 256, "intermediate_size": 256}
    folder = write_folder(elsewhere / bench.shipped(), wide)
    (models / "river").symlink_to(folder)
    write(open_model(folder), elsewhere / "0a1b2c", "Q8_0")  # as the Hub's client keeps files
    (models / "river.gguf").symlink_to(elsewhere / "0a1b2c")
    monkeypatch.setattr(bench, "OWN_MODELS", models)
    return models


def test_a_link_keeps_its_name(linked):
    for name in ("river", "river.gguf"):
        assert open_model(linked / name).name == bench.model(name).name == name
    assert open_model(linked / "river").fingerprint == open_model(linked / "river").fingerprint
    other = write_folder(linked.parent / "other", seed=1)
    before = bench.model("river").key
    (linked / "river").unlink()
    (linked / "river").symlink_to(other)
    assert bench.model("river").key != before


def test_a_link_to_one_part_leads_to_all(linked, tmp_path):
    write_parts(tmp_path / "elsewhere", {"general.architecture": "llama"}, SHARES)
    (linked / "one.gguf").symlink_to(tmp_path / "elsewhere" / f"m-00001-of-{len(SHARES):05d}.gguf")
    app = visit("file", model="river", file="one.gguf")
    assert not sentences(app) and "one.gguf" in said(app)


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_a_linked_model_and_no_figure_of_its_namesake(linked, page):
    app = visit(page, model="river", type="Q8_0")
    assert not sentences(app)
    if page in ("drift", "sensitivity"):
        own = visit(page, model=bench.shipped(), type="Q8_0")
        assert findings(app)[0] != findings(own)[0]


def test_results_are_of_the_weights_and_not_of_the_name(linked):
    model = bench.model("river")
    known = shipped.sensitivity(bench.shipped())

    def of_model(**source):
        results = dataclasses.replace(known, source=dataclasses.replace(known.source, **source))
        return sweeps._fits(results, model) and sweeps._is_of(results, model)

    assert not of_model(model="river")
    assert not of_model(model="river", fingerprint=model.fingerprint)  # of other tensors
    own = bench.model(bench.shipped())
    assert sweeps._is_of(known, own) and sweeps.every(own)[sweeps.label_of(known)].of_model


def test_figures_of_the_shipped_model_are_old_once_its_weights_are_others(tmp_path, monkeypatch):
    folder = tmp_path / "assets" / "tale"
    shutil.copytree(bench.sources()[bench.shipped()], folder)
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    for module in (measured, shipped.sensitivity_files):
        monkeypatch.setattr(module, "shipped_folder", lambda name="tale": folder)
    assert not shipped.measured("tale").stale
    assert next(iter(sweeps.every(bench.model("tale")).values())).of_model
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert shipped.measured("tale").stale
    assert not any(each.of_model for each in sweeps.every(bench.model("tale")).values())
