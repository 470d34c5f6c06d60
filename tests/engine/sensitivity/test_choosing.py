"""`sensitivity --by METHOD`: pieces whose codes a method chooses, and results that say so."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from quantcore import open_model
from quantcore.cli import main
from quantcore.evaluate.drift import compare
from quantcore.evaluate.quantized import StoredByMethod
from quantcore.evaluate.text import calibration_tokens, cut
from quantcore.formats import get_format
from quantcore.methods import METHODS, ROUND_INPUTS, get_method
from quantcore.methods.inputs.calibration import calibrate
from quantcore.methods.method import Chosen
from quantcore.methods.whole_model import choose_all
from quantcore.pool import threads
from quantcore.sensitivity import results as kept
from quantcore.sensitivity.choosing import choosing_of
from quantcore.sensitivity.measure import (
    Assignment,
    Settings,
    measure_sensitivity,
    on_worker,
    read_for,
)
from quantcore.sensitivity.pieces import Piece
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded at all. " * 6
Q = "blk.1.attn_q.weight"
SHOWN = "A goose sat in the boat. Who had rowed it there, the ferryman could not say. " * 6


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    (folder / "shown.txt").write_text(SHOWN, encoding="utf-8")
    return open_model(write_folder(folder / "toy", CONFIG))


def settings(**more):
    given = {"formats": ("INT3_G32",), "text": TEXT, "context": 64, "calibration": SHOWN}
    return Settings(**given | more)


@pytest.fixture(scope="module")
def by_gptq(model):
    return measure_sensitivity(model, settings(by="gptq")).results


def whole(model, by, names):
    """Divergence of the whole model in which a method stored these and nothing else."""
    fmt, tokens = get_format("INT3_G32"), calibration_tokens(model, SHOWN)
    as_is = {
        name: Chosen(format=get_format("F32"), packed=None, restored=model.weights(name),
                     stored_bytes=4 * model.tensors[name].n_weights)
        for name in model.quantizable
    }  # fmt: skip
    with threads(1):  # as pieces are: the last bit of an input may tip codes over
        chosen = choose_all(model, get_method(by), dict.fromkeys(names, fmt), tokens)
    unscaled = {name: replace(each, column_scales=None, row_scales=None)
                for name, each in chosen.items()}  # fmt: skip
    stored = StoredByMethod("some", by, as_is | unscaled)
    *_, last = compare(model, {"this": stored}, cut(model, TEXT, 64))
    return last.result.drifts["this"].mean_kl_divergence


@pytest.mark.parametrize("by", ["gptq", "qronos", "awq"])
def test_a_piece_is_the_whole_model_with_that_stored_by_the_method(model, by):
    """A matrix, a layer, everything; and all but the layer."""
    found = measure_sensitivity(model, settings(by=by, groups=["tensor"])).results
    both = settings(by=by, groups=["layer", "all"], hows=["alone", "kept"])
    found = measure_sensitivity(model, both, found).results
    assert found.source.by == by
    layer = [name for name in model.quantizable if model.tensors[name].layer == 1]
    pieces = {("tensor", layer[3]): [layer[3]], ("layer", "1"): layer, ("all", "all"): None}
    for (group, name), names in pieces.items():
        alone = found.effect(name, "INT3_G32", group).mean_kl_divergence
        expected = whole(model, by, model.quantizable if names is None else names)
        assert alone == pytest.approx(expected, rel=1e-4), name
        if group == "layer":
            others = [each for each in model.quantizable if each not in names]
            without = found.effect(name, "INT3_G32", group, "kept").mean_kl_divergence
            assert without == pytest.approx(whole(model, by, others), rel=1e-4), name


def test_a_method_costs_less_than_rounding(model, by_gptq):
    rounded = measure_sensitivity(model, settings()).results
    pairs = [
        (by_gptq.effect(name, "INT3_G32"), rounded.effect(name, "INT3_G32"))
        for name in model.quantizable
    ]
    embedding, *matrices = pairs
    assert embedding[0].mean_kl_divergence == embedding[1].mean_kl_divergence  # has no inputs
    chosen, plain = np.transpose([[e.mean_kl_divergence for e in pair] for pair in matrices])
    assert np.mean(chosen < plain) > 0.8
    assert (rounded.source.by, rounded.source.calibration_digest) == ("", "")


def test_results_of_another_way_are_not_gone_on_with(model, by_gptq, tmp_path):
    path = tmp_path / "found.json"
    by_gptq.save(path)
    again = measure_sensitivity(model, settings(by="GPTQ"), kept.load(path))
    assert again.effect is None and again.results.source == by_gptq.source
    for other, said in (
        ({}, r"of codes chosen by gptq, not rounding: use another file"),
        ({"by": "awq"}, r"of codes chosen by gptq, not codes chosen by awq: use another"),
        ({"by": "gptq", "calibration": TEXT}, r"by gptq calibrated on another text: use another"),
    ):
        with pytest.raises(ValueError, match=said):
            measure_sensitivity(model, settings(**other), kept.load(path))


def test_a_worker_elsewhere_measures_the_same(model, by_gptq):
    """With what was sent to it: its model is opened anew."""
    mine, choosing = settings(by="gptq"), choosing_of(model, "gptq", SHOWN)
    reading, source = read_for(model, mine, choosing)
    sent = Assignment(model.address, model.given, reading, source, choosing)
    piece = Piece("tensor", Q, "alone", "INT3_G32", (Q,))
    with threads(1):
        effect = on_worker(pickle.loads(pickle.dumps(sent)), piece)
    assert effect == by_gptq.effect(Q, "INT3_G32")


def test_a_file_from_before_is_of_rounding(model, by_gptq, tmp_path):
    rounded = measure_sensitivity(model, settings()).results
    path = tmp_path / "found.json"
    rounded.save(path)
    raw = json.loads(path.read_text(encoding="utf-8"))
    del raw["by"], raw["calibration_digest"]
    path.write_text(json.dumps(raw), encoding="utf-8")
    assert kept.load(path).source == rounded.source
    with pytest.raises(ValueError, match="of rounding, not codes chosen by gptq"):
        measure_sensitivity(model, settings(by="gptq"), kept.load(path))


def command(model, path, *more, shown="shown.txt"):
    folder = model.path.parent
    return ["sensitivity", str(model.path), "--text", str(folder / "text.txt"), "--context", "64",
            "--types", "Q4_0", "--by", "gptq", "--calibration", str(folder / shown),
            "--output", str(path), *more]  # fmt: skip


def test_the_command(model, tmp_path, capsys):
    path = tmp_path / "found.json"
    assert main(command(model, path, "--json")) == 0
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed["by"] == "gptq" and printed["calibration_digest"] and "judges" not in err
    assert main(command(model, path)) == 0
    assert "each tensor alone by gptq" in capsys.readouterr().out
    plan = ["plan", str(model.path), "--sensitivity", str(path), "--budget", "6bpw", "--json"]
    assert main(plan) == 0
    assert json.loads(capsys.readouterr().out)["measured_with"] == "gptq"
    assert main(command(model, tmp_path / "own.json", shown="text.txt")) == 0
    assert "is the one that the method was calibrated on" in capsys.readouterr().err


def test_mistakes_get_one_sentence(model, tmp_path, capsys):
    def refused(*more):
        assert main(command(model, tmp_path / "none.json", *more)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert not (tmp_path / "none.json").exists()
        return line

    assert "do not go with --by" in refused("--guides")
    assert "GPTQ can choose nothing in BF16: BF16 has no scales" in refused("--types", "BF16")
    assert "SmoothQuant rounds inputs too" in refused("--by", "smoothquant")
    assert "There are rtn" in refused("--by", "best")


def test_methods_that_round_inputs_are_known(model):
    name = "blk.0.attn_q.weight"
    inputs = calibrate(model, calibration_tokens(model, SHOWN), [name],
                       ["second_moment", "rows"])[name]  # fmt: skip
    found = set()
    for method in METHODS.values():
        only = {"llm_int8": "INT8_ROW"}
        only |= dict.fromkeys(("four_over_six", "mse_scales"), "NVFP4_TENSOR")
        fmt = get_format(only.get(method.name, "INT4_G32"))
        given = replace(inputs, cross_moment=inputs.second_moment)
        weights = get_format("INT4_G32").round_trip(model.weights(name))  # on a grid: all take them
        if method.choose(weights, fmt, given).inputs != "F32":
            found.add(method.name)
    assert found == set(ROUND_INPUTS)
