"""What one tensor costs alone: measured with reused states, and by whole models beside it."""

import json

import numpy as np
import pytest

from quantcore import FORMATS, open_model
from quantcore.cli import main
from quantcore.evaluate.drift import compare
from quantcore.evaluate.intervals import interval
from quantcore.evaluate.text import cut
from quantcore.sensitivity import results as stored
from quantcore.sensitivity.measure import Settings, sensitivity_steps
from quantcore.sensitivity.pieces import GROUPS, HOWS
from tests.support import toy_model
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded at all. " * 12
FORMATS_OF_TOY = ("Q4_0", "Q8_0")
CONTEXT = 64


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "toy"
    config = CONFIG | {"tie_word_embeddings": request.param}
    if request.param:
        return open_model(write_folder(folder, config))
    return open_model(_untied(folder, config))


def _untied(folder, config):

    write_folder(folder, config)
    arrays = toy_model.tensors(config)
    shape = arrays["model.embed_tokens.weight"].shape
    arrays["lm_head.weight"] = np.random.default_rng(9).normal(0, 0.2, shape).astype(np.float32)
    toy_model.write_safetensors(folder / "model.safetensors", arrays)
    return folder


def _settings(**more):
    return Settings(**dict(formats=FORMATS_OF_TOY, text=TEXT, context=CONTEXT) | more)


@pytest.fixture(scope="module")
def results(model):
    *_, last = sensitivity_steps(model, _settings(groups=GROUPS, hows=HOWS, text_name="river"))
    return last.result.results


def _whole(model, quantized):
    """Measure the same by a whole model, as Drift does."""
    chunks = cut(model, TEXT, CONTEXT)
    *_, last = compare(model, {"this": dict.fromkeys(model.quantizable, "F32") | quantized}, chunks)
    return last.result.drifts["this"]


def test_every_piece_is_what_the_whole_model_says(model, results):
    """Each effect against a model built with these weights, run from its first token."""
    for effect in results.effects:
        if effect.format != "Q4_0":
            continue
        tensors = [
            name
            for name in model.quantizable
            if effect.name
            in (name, str(model.tensors[name].layer), model.tensors[name].role, "all")
        ]
        others = [name for name in model.quantizable if name not in tensors]
        drift = _whole(
            model, dict.fromkeys(tensors if effect.how == "alone" else others, effect.format)
        )
        assert drift.tokens_scored == results.source.tokens_scored
        assert effect.mean_kl_divergence == pytest.approx(drift.mean_kl_divergence, rel=1e-4)
        assert effect.perplexity == pytest.approx(drift.perplexity, rel=1e-5)
        assert effect.perplexity_ratio == pytest.approx(drift.perplexity_ratio, rel=1e-5)
        assert effect.same_top_token == pytest.approx(drift.same_top_token, abs=0.01)
        assert effect.bytes == sum(
            FORMATS[effect.format].stored_bytes(model.tensors[name].shape) for name in tensors
        )


def test_a_stopped_sweep_goes_on(model, results, tmp_path):
    """What is kept is not measured again, and the end is the same as without a stop."""
    path = tmp_path / "found.json"
    settings = _settings(groups=("tensor",), text_name="river")
    steps = sensitivity_steps(model, settings)
    for step, _ in zip(steps, range(10), strict=False):
        step.result.results.save(path)
    steps.close()
    half = stored.load(path)
    assert 0 < len(half.effects) < 2 * len(model.quantizable)
    rest = list(sensitivity_steps(model, settings, stored.load(path)))
    new = [step.result.effect for step in rest if step.result.effect]
    assert len(new) + len(half.effects) == 2 * len(model.quantizable)
    rest[-1].result.results.save(path)
    again = stored.load(path)
    for effect in again.effects:
        kept = results.effect(effect.name, effect.format)
        assert effect.mean_kl_divergence == pytest.approx(kept.mean_kl_divergence, rel=1e-5)
    assert not list(tmp_path.glob("*.tmp"))


