"""Cheaper guides, by their definitions: inputs written out, gradients squared one by one."""

import numpy as np
import pandas as pd
import pytest

from quantcore import FORMATS, Llama, measure_imatrix, open_model, write_imatrix
from quantcore.cli import main
from quantcore.evaluate.text import cut
from quantcore.sensitivity.guides import GUIDES, guide_steps, rank_correlation
from quantcore.sensitivity.measure import Settings, guide_steps_of, saving, sensitivity_steps
from quantcore.sensitivity.pieces import checked_formats
from quantcore.sensitivity.results import Sensitivity, guide_ranks, load
from tests.support.toy_model import write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded at all. " * 12


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("models") / "toy")
    write_imatrix(folder / "imatrix.gguf", measure_imatrix(open_model(folder), TEXT, 64))
    return open_model(folder)


@pytest.fixture(scope="module")
def guides(model):
    chunks = cut(model, TEXT, 64)
    steps = guide_steps(model, checked_formats(model, ["Q4_0", "Q8_0"]), chunks)
    results = [step.result for step in steps if step.result]
    assert len(results) == 2 * len(model.quantizable)
    return {(guide.name, guide.format): guide for guide in results}


@pytest.mark.parametrize("role", ["attn_v", "attn_output", "ffn_up", "ffn_down"])
def test_errors_by_their_definition(model, guides, role):
    name = f"blk.1.{role}.weight"
    chunks, seen = cut(model, TEXT, 64), []

    def watch(names, rows):
        if name in names:
            seen.append(rows.copy())

    weights = {each: model.weights(each) for each in model.tensors}
    Llama(model.config, weights, watch=watch).hidden(chunks.inputs)
    inputs = np.concatenate(seen).astype(np.float64)
    error = (FORMATS["Q4_0"].round_trip(weights[name]) - weights[name]).astype(np.float64)
    importance = np.square(inputs).mean(axis=0)

    def relative(transform):
        sums = [np.square(transform(each)).sum() for each in (error, weights[name])]
        return np.sqrt(sums[0] / sums[1])

    guide = guides[name, "Q4_0"]
    assert guide.weight_error == pytest.approx(relative(lambda w: w), rel=1e-5)
    assert guide.weighted_error == pytest.approx(
        relative(lambda w: w * np.sqrt(importance)), rel=1e-4
    )
    assert guide.output_error == pytest.approx(relative(lambda w: inputs @ w.T), rel=1e-4)


def test_the_embedding_has_no_weighted_error(guides):
    guide = guides["token_embd.weight", "Q4_0"]
    assert guide.weighted_error is None
    assert guide.output_error > 0  # it is the output matrix too


def test_fisher_predicts_the_divergence_of_small_changes(model, guides):
    """As a parabola does near its bottom: the right size for the finest format."""
    *_, last = sensitivity_steps(model, Settings(formats=["Q8_0"], text=TEXT, context=64))
    ratios = []
    for name in model.quantizable:
        measured = last.result.results.effect(name, "Q8_0").mean_kl_divergence
        ratios.append(guides[name, "Q8_0"].fisher / measured)
    assert 0.5 < np.median(ratios) < 2
    assert all(0.2 < ratio < 5 for ratio in ratios)


def test_guides_are_kept_with_the_results(model, tmp_path):
    *_, last = sensitivity_steps(model, Settings(formats=["Q4_0"], text=TEXT, context=64))
    for _ in guide_steps_of(model, last.result.results, ["Q4_0"], TEXT):
        pass
    last.result.results.save(tmp_path / "found.json")
    again = load(tmp_path / "found.json")
    assert len(again.guides) == len(model.quantizable)
    ranks = guide_ranks(again)
    assert set(ranks) == {"weight_error", "weighted_error", "output_error", "fisher"}
    names = [guide.name for guide in again.guides]
    table = pd.DataFrame(
        {
            "fisher": [guide.fisher for guide in again.guides],
            "measured": [again.effect(name, "Q4_0").mean_kl_divergence for name in names],
        }
    )
    assert ranks["fisher"] == pytest.approx(table.corr("spearman").iloc[0, 1])


