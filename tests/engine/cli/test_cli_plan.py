"""The command `plan`: what it prints, and what it refuses."""

import pytest

from quantcore.cli import main
from tests.support.command_line import json_of
from tests.support.toy_model import write_folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return str(write_folder(tmp_path_factory.mktemp("models") / "toy"))


def test_plan(toy, capsys, tmp_path):
    printed = json_of(capsys, "plan", "--type", "q4_k")
    keys = ["recipe", "version", "model", "type", "with_imatrix"]
    assert list(printed) == [*keys, "bytes", "bits_per_weight", "tensors"]
    assert printed["type"] == "Q4_K_M" and printed["with_imatrix"] is False
    keys = ["name", "type", "bytes", "shape", "rule", "fallback"]
    assert all(list(row) == keys for row in printed["tensors"])
    assert printed["bytes"] == sum(row["bytes"] for row in printed["tensors"])
    assert json_of(capsys, "plan", toy, "--type", "Q4_0", "--pure")["model"] == "toy"
    config = json_of(capsys, "plan", toy + "/config.json", "--type", "Q4_0", "--pure")
    assert config == json_of(capsys, "plan", toy, "--type", "Q4_0", "--pure")


def test_plan_and_quantize_read_pure_in_a_name(capsys, tmp_path):
    named = json_of(capsys, "plan", "--type", "q4_k pure")
    assert named["type"] == "Q4_K pure"
    assert named == json_of(capsys, "plan", "--type", "Q4_K_M", "--pure")
    files = [tmp_path / "named.gguf", tmp_path / "pure.gguf"]
    for path, arguments in zip(files, (["Q4_0 pure"], ["Q4_0", "--pure"]), strict=True):
        assert main(["quantize", "--type", *arguments, "--output", str(path)]) == 0
        assert f"{path}: Q4_0 pure, " in capsys.readouterr().out
    assert files[0].read_bytes() == files[1].read_bytes()


def test_plan_with_types_asked_for(capsys, tmp_path):
    path = tmp_path / "types.txt"
    path.write_text("attn_v=q8_0\nffn_up=f16 ffn_gate=q5_0")
    printed = json_of(
        capsys, "plan", "--type", "Q4_K_M", "--tensor-type", "ffn_up=q6_k", "--tensor-type-file",
        str(path), "--token-embedding-type", "q8_0",
    )  # fmt: skip
    types = {row["name"]: row["type"] for row in printed["tensors"]}
    asked = {"attn_v": "Q8_0", "ffn_up": "Q6_K", "ffn_gate": "Q5_0"}
    assert {role: types[f"blk.3.{role}.weight"] for role in asked} == asked
    assert types["token_embd.weight"] == "Q8_0"


def test_plan_as_a_table(capsys):
    assert main(["plan", "--type", "iq2_xs"]) == 0
    printed = capsys.readouterr().out
    assert "attn_q of layer 0: most tensors get IQ2_XS." in printed
    assert "refuses this without an importance matrix" in printed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--type", "Q9"], "There is no file type 'Q9'"),
        (["--type", "nf4"], "A GGUF file cannot hold 'nf4'."),
        (["--type", "Q4_0", "--tensor-type", "ffn"], "'ffn' is not an override"),
        (["--type", "Q4_0", "--output-tensor-type", "q9"], "There is no tensor type 'Q9'"),
        (["--type", "Q4_0", "--tensor-type-file", "none.txt"], "none.txt is missing"),
        (["none.json", "--type", "Q4_0"], "none.json is missing"),
    ],
)
def test_plan_refuses_in_one_sentence(options, sentence, capsys):
    assert main(["plan", *options]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(sentence)
    assert complaint.count("\n") == 1
