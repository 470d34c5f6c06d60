"""Commands on a folder of quantized weights say what they are stored as."""

import json

import numpy as np
import pytest

from quantcore.cli import main
from tests.engine.layouts.test_quantized_folders import NAME, folder_of


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("models") / "stored", "gptq/4-first")


def run(capsys, *arguments):
    assert main([str(each) for each in arguments]) == 0
    return capsys.readouterr()


def test_error_counts_from_what_is_decoded(stored, capsys):
    said = run(capsys, "error", stored, "--type", "Q8_0").out
    assert "what stored is decoded to, which is stored as F32 and GPTQ INT4_G16." in said
    found = json.loads(run(capsys, "error", stored, "--type", "INT4_G16", "--json").out)
    errors = {each["name"]: each["relative_rmse"] for each in found["tensors"]}
    assert found["stored_as"] == "F32 and GPTQ INT4_G16"
    assert errors.pop(NAME) == 0 and min(errors.values()) > 0.01


def test_perplexity_says_what_is_stored(stored, tmp_path, capsys):
    text = tmp_path / "text.txt"
    letters = np.random.default_rng(0).choice(list("the toy tells tales "), 600)
    text.write_text("".join(letters), encoding="utf-8")
    said = run(capsys, "perplexity", stored, "--text", text, "--context", 32).out
    assert "the original, stored as F32 and GPTQ INT4_G16, " in said


def test_quantize_warns_of_a_second_rounding(stored, tmp_path, capsys):
    said = run(capsys, "quantize", stored, "--type", "Q4_0", "--output", tmp_path / "q.gguf").err
    assert f"1 tensor is quantized again, {NAME} from GPTQ INT4_G16: errors add up." in said
    assert "llama-quantize" not in said
