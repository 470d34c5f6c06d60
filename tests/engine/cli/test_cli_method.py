"""The command `method`: what it prints, what it saves, and what it says of a mistake."""

import json
import math

import numpy as np
import pytest

from quantcore.cli import main
from quantcore.evaluate.whole_by_method import stored_by_steps
from quantcore.formats import get_format
from quantcore.methods import METHODS
from quantcore.model.source import open_model
from quantcore.progress import result_of
from tests.support.on_grid import write_on_grid
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 40
KEYS = ["by", "type", "bits_per_weight", "weight_error", "output_error", "seconds", "note"]
TENSOR = "blk.1.ffn_down.weight"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return write_folder(folder / "toy", CONFIG)


def arguments(toy, *more, by="rtn,gptq", tensor=TENSOR, type="INT3_G32"):
    text = str(toy.parent / "text.txt")
    return ["method", str(toy), "--tensor", tensor, "--type", type, "--by", by,
            "--calibration", text, *more]  # fmt: skip


def test_json_and_npz_say_the_same(toy, tmp_path, capsys):
    file = tmp_path / "all.npz"
    assert main(arguments(toy, "--json", "--save", str(file))) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == ["model", "tensor", "calibration_tokens", "results"]
    assert printed["model"] == "toy" and printed["tensor"] == TENSOR
    assert [list(each) for each in printed["results"]] == [KEYS, KEYS]
    with np.load(file) as arrays:
        assert set(arrays) == {"original", "second_moment", "restored_rtn", "restored_gptq"}
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
        original = arrays["original"].astype(np.float64)
        moment = arrays["second_moment"].astype(np.float64)
        for row in printed["results"]:
            error = arrays[f"restored_{row['by']}"] - original
            by_hand = math.sqrt(np.square(error).sum() / np.square(original).sum())
            assert row["weight_error"] == pytest.approx(by_hand, rel=1e-6)
            of_outputs = ((error @ moment) * error).sum() / ((original @ moment) * original).sum()
            assert row["output_error"] == pytest.approx(math.sqrt(of_outputs), rel=1e-3)
            assert row["bits_per_weight"] == 3 + 16 / 32
        plain = get_format("INT3_G32").round_trip(arrays["original"])
        np.testing.assert_array_equal(arrays["restored_rtn"], plain)
    rounded, pushed = printed["results"]
    assert pushed["output_error"] < rounded["output_error"]


def test_a_table_for_people(toy, capsys):
    assert main(arguments(toy)) == 0
    out = capsys.readouterr().out
    assert TENSOR in out and "INT3_G32" in out and "gptq" in out


def test_every_method_works(toy, capsys):
    results = []
    only = {"llm_int8": "INT8_ROW", "four_over_six": "NVFP4_TENSOR", "mse_scales": "NVFP4_TENSOR"}
    by_type = {"INT4_G32_ASYM": METHODS.keys() - only - {"own_grid"}}  # others keep nothing aside
    for name, type in only.items():
        by_type[type] = {*by_type.get(type, ()), name}
    for type, by in by_type.items():
        assert main(arguments(toy, "--json", by=",".join(sorted(by)), type=type)) == 0
        results += json.loads(capsys.readouterr().out)["results"]
    assert {row["by"] for row in results} == METHODS.keys() - {"own_grid"}
    for row in results:
        assert 0 < row["output_error"] < 0.2 and row["bits_per_weight"] >= 4, row


def test_weights_on_a_grid_are_stored_as_they_are(toy, tmp_path, capsys):
    write_on_grid(tmp_path / "trained")
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    command = arguments(tmp_path / "trained", "--json", by="rtn,own_grid", type="Q4_0")
    assert main(command) == 0
    plain, own = json.loads(capsys.readouterr().out)["results"]
    assert plain["weight_error"] > 0.02 and own["weight_error"] < 2e-3  # BF16's own rounding
    assert own["bits_per_weight"] == plain["bits_per_weight"] == 4.5
    assert "all weights are as in the file" in own["note"]
    command = arguments(toy, by="own_grid", type="Q4_0")
    assert "These weights are not on a grid: round them to nearest" in refused(capsys, command)


def refused(capsys, command):
    assert main(command) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "%" not in line]
    return line


