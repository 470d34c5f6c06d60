"""Models in several GGUF files: joined as one, and one sentence for whatever does not fit."""

import numpy as np
import pytest

from quantcore import ModelError, open_model, plan
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.gguf import read_gguf
from quantcore.io.gguf_parts import read_parts
from quantcore.recipe.quantize import quantize
from tests.support.gguf_bytes import gguf_bytes
from tests.support.toy_model import write_folder


def write_parts(folder, metadata, shares, changes=None, count=None, total=None):
    """Write parts by hand; `shares` lists the tensors of each, `changes` overrides split keys."""
    count = len(shares) if count is None else count
    total = sum(map(len, shares)) if total is None else total
    for number, tensors in enumerate(shares):
        split = {"split.no": number, "split.count": count, "split.tensors.count": total}
        split |= (changes or {}).get(number, {})
        path = folder / f"m-{number + 1:05d}-of-{len(shares):05d}.gguf"
        path.write_bytes(gguf_bytes((metadata if not number else {}) | split, tensors))
    return folder / f"m-00001-of-{len(shares):05d}.gguf"


def vector(*values):
    return [len(values)], 0, np.array(values, "<f4").tobytes()


SHARES = [{"a": vector(1, 2)}, {"b": vector(3)}, {"c": vector(4, 5), "d": vector(6)}]


@pytest.fixture
def whole_toy(tmp_path):
    model = open_model(write_folder(tmp_path / "toy"))
    quantize(model, plan(model, "F16"), tmp_path / "whole.gguf")
    return read_gguf(tmp_path / "whole.gguf")


def test_parts_are_read_as_one(tmp_path):
    file = read_parts(write_parts(tmp_path, {"general.architecture": "llama"}, SHARES))
    values = {name: tensor.read().tolist() for name, tensor in file.tensors.items()}
    assert values == {"a": [1, 2], "b": [3], "c": [4, 5], "d": [6]}
    assert file.metadata["general.architecture"] == "llama"
    sizes = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert (file.file_bytes, file.tensor_bytes) == (sizes, 24)
    again = read_parts(tmp_path / "m-00002-of-00003.gguf")
    assert again.path == file.path and list(again.tensors) == list(file.tensors)


def test_a_model_in_parts_opens_as_the_whole_one(whole_toy, tmp_path):
    plain = {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in whole_toy.metadata.items()
    }
    stored = {
        name: (list(reversed(t.shape)), GGML_TYPES[t.type].number, t.packed().tobytes())
        for name, t in whole_toy.tensors.items()
    }
    names, shares = list(stored), []
    for start in range(0, len(names), 8):
        shares.append({name: stored[name] for name in names[start : start + 8]})
    one, other = open_model(whole_toy.path), open_model(write_parts(tmp_path, plain, shares))
    assert len(shares) > 2 and list(one.tensors) == list(other.tensors)
    for name in one.tensors:
        np.testing.assert_array_equal(one.weights(name), other.weights(name))
    quantize(other, plan(other, "Q8_0"), tmp_path / "again.gguf")
    assert not [key for key in read_gguf(tmp_path / "again.gguf").metadata if "split" in key]


BROKEN = {
    "m-00002-of-00003.gguf is missing": {},
    "claims 9": {"total": 9},
    "must end in -00001-of-00004.gguf": {"count": 4},
    "its name says 1 of 3": {"changes": {1: {"split.no": 2}}},
    "part x of y": {"changes": {2: {"split.no": "x", "split.count": "y"}}},
    "claims to be one of -3 parts": {"changes": {0: {"split.count": "-3"}}},
    "which m-00001-of-00003.gguf has too": {"shares": [SHARES[0], SHARES[0], SHARES[2]]},
}


@pytest.mark.parametrize("says", BROKEN)
def test_parts_that_do_not_fit_get_one_sentence(tmp_path, says):
    options = {"shares": SHARES} | BROKEN[says]
    path = write_parts(tmp_path, {}, **options)
    if "is missing" in says:
        (tmp_path / "m-00002-of-00003.gguf").unlink()
    with pytest.raises(ModelError, match=rf"^m-0000[^\n]+{says}[^\n]*\.$"):
        read_parts(path)


def test_without_its_first_part_a_model_is_not_read(tmp_path):
    path = write_parts(tmp_path, {}, SHARES)
    path.unlink()
    with pytest.raises(ModelError, match=r"m-00001-of-00003\.gguf is missing"):
        read_parts(tmp_path / "m-00003-of-00003.gguf")
