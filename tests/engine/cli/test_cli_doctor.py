"""`doctor FILE`: what a file or folder is and who runs it; a sentence for whatever it is given."""

import json
import random

import pytest

from quantcore import ModelError, open_model, plan
from quantcore.cli import main
from quantcore.diagnosis import diagnose
from quantcore.recipe.quantize import quantize
from tests.fuzz import changed_bytes
from tests.support.gguf_bytes import small_file, with_metadata
from tests.support.gguf_models import with_type
from tests.support.tokenizer_folders import METASPACE, sentence_piece
from tests.support.toy_model import CONFIG, LLAMA3, write_folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "toy", CONFIG | {"rope_scaling": LLAMA3}, "BF16")


@pytest.fixture
def gguf(folder, tmp_path):
    model, path = open_model(folder), tmp_path / "toy.gguf"
    quantize(model, plan(model, "Q8_0"), path)
    return path


def found(place):
    said = [(each.what, (each.ok, each.says)) for each in diagnose(place)]
    notes = " ".join(says for what, (_, says) in said if what == "note")
    return dict(said) | {"notes": notes}


def test_a_folder(folder):
    report = found(folder)
    assert report["architecture"] == (True, "'llama'")
    assert report["types"] == (True, "BF16 100.0%")
    assert report["tokenizer"] == (True, "260 tokens, opens texts by BOS")
    assert [report[who][0] for who in ("lab", "llama.cpp", "transformers")] == [True] * 3
    assert "rotary scaling llama3" in report["notes"]
    assert "the output is the embedding" in report["notes"]


def test_a_file(gguf):
    report = found(gguf)
    assert report["kind"] == (True, "model, GGUF version 3, little-endian")
    assert report["types"][1].startswith("Q8_0 9") and "F32" in report["types"][1]
    assert report["tokenizer"] == (True, "'gpt2', cuts text as 'gpt-2'")
    assert report["lab"][0] and report["llama.cpp"] == (True, "runs it")
    assert report["imatrix"] == (None, "not recorded")


def test_what_nobody_runs(gguf):
    changed = found(with_metadata(gguf, {"general.type": "adapter"}))
    assert changed["llama.cpp"] == (False, "runs no adapter (LoRA) alone")
    assert changed["lab"][0] is False
    both_ways = found(with_metadata(gguf, {"llama.attention.causal": False}))
    assert both_ways["lab"][0] is False
    assert "embeddings" in both_ways["notes"]


def test_what_is_not_known(gguf):
    report = found(with_metadata(gguf, {"general.architecture": "newest"}))
    assert report["lab"][0] is False
    assert report["llama.cpp"][0] is None and "not known" in report["llama.cpp"][1]


def test_weights_that_nobody_here_reads(gguf):
    report = found(with_type(gguf, "blk.0.ffn_down.weight", 144))  # ik_llama.cpp's IQ4_KS
    assert report["lab"][0] is False and "cannot read weights in IQ4_KS" in report["lab"][1]
    assert report["llama.cpp"] == (False, "does not read IQ4_KS (ik_llama.cpp may)")


def test_a_layout_of_its_own(gguf):
    assert "multiples of 64" in found(with_metadata(gguf, {"general.alignment": 64}))["notes"]


def test_what_llama_cpp_would_not_load(tmp_path):
    config = CONFIG | {"model_type": "qwen3", "rope_scaling": LLAMA3}
    report = found(write_folder(tmp_path / "toy", config))
    assert report["lab"][0] is False  # the toy's weights are not Qwen's
    assert report["llama.cpp"][0] is None


def test_a_tokenizer_that_differs(tmp_path):
    report = found(sentence_piece(tmp_path / "toy", *METASPACE["Metaspace first"][:2]))
    assert "no further space" in report["notes"]


def test_on_the_command_line(gguf, capsys):
    assert main(["doctor", str(gguf)]) == 0
    assert "  ok  llama.cpp          runs it\n" in capsys.readouterr().out
    assert main(["doctor", str(gguf), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {each["what"] for each in report["findings"]} >= {"kind", "types", "lab", "llama.cpp"}


@pytest.mark.parametrize("given", ["nothing/here", "toy/config.json", "toy", "\0"])
def test_what_it_cannot_tell_is_a_sentence(tmp_path, given, capsys):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "config.json").write_text("[]")
    assert main(["doctor", str(tmp_path / given)]) == 2
    error = capsys.readouterr().err
    assert error.endswith(".\n") and "fault of the lab" not in error


def test_hostile_files(tmp_path, gguf, folder):
    chance, path = random.Random(0), tmp_path / "hostile.gguf"
    sound = [gguf.read_bytes(), small_file(), (folder / "model.safetensors").read_bytes()]
    for i in range(45):
        path = tmp_path / ("hostile.safetensors" if i % 3 == 2 else "hostile.gguf")
        path.write_bytes(changed_bytes(chance, [sound[i % 3]]))
        try:
            list(diagnose(path))
        except ModelError as problem:
            assert str(problem).endswith(".")
