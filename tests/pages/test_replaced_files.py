"""A file that is replaced under its name is read anew: what is kept never speaks of the old one."""

import os

import numpy as np
import pytest
import streamlit as st

from pages.file import cache as file_cache
from pages.memory import cache as memory_cache
from pages.shared import bench
from quantcore import open_model
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.gguf import read_gguf
from tests.engine.io.test_gguf_parts import write_parts
from tests.support.gguf_models import write
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

NAME = "toy.gguf"
WIDE = CONFIG | {"hidden_size": 256, "intermediate_size": 256}  # rows divide into blocks


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Lay out a folder, toy, and a file made of it, toy.gguf, in Q4_0."""
    write(open_model(write_folder(tmp_path / "toy", WIDE)), tmp_path / NAME, "Q4_0")
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    return tmp_path


def _replace(path, content):
    """Put other content under a file's name, as downloads do: written beside, then renamed."""
    beside = path.with_name("beside.tmp")
    beside.write_bytes(content)
    os.replace(beside, path)


def _changed(path):
    """Change the last byte, which is a weight's: same size, same date."""
    content, status = bytearray(path.read_bytes()), path.stat()
    content[-1] ^= 1
    _replace(path, bytes(content))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert path.stat().st_mtime_ns == status.st_mtime_ns


def _in_type(models, file_type):
    """Write another type under the same name."""
    write(open_model(models / "toy"), models / "other", file_type)
    _replace(models / NAME, (models / "other").read_bytes())


def _rows_of(folder):
    return {error.name: error.noise for error in file_cache.errors_of_file(NAME, folder)}


def test_a_header_is_read_anew(models):
    assert file_cache.header(NAME).promise.file_type.name == "Q4_0"
    _in_type(models, "Q8_0")
    file, promise = file_cache.header(NAME)
    assert promise.file_type.name == "Q8_0"
    assert {tensor.type for tensor in promise.tensors} == {"Q8_0", "F32"}
    assert file.file_bytes == (models / NAME).stat().st_size


def test_errors_of_a_file_follow_the_file(models):
    before = _rows_of("toy")
    _in_type(models, "Q8_0")
    after = _rows_of("toy")
    assert all(after[name] < before[name] / 2 for name in before)


def test_errors_of_a_file_follow_a_weight_that_changed_in_a_file_of_the_same_size(models):
    before = _rows_of("toy")
    stored = read_gguf(models / NAME).tensors
    name, last = [pair for pair in stored.items() if pair[1].type == "Q4_0"][-1]
    content = bytearray((models / NAME).read_bytes())
    content[last.start_byte + last.n_bytes - 1] ^= 0xFF
    _replace(models / NAME, bytes(content))
    after = _rows_of("toy")
    assert [each for each in before if before[each] != after[each]] == [name]


def test_errors_follow_the_original_too(models):
    """The original is a folder: its safetensors are replaced by others of the same size."""
    of_file, of_plan = _rows_of("toy"), file_cache.errors_of_plan("toy", "toy", "Q8_0", False)
    weights = models / "toy" / "model.safetensors"
    write_safetensors(models / "other", tensors(WIDE, seed=1))
    assert (models / "other").stat().st_size == weights.stat().st_size
    _replace(weights, (models / "other").read_bytes())
    for name, noise in _rows_of("toy").items():
        assert noise > 10 * of_file[name], "the file is still of the old weights"
    again = file_cache.errors_of_plan("toy", "toy", "Q8_0", False)
    assert all(one.signal != other.signal for one, other in zip(of_plan, again, strict=True))


def test_a_planned_file_follows_the_original_alone(models):
    """The second of two models counts as much as the first."""
    write_folder(models / "twin", WIDE)
    before = file_cache.errors_of_plan("toy", "twin", "Q8_0", False)
    write_folder(models / "twin", WIDE, seed=1)
    after = file_cache.errors_of_plan("toy", "twin", "Q8_0", False)
    assert all(one.noise * 10 < other.noise for one, other in zip(before, after, strict=True))


def test_what_would_be_written_follows_the_folder(models):
    read = (file_cache.planned_header, file_cache.written_header, memory_cache.on_bench)
    more = (("Q8_0", False), ("Q8_0", False), ())
    before = [one("toy", *arguments) for one, arguments in zip(read, more, strict=True)]
    layers = WIDE["num_hidden_layers"]
    write_folder(models / "toy", WIDE | {"num_hidden_layers": layers + 1})
    planned, written, model = (one("toy", *rest) for one, rest in zip(read, more, strict=True))
    for old, new in zip(before[:2], (planned, written), strict=True):
        assert len(new.promise.tensors) > len(old.promise.tensors)
        assert new.file.metadata["llama.block_count"] == layers + 1
    assert (before[2].shape.n_layers, model.shape.n_layers) == (layers, layers + 1)


def test_memory_counts_the_file_that_is_there(models):
    before = memory_cache.on_bench(NAME).stored.total_bytes
    _in_type(models, "Q8_0")
    assert memory_cache.on_bench(NAME).stored.total_bytes > 1.5 * before


def _split(models, file_type):
    """Cut a file in two: part-00001-of-00002.gguf has the first five tensors."""
    whole = read_gguf(write(open_model(models / "toy"), models / f"whole-{file_type}", file_type))
    metadata = {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in whole.metadata.items()
    }
    stored = [
        (name, (list(reversed(t.shape)), GGML_TYPES[t.type].number, t.packed().tobytes()))
        for name, t in whole.tensors.items()
    ]
    write_parts(models, metadata, [dict(stored[:5]), dict(stored[5:])])
    return models / "m-00002-of-00002.gguf"


def test_one_part_of_a_split_file_can_be_replaced(models):
    first = _split(models, "Q4_0").name.replace("00002-of", "00001-of")
    before, memory = file_cache.header(first), memory_cache.on_bench(first).stored.total_bytes
    kept = (models / first).read_bytes(), (models / first).stat().st_mtime_ns
    _split(models, "Q8_0")
    (models / first).write_bytes(kept[0])  # the first part is the old one, as it was
    os.utime(models / first, ns=(kept[1], kept[1]))
    after = file_cache.header(first)
    types = {tensor.name: tensor.type for tensor in before.promise.tensors}
    changed = [t.name for t in after.promise.tensors if t.type != types[t.name]]
    assert changed and all(name not in list(types)[:5] for name in changed)
    assert memory_cache.on_bench(first).stored.total_bytes > memory


@pytest.mark.parametrize(
    "file", ["toy/model.safetensors", "toy/config.json", NAME, "toy.imatrix.gguf"]
)
def test_whatever_lies_with_a_model_is_noticed(models, file):
    """Also where nothing but the content is another: size and date are the same."""
    (models / "toy.imatrix.gguf").write_bytes(b"an importance matrix")
    calls = []

    @bench.per_model(st.cache_data, n_models=2)
    def kept(one: str, other: str) -> int:
        calls.append((one, other))
        return len(calls)

    model = NAME if file.endswith(".gguf") else "toy"
    other = {"toy": NAME, NAME: "toy"}[model]
    assert [kept(model, other), kept(other, model), kept(model, other)] == [1, 2, 1]
    _changed(models / file)
    assert [kept(model, other), kept(other, model), kept(model, other)] == [3, 4, 3]


def test_names_of_models_are_given_by_position(models):
    @bench.per_model(st.cache_data, n_models=2)
    def kept(one: str, other: str) -> str:
        return one + other

    with pytest.raises(TypeError, match="kept takes the names of models by position"):
        kept("toy", other="toy")
