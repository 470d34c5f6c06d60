"""A model file that is replaced under its name is read anew by every page of one server."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

import pages.layer_error.cache as layer_error
import pages.scales.cache as scales
import pages.weights.cache as weights
from pages.shared import bench, plans, tensors
from quantcore import ModelError, open_model, plan
from quantcore.io.imatrix import Imatrix, write_imatrix
from quantcore.recipe.quantize import quantize
from tests.support.app import drawn_charts, findings, visit
from tests.support.toy_model import CONFIG, write_folder

TENSOR = "blk.1.ffn_down.weight"
CACHED = {
    "bench.model": lambda name: bench.model(name).weights(TENSOR),
    "tensors.weights": lambda name: tensors.weights(name, TENSOR),
    "tensors.packed, as stored": lambda name: tensors.packed(name, TENSOR, "Q4_0"),
    "tensors.packed": lambda name: tensors.packed(name, TENSOR, "Q5_0"),
    "tensors.tensor_error": lambda name: tensors.tensor_error(name, TENSOR, "Q4_0"),
    "weights.tensor_statistics": lambda name: weights.tensor_statistics(name, TENSOR),
    "weights.model_statistics": lambda name: weights.model_statistics(name),
    "weights.weight_counts": lambda name: weights.weight_counts(name, TENSOR, 21),
    "weights.tail_shares": lambda name: weights.tail_shares(name, TENSOR, (1.0, 2.0)),
    "weights.ranges": lambda name: weights.ranges(name, TENSOR, 0),
    "scales.scale_factors": lambda name: scales.scale_factors(name, TENSOR, "Q4_0"),
    "layer_error.row_errors": lambda name: layer_error.row_errors(name, TENSOR, "Q4_0"),
    "layer_error.model_errors": lambda name: layer_error.model_errors(name, "Q4_0"),
}

PAGES = {
    "weights": {},
    "block": {"type": "Q4_0"},
    "scales": {"type": "Q4_0"},
    "layer_error": {"type": "Q4_0", "types": "Q8_0"},
    "mix": {},
    "file": {},
}


def _write(path, file_type, seed, folder):
    """Write a toy model as a GGUF file; `seed` makes its weights."""
    wide = CONFIG | {"hidden_size": 256, "intermediate_size": 256}
    model = open_model(write_folder(folder / f"toy-{seed}", wide, seed=seed))
    quantize(model, plan(model, file_type), path)


@pytest.fixture
def replaced(tmp_path, monkeypatch):
    """Lay out a model file; calling the result replaces it, and lays the new one beside it too."""
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setattr(bench, "OWN_MODELS", models)
    own = models / "own.gguf"
    _write(own, "Q8_0", 1, tmp_path)
    before = own.stat()

    def replace(file_type):
        new = tmp_path / "new.gguf"
        _write(new, file_type, 2, tmp_path)
        shutil.copy(new, models / "same.gguf")
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))  # its date says nothing
        new.replace(own)

    return replace


def _plain(value):
    """Turn what a cache gives into lists and numbers, which compare."""
    if dataclasses.is_dataclass(value):
        return [_plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("file_type", ["Q4_0", "Q8_0"])  # of another size, and of the same
def test_what_was_cached_of_the_old_file_is_not_the_new_ones(replaced, file_type):
    old = {called: _plain(of("own.gguf")) for called, of in CACHED.items()}
    replaced(file_type)
    for called, of in CACHED.items():
        new = _plain(of("own.gguf"))
        assert new == _plain(of("same.gguf")), f"{called} is not what the new file holds"
        assert new != old[called], f"{called} is still what the old file held"


def test_a_matrix_that_is_laid_beside_the_model_since_is_found(replaced):
    assert not plans.fitting("own.gguf", "IQ2_XXS pure").formats
    sums, counts = np.ones((1, 256), np.float32), np.ones(1, np.float32)
    measured = Imatrix(sums={TENSOR: sums}, counts={TENSOR: counts})
    write_imatrix(bench.OWN_MODELS / "own.imatrix.gguf", measured)
    assert list(plans.fitting("own.gguf", "IQ2_XXS pure").formats) == [TENSOR]
    assert list(layer_error.model_errors("own.gguf", "IQ2_XXS pure")) == [TENSOR]


def _shown(page, model):
    """Return what a page says and draws of a model, its name left out."""
    app = visit(page, model=model, **PAGES[page])
    assert not app.error
    tables = [html.proto.body for html in app.get("html")]
    return json.dumps([findings(app), drawn_charts(app), tables]).replace(model, "")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_new_file(replaced, page):
    old = _shown(page, "own.gguf")
    replaced("Q4_0")
    new = _shown(page, "own.gguf")
    assert new == _shown(page, "same.gguf")
    assert new != old


@pytest.mark.parametrize("page", ["weights", "block", "layer_error"])
def test_a_file_that_is_cut_short_or_overwritten_in_place_is_one_sentence(replaced, page):
    """Its inode stays, as with `cp`: what was mapped of it would end the server."""
    own = bench.OWN_MODELS / "own.gguf"
    before, whole = _shown(page, "own.gguf"), own.read_bytes()
    held = bench.model("own.gguf")
    own.write_bytes(whole[:-2000])
    for _ in range(2):
        cut = visit(page, model="own.gguf", **PAGES[page])
        assert [error.value for error in cut.error] and not cut.exception
        assert all("\n" not in error.value for error in cut.error)
    own.write_bytes(whole)
    with pytest.raises(ModelError, match=r"own\.gguf has changed since it was opened"):
        held.weights(TENSOR)  # as a run does that was begun before
    assert _shown(page, "own.gguf") == before
