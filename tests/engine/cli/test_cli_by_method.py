"""`--by METHOD` and `--calibration FILE` on `error` and `skills`, and of 8-bit methods."""

import json
import math

import numpy as np
import pytest

from quantcore.cli import main
from quantcore.evaluate.by_method import relative_error
from quantcore.evaluate.quantized import llama_of, stored_bytes
from quantcore.evaluate.skills import shipped_questions, skill_steps
from quantcore.evaluate.text import calibration_tokens, cut
from quantcore.evaluate.whole_by_method import stored_by_steps
from quantcore.methods.fold import deployed
from quantcore.methods.inputs.calibration import calibrate
from quantcore.model.activations import rounded
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
    make = ["quantize", str(toy), "--type", "Q4_0 pure", "--tensor-type", "ffn_down=F16"]
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


@pytest.mark.parametrize("method", ["smoothquant", "llm_int8"])
def test_methods_that_round_inputs_do_so_in_the_forward_pass(toy, capsys, method):
    """Perplexity is that of the model that they would store, run as they say."""
    given = ("--type", "INT8_ROW", "--text", toy.parent / "text.txt", "--context", 64)
    printed, err = run(capsys, "perplexity", toy, *given, *by(toy, method))
    assert "calibrated on: on any other" in err
    model = open_model(toy)
    stored = result_of(stored_by_steps(model, "INT8_ROW", method, TEXT))
    kind = {"smoothquant": "INT8_TOKEN", "llm_int8": "INT8_OUTLIERS"}[method]
    assert printed["activations"] == kind == stored.inputs
    assert printed["type"] == f"INT8_ROW by {stored.method}"
    llama = deployed(model.config, {n: model.weights(n) for n in model.tensors}, stored.chosen)
    chunks = cut(model, TEXT, 64)
    nll = []
    for two in range(0, len(chunks.inputs), 2):  # as there: the last bit may tip a code over
        states = llama.hidden(chunks.inputs[two : two + 2])[:, :-1]
        logits = llama.output(states.reshape(-1, states.shape[2])).astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        nll.append(-log_p[np.arange(len(log_p)), chunks.tokens[two : two + 2, 1:].ravel()])
    scored = np.exp(np.concatenate(nll)[chunks.scored.ravel()].mean())
    assert printed["perplexity"] == pytest.approx(scored, rel=1e-5)
    plain, _ = run(capsys, "perplexity", toy, *given)
    assert printed["mean_kl_divergence"] > 1.2 * plain["mean_kl_divergence"]
    q8 = refused(capsys, "perplexity", toy, *given[:2], *by(toy, method), "--activations", "Q8")
    assert q8.endswith("rounds inputs itself: leave activations at F32.")


def test_errors_of_outputs_are_with_rounded_inputs_where_a_method_rounds_them(toy, capsys):
    errors, plain = (
        run(capsys, "error", toy, "--type", "INT8_ROW", *by(toy, method))[0]["tensors"]
        for method in ("smoothquant", "rtn")
    )
    model = open_model(toy)
    stored = result_of(stored_by_steps(model, "INT8_ROW", "smoothquant", TEXT))
    name = "blk.0.ffn_gate.weight"
    given = calibrate(model, calibration_tokens(model, TEXT), [name], ["rows"], n_rows=10**6)[name]
    chosen, weights = stored.chosen[name], model.weights(name)
    codes = rounded(given.rows / chosen.column_scales, "INT8_TOKEN")
    output = codes @ chosen.format.dequantize(chosen.packed).T
    expected = relative_error(given.rows @ weights.T, output, None)
    (row,) = (each for each in errors if each["name"] == name)
    assert row["output_error"] == pytest.approx(expected, rel=1e-4)
    (alone,) = (each for each in plain if each["name"] == name)
    assert row["output_error"] > 1.1 * alone["output_error"]


def test_no_file_rounds_inputs_as_a_method_does(toy, tmp_path, capsys):
    out = ("--output", tmp_path / "toy.gguf")
    said = refused(capsys, "quantize", toy, "--type", "Q8_0 pure", *by(toy, "smoothquant"), *out)
    assert said.startswith("SmoothQuant rounds inputs too") and not (tmp_path / "toy.gguf").exists()


def test_bits_count_what_a_method_stores_besides(toy):
    """Signs of a rotation: a bit for each column and each row of every matrix that is turned."""
    model = open_model(toy)
    stored = result_of(stored_by_steps(model, "INT4_G32", "rotation", TEXT))
    besides = stored_bytes(model, stored) - stored_bytes(model, "INT4_G32")
    turned = [name for name, each in stored.chosen.items() if each.rotation is not None]
    assert len(turned) >= 14
    assert besides == sum(
        stored.chosen[name].stored_bytes - stored.chosen[name].format.stored_bytes(shape)
        for name, shape in ((name, model.tensors[name].shape) for name in turned)
    )
    assert besides >= sum(max(model.tensors[name].shape) for name in turned) / 8
