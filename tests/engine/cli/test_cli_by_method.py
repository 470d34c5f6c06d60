"""`--by METHOD` and `--calibration FILE` on `error` and `skills`."""

import json
import math

import numpy as np
import pytest

from quantcore.cli import main
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.skills import shipped_questions, skill_steps
from quantcore.evaluate.whole_by_method import stored_by_steps
from quantcore.model.llama import Llama
from quantcore.model.source import open_model
from quantcore.progress import result_of
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 20


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "output"])
def toy(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    config = CONFIG | {"tie_word_embeddings": request.param, "max_position_embeddings": 1024}
    return write_folder(folder / "toy", config)


def run(capsys, command, toy, *more):
    assert main([command, str(toy), *map(str, more), "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def by(toy, method):
    return "--by", method, "--calibration", toy.parent / "text.txt"


def refused(capsys, *command):
    assert main([str(each) for each in command]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "%" not in line]
    return line


def test_error_by_rounding_is_the_error_of_the_type(toy, capsys):
    """Summed another way, and with the outputs besides."""
    plain, _ = run(capsys, "error", toy, "--type", "INT3_G32")
    rounded, _ = run(capsys, "error", toy, "--type", "INT3_G32", *by(toy, "rtn"))
    assert rounded["type"] == "INT3_G32 by Round to nearest" and plain["type"] == "INT3_G32"
    assert 0 < rounded["calibration_tokens"] <= len(TEXT)
    for before, after in zip(plain["tensors"], rounded["tensors"], strict=True):
        assert set(after) == {*before, "output_error", "note"}
        same = {key: pytest.approx(value, rel=1e-9) for key, value in before.items()
                if isinstance(value, float)}  # fmt: skip
        assert after == after | before | same


def test_output_errors_are_those_of_the_command_method(toy, capsys):
    """Of rounding, which looks at nothing, on every matrix; an embedding has no outputs."""
    rows, _ = run(capsys, "error", toy, "--type", "INT3_G32", *by(toy, "rtn"))
    for row in rows["tensors"]:
        if row["name"] == "token_embd.weight":
            assert row["output_error"] is None and "looked up" in row["note"]
            continue
        alone = ("--tensor", row["name"], "--type", "INT3_G32", *by(toy, "rtn"))
        (expected,) = run(capsys, "method", toy, *alone)[0]["results"]
        assert row["output_error"] == pytest.approx(expected["output_error"], rel=1e-3)
        assert row["relative_rmse"] == pytest.approx(expected["weight_error"], rel=1e-9)
        assert row["bits_per_weight"] == expected["bits_per_weight"]


def test_errors_of_a_method(toy, capsys):
    rounded, pushed, scaled = (
        run(capsys, "error", toy, "--type", "INT3_G32", *by(toy, method))[0]["tensors"]
        for method in ("rtn", "gptq", "awq")
    )
    for plain, row in zip(rounded[1:], pushed[1:], strict=True):
        assert row["relative_rmse"] > plain["relative_rmse"], row["name"]
        assert row["output_error"] < plain["output_error"], row["name"]
        assert row["sqnr_db"] == pytest.approx(-20 * math.log10(row["relative_rmse"]))
    assert scaled[1]["note"].startswith("Ratio ")


def test_a_table_of_errors_by_a_method(toy, capsys):
    command = ["error", str(toy), "--type", "INT3_G32", *map(str, by(toy, "gptq"))]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "INT3_G32 by GPTQ" in out and "tokens that the method was calibrated on" in out
    assert "token_embd.weight: Rounded to nearest." in out


def test_errors_of_a_file_that_holds_the_type_already(toy, tmp_path, capsys):
    """Its bytes stay; what it has in another type is chosen anew."""
    file = tmp_path / "toy.gguf"
    make = ["quantize", str(toy), "--type", "Q4_0 pure", "--tensor-type", "ffn_down=Q8_0"]
    assert main([*make, "--output", str(file)]) == 0
    capsys.readouterr()
    printed, _ = run(capsys, "error", file, "--type", "Q4_0 pure", *by(toy, "gptq"))
    for row in printed["tensors"]:
        held = "ffn_down" not in row["name"]
        assert (row["relative_rmse"] == 0) == held and (row["note"] == "")
        assert row["bits_per_weight"] == 4.5 and row["format"] == "Q4_0"
    said = refused(capsys, "error", file, "--type", "Q8_0 pure", "--by", "llm_int8")
    assert said == "LLM.int8 can choose nothing here: LLM.int8 stores weights as INT8_ROW; ask " \
        "for that, not Q8_0."  # fmt: skip


def test_what_cannot_be_said_gets_one_sentence(toy, tmp_path, capsys):
    error = ("error", toy, "--type")
    assert "can choose nothing here: BF16 has no scales" in refused(
        capsys, *error, "BF16", *by(toy, "gptq")
    )
    assert "give --type" in refused(capsys, *error, "F32", "--by", "gptq")
    assert "name it by --by" in refused(capsys, *error, "Q4_0", *by(toy, "gptq")[2:])
    assert "There are rtn" in refused(capsys, *error, "Q4_0", "--by", "best")
    file = tmp_path / "toy.gguf"
    assert main(["quantize", str(toy), "--type", "Q8_0 pure", "--output", str(file)]) == 0
    capsys.readouterr()
    said = refused(capsys, "error", file, "--type", "Q8_0 pure", *by(toy, "gptq"))
    assert said.endswith("all matrices are stored so already, and stay.")


def test_skills_of_a_model_stored_by_a_method(toy, capsys):
    """What answers is the model whose matrices the method chose."""
    seen = {}
    original = Llama.hidden

    def watched(self, *arguments):
        seen["head"], seen["layers"] = self.head, self.layers
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Llama, "hidden", watched)
        patch.setattr("quantcore.evaluate.skills.shipped_questions", lambda: QUESTIONS)
        printed, _ = run(capsys, "skills", toy, "--type", "INT2_G32", *by(toy, "gptq"))
    assert printed["type"] == "INT2_G32 by GPTQ"
    stored = result_of(stored_by_steps(open_model(toy), "INT2_G32", "gptq", TEXT))
    for name in ("attn_output", "ffn_down"):
        for i, layer in enumerate(seen["layers"]):
            restored = stored.chosen[f"blk.{i}.{name}.weight"].restored
            np.testing.assert_array_equal(getattr(layer, name).weights, restored)
    scores = result_of(skill_steps(open_model(toy), llama_of(open_model(toy), stored), QUESTIONS))
    rows = [(each.skill, each.level, each.correct, each.total) for each in scores]
    assert rows == [tuple(each.values()) for each in printed["skills"]]


QUESTIONS = shipped_questions()[::250]


def test_a_calibration_text_with_answers_is_told_of(toy, tmp_path, capsys):
    text = tmp_path / "answers.txt"
    told = TEXT + "".join(each.prompt + each.answer for each in QUESTIONS[:2])
    text.write_text(told, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("quantcore.evaluate.skills.shipped_questions", lambda: QUESTIONS)
        given = ("--type", "Q4_0 pure", "--by", "rtn", "--calibration", text)
        _, err = run(capsys, "skills", toy, *given)
    assert f"answers 2 of the {len(QUESTIONS)} questions" in err
