"""What the tensors of the shipped model cost was measured: some of it is measured again."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from quantcore import open_model
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.skills import skill_steps
from quantcore.evaluate.text import calibration_text, cut
from quantcore.model.shipped import shipped_folder
from quantcore.progress import result_of
from quantcore.sensitivity.bench import Bench
from quantcore.sensitivity.guides import GUIDES
from quantcore.sensitivity.measure import Settings, read_for
from quantcore.sensitivity.pieces import DEFAULT_FORMATS, GROUPS, HOWS, checked_formats, pieces_of
from quantcore.sensitivity.reading import first_questions, reading_of
from quantcore.sensitivity.results import guide_ranks, load, shipped
from tests.support.patience import PATIENCE_S, wait_until

LATE = ("layer", "6", "alone", "IQ4_XS")
AGAIN_ON_THE_TEXT = [LATE, ("role", "attn_output", "kept", "Q2_K")]
AGAIN_ON_QUESTIONS = [LATE, ("tensor", "blk.4.attn_v.weight", "alone", "Q2_K")]


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def results():
    return shipped()


@pytest.fixture(scope="module")
def pieces(model):
    formats = checked_formats(model, DEFAULT_FORMATS)
    return {(p.group, p.name, p.how, p.format): p for p in pieces_of(model, formats, GROUPS, HOWS)}


def test_it_is_of_the_model_that_ships_and_whole(results, model, pieces):
    results.refuse_other_model(model.name, model.fingerprint)
    # What is chosen by it is judged on another text.
    assert results.source.text == "calibration.txt"
    assert (results.source.tokens, results.source.questions) == (24_576, 20)
    assert results.source.imatrix_digest == ""
    assert all(results.has(piece) for piece in pieces.values())
    assert len(results.guides) == len(model.quantizable) * len(DEFAULT_FORMATS)
    assert (shipped_folder() / "sensitivity.json").stat().st_size < 800_000


def test_some_effects_come_out_again(results, model, pieces):
    """On the whole text, but without the questions, which take as long."""
    tokens, questions = results.source.tokens, results.source.questions
    _, source = read_for(model, Settings(tokens=tokens, questions=questions))
    assert source == results.source
    bench = Bench(model, read_for(model, Settings(tokens=tokens))[0])
    for place in AGAIN_ON_THE_TEXT:
        kept, again = _kept(results, place), bench.measure(pieces[place])
        assert kept.bytes == again.bytes
        for figure in ("mean_kl_divergence", "kl_low", "kl_high", "perplexity_ratio", "perplexity"):
            assert getattr(kept, figure) == pytest.approx(getattr(again, figure), rel=2e-3), figure


def test_some_answers_come_out_again(results, model, pieces):
    """To all the questions, after a start of the text."""
    settings = Settings(tokens=1024, questions=results.source.questions)
    bench = Bench(model, read_for(model, settings)[0])
    for place in AGAIN_ON_QUESTIONS:
        kept, again = _kept(results, place).skills, bench.measure(pieces[place]).skills
        assert [(s.skill, s.level, s.correct) for s in kept] == [
            (s.skill, s.level, s.correct) for s in again
        ]
        for mine, other in zip(kept, again, strict=True):
            assert mine.log_probability_change == pytest.approx(
                other.log_probability_change, rel=0.02, abs=1e-5
            )


def _kept(results, place):
    group, name, how, format_name = place
    return results.effect(name, format_name, group, how)


def test_answers_are_those_of_the_command_skills(model, pieces):
    """Right by the words of a continuation there, token by token here."""
    questions = first_questions(8)
    reading = reading_of(model, cut(model, calibration_text(), 64).first(2), questions)
    bench = Bench(model, reading)
    original = result_of(skill_steps(model, llama_of(model, None), questions))
    for group, name in (("all", "all"), ("layer", "7")):
        piece = pieces[group, name, "alone", "Q2_K"]
        types = dict.fromkeys(model.quantizable, "F32") | dict.fromkeys(piece.tensors, "Q2_K")
        answers = result_of(skill_steps(model, llama_of(model, types), questions))
        changes = bench.measure(piece).skills
        assert [(c.skill, c.level, c.correct, c.total) for c in changes] == [
            (s.skill, s.level, s.correct, s.total) for s in answers
        ]
        assert [c.original_correct for c in changes] == [s.correct for s in original]
        assert all(c.change_low <= c.log_probability_change <= c.change_high for c in changes)


def test_small_effects_add_up(results, model):
    """Of fine formats the sum over tensors is the whole; of coarse ones they add to each other."""
    for format_name in ("Q4_K", "Q5_K", "Q6_K"):
        alone = [results.effect(name, format_name).mean_kl_divergence for name in model.quantizable]
        joint = results.effect("all", format_name, "all").mean_kl_divergence
        assert np.sum(alone) == pytest.approx(joint, rel=0.15)


def test_guides_know_it_better_the_more_they_cost(results):
    ranks = guide_ranks(results, "Q4_K")
    assert set(ranks) == set(GUIDES)
    assert ranks["fisher"] > 0.9 > ranks["weight_error"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_run_that_is_ended_leaves_what_it_found(keys_are_heard, tmp_path, how):
    path = tmp_path / "found.json"
    command = [sys.executable, "-m", "quantcore", "sensitivity", "--output", str(path)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until(path.exists)
    run.send_signal(how)
    _, said = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert said.splitlines()[-1] == "Stopped."
        assert [each.name for each in tmp_path.iterdir()] == ["found.json"]
    assert 0 < len(load(path).effects) < 457