@pytest.mark.parametrize("n_known", [0, 1, 11, 29])
def test_guides_that_were_stopped_go_on(model, guides, tmp_path, n_known):
    """After some of them, in a file: the rest is computed, and nothing twice."""
    path, settings = tmp_path / "found.json", Settings(formats=["Q4_0", "Q8_0"], text=TEXT,
                                                       context=64, groups=["all"])  # fmt: skip
    *_, last = sensitivity_steps(model, settings)
    steps = saving(guide_steps_of(model, last.result.results, settings.formats, TEXT), path)
    for step in steps:
        if len(step.result.results.guides) == n_known:
            break
    steps.close()  # as a cancel does
    known = load(path)
    assert len(known.guides) == n_known
    counts = [len(step.result.results.guides)
              for step in guide_steps_of(model, known, settings.formats, TEXT)]  # fmt: skip
    assert max(np.diff(counts)) == 1 and counts[-1] == len(guides) == 30
    for guide in known.guides:
        whole = guides[guide.name, guide.format]
        for each in GUIDES:
            mine, expected = getattr(guide, each), getattr(whole, each)
            assert mine == (expected and pytest.approx(expected, rel=1e-5))
    assert len(list(guide_steps_of(model, known, settings.formats, TEXT))) == 1  # nothing is left


def test_a_format_that_is_added_leaves_the_guides_of_others(model):
    *_, last = sensitivity_steps(model, Settings(formats=["Q4_0"], text=TEXT, context=64))
    results = last.result.results
    list(guide_steps_of(model, results, ["Q4_0"], TEXT))
    before = results.guides
    list(guide_steps_of(model, results, ["Q8_0", "Q4_0"], TEXT))
    assert results.guides[: len(before)] == before
    assert {guide.format for guide in results.guides[len(before) :]} == {"Q8_0"}
    assert results.without_guides({"Q8_0": model.quantizable, "Q4_0": model.quantizable}) == {}


def test_the_command_computes_the_guides_that_lack(model, tmp_path, capsys):
    path, text = tmp_path / "found.json", tmp_path / "river.txt"
    text.write_text(TEXT, encoding="utf-8")
    command = ["sensitivity", str(model.path), "--text", str(text), "--context", "64",
               "--output", str(path), "--types", "Q4_0,Q8_0", "--guides"]  # fmt: skip
    assert main(command) == 0
    whole = load(path)
    part = Sensitivity(whole.source)
    for effect in whole.effects:
        part.add(effect)
    for guide in whole.guides[:7]:
        part.add_guide(guide)
    part.save(path)
    assert main(command) == 0
    before, after = (
        {
            (g.name, g.format, each): getattr(g, each)
            for g in results.guides
            for each in GUIDES
            if getattr(g, each) is not None
        }
        for results in (whole, load(path))
    )
    # Kept to six digits, of sums in float32 whose order is the BLAS kernel's and the memory's.
    assert after == pytest.approx(before, rel=1e-4)
    plan = ["plan", str(model.path), "--budget", "6bpw", "--sensitivity", str(path)]
    capsys.readouterr()
    assert main([*plan, "--by", "fisher"]) == 0
    part.save(path)
    assert main([*plan, "--by", "fisher"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "python -m quantcore sensitivity --guides" in said


def test_rank_correlation_is_that_of_pandas():
    rng = np.random.default_rng(0)
    for first, second in (
        (rng.normal(size=30), rng.normal(size=30)),
        (rng.integers(0, 5, 30), rng.integers(0, 5, 30)),
        (np.arange(5), -np.arange(5)),
    ):
        expected = pd.DataFrame({"a": first, "b": second}).corr("spearman").iloc[0, 1]
        assert rank_correlation(first, second) == pytest.approx(expected)
    assert np.isnan(rank_correlation([1, 1], [1, 2]))
