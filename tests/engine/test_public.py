"""The public surface: names that editors see, verbs that work to the end, and their steps."""

import ast
import importlib

import numpy as np
import pytest

import quantcore
from quantcore.io.gguf import read_gguf
from quantcore.progress import Progress, result_of
from tests.support.places import ROOT
from tests.support.toy_model import write_folder

TEXT = "The old miller of Goldfield had three sons and a mill, and little else to leave. " * 40


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return quantcore.open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


def test_editors_see_what_python_finds():
    tree = ast.parse((ROOT / "quantcore" / "__init__.py").read_text(encoding="utf-8"))
    (seen,) = [node for node in tree.body if isinstance(node, ast.If)]
    homes = {
        alias.name: node.module
        for node in seen.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == quantcore._HOMES
    for name, module in homes.items():
        assert getattr(quantcore, name) is getattr(importlib.import_module(module), name)


def test_quantize_writes_a_file_without_being_asked_twice(toy, tmp_path):
    path = quantcore.quantize(toy, "Q8_0", tmp_path / "toy.gguf")
    assert path == tmp_path / "toy.gguf"
    assert {t.type for t in read_gguf(path).tensors.values()} >= {"Q8_0", "F32"}
    planned = quantcore.plan(toy, "Q8_0")
    (*_, last) = quantcore.quantize_steps(toy, planned, tmp_path / "again.gguf")
    assert last.result.read_bytes() == path.read_bytes()


def test_steps_that_nobody_takes_write_nothing(toy, tmp_path):
    quantcore.quantize_steps(toy, quantcore.plan(toy, "Q8_0"), tmp_path / "toy.gguf")
    assert not list(tmp_path.iterdir())


def test_an_exception_of_the_listener_ends_the_work_and_leaves_nothing(toy, tmp_path):
    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantcore.quantize(toy, "Q8_0", tmp_path / "toy.gguf", on_progress=stop)
    assert not list(tmp_path.iterdir())


def test_each_measuring_verb_returns_what_its_last_step_carries(toy):
    shares = []

    def watch(step):
        shares.append(step.share)

    drift = quantcore.measure_drift(toy, "Q4_0", TEXT, 64, on_progress=watch)
    (other,) = result_of(quantcore.drift_steps(toy, "Q4_0", TEXT, 64)).drifts.values()
    assert drift.mean_kl_divergence == other.mean_kl_divergence > 0
    assert shares == sorted(shares) and shares[-1] == 1

    imatrix = quantcore.measure_imatrix(toy, TEXT, 64)
    steps = result_of(quantcore.imatrix_steps(toy, TEXT, 64))
    for name, values in imatrix.sums.items():
        np.testing.assert_array_equal(values, steps.sums[name])


def test_sensitivity_and_a_plan_for_a_budget(toy):
    from quantcore.sensitivity.measure import Settings

    settings = Settings(formats=["Q4_0", "Q8_0"], text=TEXT, context=64)
    swept = quantcore.measure_sensitivity(toy, settings)
    assert not swept.problems
    assert len(swept.results.effects) == 2 * (len(toy.quantizable) + 1)
    made = quantcore.plan_for_budget(toy, "6bpw", measured=swept.results)
    assert made.padded_bytes <= made.budget_bytes


def test_memory_of_a_known_model_as_published():
    taken = quantcore.estimate_memory("Llama-3.1-8B", "F16", context=131_072)
    assert taken.kv_cache_bytes == 16 * 2**30


def test_work_without_a_result_says_so():
    with pytest.raises(ValueError, match="without a result"):
        result_of(iter([Progress(1.0, "done")]))