def test_mistakes_get_one_sentence(toy, tmp_path, capsys):
    assert "There are rtn, gptq" in refused(capsys, arguments(toy, by="rtn,gtpq"))
    assert "not a matrix" in refused(capsys, arguments(toy, tensor="blk.9.attn_q.weight"))
    assert "looked up" in refused(capsys, arguments(toy, tensor="token_embd.weight"))
    assert "not a matrix" in refused(capsys, arguments(toy, tensor="blk.0.attn_norm.weight"))
    said = refused(capsys, arguments(toy, type="INT4_G48"))
    assert said.startswith("rtn: ") and "48" in said
    assert "gptq: BF16 has no scales" in refused(capsys, arguments(toy, type="BF16"))
    (toy.parent / "short.txt").write_text("Once upon a time.", encoding="utf-8")
    short = arguments(toy)
    short[short.index("--calibration") + 1] = str(toy.parent / "short.txt")
    assert "Use a longer text" in refused(capsys, short)
    there = tmp_path / "there.npz"
    there.write_bytes(b"")
    assert "exists already" in refused(capsys, arguments(toy, "--save", str(there)))


def perplexity(toy, *more):
    text = str(toy.parent / "text.txt")
    return ["perplexity", str(toy), "--type", "INT3_G32", "--text", text, "--context", "64", *more]


def test_perplexity_of_a_model_stored_by_a_method(toy, tmp_path, capsys):
    calibration = tmp_path / "calibration.txt"
    calibration.write_text(TEXT[::-1], encoding="utf-8")
    figures = {}
    for by in ((), ("--by", "rtn"), ("--by", "qronos", "--calibration", str(calibration))):
        assert main(perplexity(toy, "--json", *by)) == 0
        figures[by[1:2]] = json.loads(capsys.readouterr().out)
    plain, rounded, chosen = figures.values()
    assert rounded["type"] == "INT3_G32 by Round to nearest"
    assert chosen["type"] == "INT3_G32 by Qronos"
    same = plain | {"type": rounded["type"]}
    assert rounded == same  # rounding is what a type alone means
    assert chosen["weights_bytes"] == plain["weights_bytes"]
    assert chosen["mean_kl_divergence"] < 0.7 * plain["mean_kl_divergence"]


def test_a_text_that_calibrates_and_judges_is_told_of(toy, capsys):
    text = str(toy.parent / "text.txt")
    assert main(perplexity(toy, "--by", "gptq", "--calibration", text)) == 0
    assert "calibrated on: on any other, figures will be worse." in capsys.readouterr().err


def test_mistakes_of_by_get_one_sentence(toy, capsys):
    text = str(toy.parent / "text.txt")
    assert "--by" in refused(capsys, perplexity(toy, "--calibration", text))
    plain = perplexity(toy, "--by", "gptq")
    plain[plain.index("INT3_G32")] = "F32"
    assert "give --type" in refused(capsys, plain)
    assert "There are rtn" in refused(capsys, perplexity(toy, "--by", "best"))


def test_a_gguf_file_holds_what_a_method_chose(toy, tmp_path, capsys):
    """Read back it is the model that was measured, rows of queries and keys in place."""
    text, out = str(toy.parent / "text.txt"), tmp_path / "toy.gguf"
    command = ["quantize", str(toy), "--type", "Q4_0 pure", "--by", "gptq", "--calibration", text]
    assert main([*command, "--output", str(out)]) == 0
    model, file = open_model(toy), open_model(out)
    stored = result_of(stored_by_steps(model, "Q4_0 pure", "gptq", TEXT))
    for name in model.quantizable:
        assert file.tensors[name].dtype == "Q4_0"
        np.testing.assert_array_equal(file.weights(name), stored.chosen[name].restored)
    rounded = get_format("Q4_0").round_trip(model.weights("blk.0.attn_k.weight"))
    assert np.mean(rounded != file.weights("blk.0.attn_k.weight")) > 0.05
    capsys.readouterr()
    said = refused(capsys, [*command, "--output", str(out)])
    assert "exists already" in said
    command[command.index("gptq")] = "rotation"
    said = refused(capsys, [*command, "--output", str(tmp_path / "other.gguf")])
    assert "Rotation stores more than a GGUF file has a place for" in said
    assert not (tmp_path / "other.gguf").exists()
