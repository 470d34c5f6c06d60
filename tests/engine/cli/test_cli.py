"""The command line: what it prints where, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from quantcore import measure_drift, open_model, tensor_error
from quantcore.cli import main
from quantcore.model.cache_types import CacheTypes
from tests.support.command_line import json_of
from tests.support.patience import PATIENCE_S
from tests.support.places import ROOT
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 8
PERPLEXITY = [
    *("model", "type", "context", "tokens_scored", "perplexity", "perplexity_error"),
    *("base_perplexity", "floor_perplexity", "mean_kl_divergence", "same_top_token"),
    *("bits_per_weight", "weights_bytes", "activations"),
    *("cache_type_k", "cache_type_v", "cache_rotation", "cache_bytes_per_token"),
]
TENSOR = [
    *("name", "shape", "format", "relative_rmse", "sqnr_db", "max_abs_error", "bits_per_weight"),
]


SHORT = ("--context", "32")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return str(write_folder(tmp_path_factory.mktemp("models") / "toy"))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def test_whatever_a_command_raises_is_one_sentence(monkeypatch, capsys):
    def broken(*_):
        raise TypeError("unhashable type: 'list'")

    monkeypatch.setattr("quantcore.memory.find_shape", broken)
    assert main(["memory", "fable-7m"]) == 2
    assert capsys.readouterr().err == "A fault of the lab: TypeError: unhashable type: 'list'.\n"


def test_escape_codes_do_not_reach_the_terminal(toy, tmp_path, capsys):
    folder = tmp_path / "\x1b]0;owned\x07toy"
    shutil.copytree(toy, folder)
    assert main(["memory", str(folder)]) == 0
    assert main(["perplexity", str(folder / "\x9b31m")]) == 2
    printed = capsys.readouterr()
    assert "\\x1b]0;owned\\x07toy" in printed.out
    assert not {"\x1b", "\x07", "\x9b"} & {*printed.out, *printed.err}


def test_perplexity(toy, text, capsys):
    options = ["perplexity", toy, "--text", text, "--context", "64"]
    printed = json_of(capsys, *options, "--type", "q4_0")
    drift = measure_drift(open_model(toy), "Q4_0", TEXT, 64)
    assert list(printed) == PERPLEXITY
    assert printed["model"] == "toy"
    assert printed["type"] == "Q4_0"
    assert printed["floor_perplexity"] is None
    for key in PERPLEXITY[3:7] + PERPLEXITY[8:12]:
        assert printed[key] == pytest.approx(getattr(drift, key), rel=1e-5)
    original = json_of(capsys, *options)
    assert (original["type"], original["mean_kl_divergence"]) == ("F32", 0)
    assert original["perplexity"] == original["base_perplexity"]
    assert main(options) == 0
    assert "the original, stored as F32, 32.000 bits per weight" in capsys.readouterr().out


def test_perplexity_of_the_model_with_outlier_channels(text, capsys):
    printed = json_of(
        capsys, "perplexity", "fable-7m-outliers", "--type", "Q4_K_M",
        "--text", text, "--context", "64",
    )  # fmt: skip
    plain = json_of(capsys, "perplexity", "--type", "Q4_K_M", "--text", text, "--context", "64")
    assert printed["model"] == "fable-7m-outliers"
    assert printed["base_perplexity"] == plain["base_perplexity"]
    assert printed["weights_bytes"] == plain["weights_bytes"]
    assert printed["mean_kl_divergence"] > 5 * plain["mean_kl_divergence"] > 0


def test_only_shipped_models_are_measured_into_their_folder(capsys):
    assert main(["measure", "gone"]) == 2
    assert "choose fable-7m or fable-7m-outliers" in capsys.readouterr().err


def test_perplexity_with_another_cache(text, capsys):
    options = ["perplexity", "--text", text, "--context", "64"]
    cached = json_of(capsys, *options, "--cache-type-k", "q8_0", "--cache-type-v", "turbo2")
    assert [cached[key] for key in PERPLEXITY[-4:]] == ["Q8_0", "TURBO2", True, 8 * 2 * (68 + 18)]
    kept = CacheTypes("q8_0", "turbo2")
    drift = measure_drift(open_model(), "F32", TEXT, 64, cache_types=kept)
    assert cached["mean_kl_divergence"] == pytest.approx(drift.mean_kl_divergence, rel=1e-5)
    assert 1e-3 < drift.mean_kl_divergence < 1
    plain = json_of(capsys, *options)
    assert [plain[key] for key in PERPLEXITY[-4:]] == ["F32", "F32", True, 8 * 2 * 512]
    assert plain["mean_kl_divergence"] == 0
    assert plain["perplexity"] == cached["base_perplexity"]
    rotated, unrotated = (
        json_of(capsys, *options, "--type", "Q8_0", "--cache-type-k", "q4_0", *more)
        for more in ([], ["--no-cache-rotation"])
    )
    assert unrotated["cache_rotation"] is False
    assert rotated["perplexity"] != unrotated["perplexity"]
    usual = json_of(capsys, *options, "--activations", "Q8", "--cache-type-v", "q8_0")
    assert [usual[key] for key in PERPLEXITY[-4:-2]] == ["F16", "Q8_0"]


def test_perplexity_of_the_shipped_model_on_the_shipped_text(capsys):
    printed = json_of(capsys, "perplexity")
    assert printed["model"] == open_model().name
    assert printed["context"] == 512
    assert printed["tokens_scored"] > 10_000
    assert 1 < printed["floor_perplexity"] < printed["perplexity"]


def test_a_type_is_a_mix_unless_pure_is_asked_for(capsys, tmp_path):
    wide = str(write_folder(tmp_path / "wide", CONFIG | {"hidden_size": 256}))
    for arguments, name, formats in (
        (["Q4_K"], "Q4_K_M", {"Q4_K", "Q5_0", "Q6_K", "Q8_0"}),
        (["q4_k_m", "--pure"], "Q4_K pure", None),
        (["Q4_0", "--pure"], "Q4_0 pure", {"Q4_0"}),
        (["int4_row", "--pure"], "INT4_ROW", {"INT4_ROW"}),
    ):
        if formats is None:  # rows of ffn_down have 128 weights, which a mix gives another format
            assert main(["error", wide, "--type", *arguments]) == 2
            assert "ffn_down.weight: Q4_K works on rows" in capsys.readouterr().err
            continue
        printed = json_of(capsys, "error", wide, "--type", *arguments)
        assert printed["type"] == name
        assert {row["format"] for row in printed["tensors"]} == formats


def test_perplexity_of_a_mix_and_of_its_format_throughout(toy, text, capsys):
    options = ["perplexity", toy, "--text", text, "--context", "64", "--type", "Q4_0"]
    mixed, pure = json_of(capsys, *options), json_of(capsys, *options, "--pure")
    assert (mixed["type"], pure["type"]) == ("Q4_0", "Q4_0 pure")
    planned = json_of(capsys, "plan", toy, "--type", "Q4_0")
    assert mixed["weights_bytes"] == planned["bytes"]
    assert mixed["bits_per_weight"] == pytest.approx(planned["bits_per_weight"])
    assert mixed["weights_bytes"] > pure["weights_bytes"]
    assert mixed["perplexity"] != pure["perplexity"]


def test_error(toy, capsys):
    printed = json_of(capsys, "error", toy, "--type", "int4_g32_asym")
    assert list(printed) == ["model", "type", "stored_as", "tensors"]
    assert printed["type"] == "INT4_G32_ASYM"
    assert [row["name"] for row in printed["tensors"]] == open_model(toy).quantizable
    assert list(printed["tensors"][0]) == TENSOR
    assert printed["tensors"][0]["shape"] == [260, 64]
    lossless = json_of(capsys, "error", toy, "--type", "F32")["tensors"][0]
    assert lossless["sqnr_db"] is None  # infinite, which JSON cannot say
    assert lossless["relative_rmse"] == 0


def test_an_importance_matrix_serves_every_tensor(capsys):
    shipped, matrix = open_model(), "assets/fable-7m/imatrix.gguf"
    matrix = str(ROOT / matrix)
    without = json_of(capsys, "error", "--type", "Q4_0")
    with_it = json_of(capsys, "error", "--type", "Q4_0", "--imatrix", matrix)
    formats = [{row["name"]: row["format"] for row in one["tensors"]} for one in (without, with_it)]
    assert formats[0]["blk.0.ffn_down.weight"] == "Q4_0"
    assert formats[1]["blk.0.ffn_down.weight"] == "Q4_1"  # a rule that asks whether there is one
    assert without["tensors"][0] == with_it["tensors"][0]  # the embedding, of which it says nothing
    row = next(row for row in with_it["tensors"] if row["name"] == "blk.1.attn_q.weight")
    importance = shipped.imatrix.importance(row["name"])
    expected = tensor_error(shipped.weights(row["name"]), "Q4_0", importance)
    assert row["relative_rmse"] == expected.relative_rmse


def test_tables_for_people(toy, text, capsys):
    assert main(["perplexity", toy, "--text", text, "--context", "64", "--type", "Q8_0"]) == 0
    shown = capsys.readouterr()
    assert "KL divergence" in shown.out
    assert "all targets" in shown.out
    assert "chunk" in shown.err
    assert main(["error", toy, "--type", "Q8_0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    assert len({len(line) for line in lines[1:]}) == 1


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "frobnicate"),
        (["perplexity", "no-such-model"], "no GGUF file 'no-such-model'"),
        (["perplexity", "TOY", "--type", "Q9_K"], "Q9_K"),
        (["perplexity", "TOY", "--type", "INT4_G48"], "token_embd.weight"),
        (["perplexity", "TOY", "--text", "none.txt"], "none.txt"),
        (["perplexity", "TOY", "--text", "TOY"], "directory"),
        (["perplexity", "TOY", "--text", "TOY/model.safetensors"], "not UTF-8"),
        (["perplexity", "TOY", "--context", "0"], "4 to 128"),
        (["perplexity", "TOY", "--context", "many"], "many"),
        (["perplexity", "TOY", "--context", "128", "--text", "TEXT"], "needs at least 256"),
        (["perplexity", "TOY", "--cache-type-k", "q9"], "no cache of type q9"),
        (["perplexity", "TOY", "--cache-type-v", "q8_0"], "heads of a multiple of 32, got 16"),
        (["perplexity", "--cache-type-k", "turbo2", "--activations", "Q8"], "no TURBO2 cache"),
        (["error", "TOY"], "--type"),
        (["error", "TOY", "--type", ""], "no type called"),
        (["error", "TOY", "--type", "Q4_K", "--pure"], "multiple of 256"),
        (["error", "TOY", "--type", "IQ9_XXS"], "IQ9_XXS"),
        (["error", "--type", "IQ2_XXS", "--pure"], "says nothing of token_embd.weight"),
        (["skills", "TOY", "--type", "Q4"], "Q4"),
        (["error", "TOY", "--type", "Q4_0", "--imatrix", "none.gguf"], "none.gguf"),
        (["error", "TOY", "--type", "Q4_0", "--imatrix", "MATRIX"], "is of another model"),
        (
            ["perplexity", "TOY", "--type", "Q4_0", "--imatrix", "MATRIX", "--context", "32"],
            "is of another model",
        ),
    ],
)
def test_a_mistake_gets_one_sentence(toy, tmp_path, capsys, arguments, pattern):
    short = tmp_path / "short.txt"
    short.write_text("too short")
    matrix = ROOT / "assets/fable-7m/imatrix.gguf"
    places = {
        "MATRIX": str(matrix),
        "TOY": toy,
        "TEXT": str(short),
        "TOY/model.safetensors": f"{toy}/model.safetensors",
    }
    arguments = [places.get(word, word) for word in arguments]
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    shown = capsys.readouterr()
    assert status == 2
    assert shown.out == ""
    assert pattern in shown.err
    assert shown.err.count("\n") == 1
    assert shown.err.endswith(".\n")


def test_a_broken_folder_gets_one_sentence(toy, tmp_path, capsys):
    folder = write_folder(tmp_path / "broken")
    (folder / "config.json").write_text("{")
    assert main(["error", str(folder), "--type", "Q8_0"]) == 2
    assert capsys.readouterr().err == "config.json is not valid JSON.\n"


def test_help_says_what_there_is(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for command in ("perplexity", "error", "skills", "imatrix", "measure", "compile", "doctor"):
        assert command in shown


def test_a_key_stops_it_without_a_traceback(keys_are_heard):
    command = [sys.executable, "-m", "quantcore", "skills"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running.stderr.readline()  # the first sign of progress
    time.sleep(0.2)
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.endswith("Stopped.\n")


def test_a_key_stops_all_processes_that_compile(keys_are_heard, tmp_path):
    command = [sys.executable, "-m", "quantcore", "compile"]
    cold = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "QUANTCORE_THREADS": "2"}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=cold, start_new_session=True)  # fmt: skip
    assert "s" in running.stdout.readline()  # a format is compiled, others are being so
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    _, err = running.communicate(timeout=PATIENCE_S)  # ends when no process holds the pipe
    assert running.returncode == 130
    assert err == "Stopped.\n"


def test_a_reader_that_leaves_is_no_error(toy):
    shell = partial(subprocess.run, shell=True, capture_output=True, text=True, timeout=PATIENCE_S)
    command = f"{sys.executable} -m quantcore error {toy} --type Q8_0 2>&1 >/dev/full | cat; echo"
    shown = shell(command).stdout
    assert "Traceback" not in shown
    command = f"{sys.executable} -m quantcore error {toy} --type Q8_0 | head -n 1"
    shown = shell(command)
    assert shown.stdout.startswith("tensor")
    assert "Traceback" not in shown.stderr
    assert "Exception" not in shown.stderr


def test_ends_of_lines_are_read_as_they_are(toy, tmp_path, capsys):
    counts = {}
    for ends in ("\n", "\r\n", "\r"):
        (tmp_path / "text.txt").write_bytes(f"one two{ends}".encode() * 100)
        run = json_of(capsys, "perplexity", toy, "--text", str(tmp_path / "text.txt"), *SHORT)
        counts[ends] = run["tokens_scored"]
    assert counts["\r\n"] > counts["\n"] == counts["\r"]


def test_it_says_how_control_tokens_are_read(toy, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("one</s>two " * 40, encoding="utf-8")
    plain, parsed = (
        json_of(capsys, "perplexity", toy, "--text", str(text), *SHORT, *more)["tokens_scored"]
        for more in ([], ["--parse-special"])
    )
    assert plain > parsed
    assert main(["perplexity", toy, "--text", str(text), *SHORT]) == 0
    assert "control tokens; they are read as characters (--parse-special" in capsys.readouterr().err
    output = str(tmp_path / "imatrix.gguf")
    ask = ["imatrix", toy, "--text", str(text), *SHORT, "--parse-special", "--output", output]
    assert main(ask) == 0
    assert "control tokens; they are read as such." in capsys.readouterr().err
