"""`quantize --by awq`: scales of columns go into norms, biases and the matrices before."""

import numpy as np
import pytest

from quantcore.cli import main
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.whole_by_method import stored_by_steps
from quantcore.methods.fold import deployed
from quantcore.model.source import open_model
from quantcore.progress import result_of
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 20
TOKENS = np.random.default_rng(1).integers(3, 250, 60)


@pytest.fixture(scope="module", params=[2, 4], ids=["shared heads", "heads of their own"])
def toy(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    config = CONFIG | {"tie_word_embeddings": False, "num_key_value_heads": request.param}
    return write_folder(folder / "toy", config)


def written(source, toy, path, *more):
    text = str(toy.parent / "text.txt")
    command = ["quantize", str(source), "--by", "awq", "--calibration", text, *more]
    assert main([*command, "--output", str(path)]) == 0
    return open_model(path)


def floats(source, path):
    assert main(["quantize", str(source), "--type", "F32", "--output", str(path)]) == 0
    return path


@pytest.mark.parametrize("from_file", [False, True], ids=["folder", "file"])
def test_the_file_computes_what_was_measured(toy, tmp_path, capsys, from_file):
    """Also of a GGUF file, whose norms are stored as F32 already: they change all the same."""
    model = open_model(toy)
    source = floats(toy, tmp_path / "f32.gguf") if from_file else toy
    file = written(source, toy, tmp_path / "toy.gguf", "--type", "Q4_0 pure")
    stored = result_of(stored_by_steps(model, "Q4_0 pure", "awq", TEXT))
    weights = {name: model.weights(name) for name in model.tensors}
    ours = llama_of(file).logits(TOKENS)
    np.testing.assert_array_equal(
        ours, deployed(model.config, weights, stored.chosen).logits(TOKENS)
    )
    measured = llama_of(model, stored).logits(TOKENS)
    assert np.abs(ours - measured).max() < 1e-5 * np.abs(measured).max()
    for name in ("blk.0.attn_norm.weight", "blk.1.ffn_norm.weight", "output_norm.weight"):
        assert not np.allclose(file.weights(name), model.weights(name)), name
    names = {name for name in model.quantizable if file.tensors[name].dtype == "Q4_0"}
    assert names == set(model.quantizable)
    said = capsys.readouterr().err
    shared = model.config.n_kv_heads < model.config.n_heads
    assert (
        "blk.0.attn_output.weight: No scales: its input comes from fewer rows" in said
    ) == shared


def test_what_a_file_holds_already_stays_and_so_nothing_folds_into_it(toy, tmp_path, capsys):
    mix = ("--type", "Q8_0 pure", "--tensor-type", "attn_v|ffn_up=Q4_1")
    source = tmp_path / "first.gguf"
    assert main(["quantize", str(toy), *mix, "--output", str(source)]) == 0
    first = open_model(source)
    now = ("--type", "Q4_0 pure", "--tensor-type", "attn_v|ffn_up=Q4_1")
    file = written(source, toy, tmp_path / "second.gguf", *now)
    said = capsys.readouterr().err
    for role in ("attn_q", "attn_k", "ffn_gate"):
        assert f"blk.1.{role}.weight: No scales: another matrix has the same input" in said
    assert "blk.1.ffn_down.weight: No scales: ffn_up, whose rows would take them, stays" in said
    for name in first.tensors:
        stays = any(role in name for role in ("attn_v", "ffn_up", "blk.0.attn_norm", "ffn_norm"))
        if stays:
            np.testing.assert_array_equal(file.weights(name), first.weights(name))
        elif name.endswith("attn_q.weight"):
            assert not np.array_equal(file.weights(name), first.weights(name))
    stored = result_of(
        stored_by_steps(first, {n: file.tensors[n].dtype for n in first.quantizable}, "awq", TEXT)
    )
    ours, measured = (each.logits(TOKENS) for each in (llama_of(file), llama_of(first, stored)))
    assert np.abs(ours - measured).max() < 1e-5 * np.abs(measured).max()