def test_results_of_something_else_are_refused(model, results, tmp_path):
    path = tmp_path / "found.json"
    results.save(path)
    known = stored.load(path)
    assert known.source == results.source
    with pytest.raises(ValueError, match="other tokens"):
        sensitivity_steps(model, _settings(text=TEXT[9:]), known)
    with pytest.raises(ValueError, match="other tokens"):
        sensitivity_steps(model, _settings(context=32), known)
    other = open_model(write_folder(tmp_path / "other", seed=5))
    with pytest.raises(ValueError, match="other weights"):
        sensitivity_steps(other, _settings(), known)


@pytest.mark.parametrize(
    ("formats", "text", "more", "sentence"),
    [
        (["Q4_0"], "ten tokens", {}, "at least 128"),
        (["Q4_0"], TEXT, {"tokens": 100_000}, "are asked for"),
        (["Q4_0"], TEXT, {"tokens": 64}, "takes 128 or more"),
        (["Q4_K"], TEXT, {}, "Q4_K can store no tensor"),
        (["Q5_9"], TEXT, {}, "Q5_9"),
        ([], TEXT, {}, "No format"),
    ],
)
def test_bad_input_is_one_sentence_before_any_work(model, formats, text, more, sentence):
    with pytest.raises(ValueError, match=sentence):
        sensitivity_steps(model, _settings(formats=formats, text=text, **more))


def test_a_broken_file_is_one_sentence(results, tmp_path):
    path = tmp_path / "found.json"
    results.save(path)
    whole = path.read_text(encoding="utf-8")
    for broken in (whole[:-20], "{}", "[]", whole.replace('"tensor"', "7", 1)[:-3], "",
                   whole.replace('"effects"', '"effect"')):  # fmt: skip
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(ValueError):
            stored.load(path)
    with pytest.raises(ValueError, match="missing"):
        stored.load(tmp_path / "none.json")


def test_intervals_are_those_of_resampled_blocks():
    """A mean of 64 blocks that differ by chance: about 2 standard errors each way."""
    values = np.repeat(np.random.default_rng(3).normal(5, 1, (8, 8)), 32, axis=1)
    low, high = interval(values)
    error = values[:, ::32].std() / 8
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.35 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.35 * error)
    assert interval(values) == (low, high)


def test_the_command(model, tmp_path, capsys):
    path, text = tmp_path / "found.json", tmp_path / "river.txt"
    text.write_text(TEXT, encoding="utf-8")
    command = ["sensitivity", str(model.path), "--text", str(text), "--context", "64"]
    command += ["--output", str(path)]
    assert main([*command, "--types", "q4_0,Q8_0", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["tokens"] == printed["context"] * (printed["tokens"] // 64)
    assert len(printed["effects"]) == 2 * (len(model.quantizable) + 1)
    before = path.stat().st_mtime_ns
    assert main([*command, "--types", "Q4_0"]) == 0  # nothing is left to measure
    assert "blk.0." in capsys.readouterr().out
    assert path.stat().st_mtime_ns > before
    text.write_text(TEXT[7:], encoding="utf-8")
    assert main([*command, "--types", "Q4_0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*command[:-1], str(tmp_path / "no" / "f.json")]) == 2


def test_all_pieces_are_there(model, results):
    names = {(e.group, e.name, e.how, e.format) for e in results.effects}
    roles = {model.tensors[name].role for name in model.quantizable}
    assert (
        len(names)
        == len(results.effects)
        == 2 * (2 * (len(model.quantizable) + 2 + len(roles)) + 1)
    )
    assert all(e.kl_low <= e.mean_kl_divergence <= e.kl_high for e in results.effects)
    assert all(e.ratio_low <= e.perplexity_ratio <= e.ratio_high for e in results.effects)
    finer = results.effect("blk.1.ffn_up.weight", "Q8_0").mean_kl_divergence
    assert finer < results.effect("blk.1.ffn_up.weight", "Q4_0").mean_kl_divergence / 20
