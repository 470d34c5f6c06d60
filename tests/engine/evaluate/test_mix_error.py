"""The error of a whole mix: measured step by step, kept, and that of the file made so."""

import math

import numpy as np
import pytest

from quantcore import open_model, plan, tensor_error
from quantcore.evaluate.file_error import restored_errors, total_rmse
from quantcore.evaluate.mix_error import Case, ErrorTable, error_steps, total_error
from quantcore.formats import get_format
from quantcore.recipe.quantize import quantize
from tests.support.toy_model import CONFIG, write_folder

QUERY = "blk.0.attn_q.weight"


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    config = CONFIG | {"hidden_size": 256, "intermediate_size": 512}
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy", config))


def test_it_is_the_error_of_all_weights_laid_end_to_end(model):
    mix = plan(model, "Q4_K_S")
    noise = signal = 0.0
    for name in model.quantizable:
        weights = model.weights(name).astype(np.float64)
        restored = get_format(mix.types[name]).round_trip(model.weights(name))
        noise += ((restored - weights) ** 2).sum()
        signal += (weights**2).sum()
    assert total_error(model, mix) == pytest.approx(math.sqrt(noise / signal), rel=1e-4)


def test_with_the_matrix_it_is_that_of_the_file_written_with_it(model, tmp_path):
    mix, path = plan(model, "Q4_0", imatrix=True), tmp_path / "aided.gguf"
    quantize(model, mix, path, model.imatrix)
    expected = total_rmse(list(restored_errors(model, open_model(path).weights)))
    table = ErrorTable(model)
    cases = table.cases(mix.types.items(), with_imatrix=True)
    assert {case.tensor for case in cases if not case.with_importance} == {"token_embd.weight"}
    assert total_error(model, mix, table) == pytest.approx(expected, rel=1e-4)
    assert table.total(mix.types, with_imatrix=False) is None  # the other errors are not known yet
    without = total_error(model, plan(model, "Q4_0"), table)
    assert without != pytest.approx(expected, rel=1e-3)


def test_a_case_is_without_importance_where_that_changes_nothing(model):
    table = ErrorTable(model)
    types = [(QUERY, type) for type in ("Q8_0", "Q4_K", "TQ2_0", "IQ2_XXS")]
    cases = table.cases([*types, ("blk.0.attn_norm.weight", "F32")], with_imatrix=True)
    assert [case.with_importance for case in cases] == [False, True, False, True]
    bare = table.cases(types, with_imatrix=False)
    assert [case.type for case in table.missing(bare)] == ["Q8_0", "Q4_K", "TQ2_0"]
    assert "needs an importance matrix" in table.obstacle(bare[-1])


def test_steps_tell_how_far_it_is_and_what_is_measured_stays(toy):
    table = ErrorTable(toy)
    cases = table.cases(dict.fromkeys(toy.quantizable, "Q4_0").items(), with_imatrix=False)
    assert table.missing(cases) == cases
    step = next(step for step in error_steps(table, cases) if len(step.result.errors) == 3)
    assert 0 < step.share < 1 and step.result is table
    assert table.missing(cases) == cases[3:]
    shares = [step.share for step in error_steps(table, cases)]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert not table.missing(cases)
    expected = tensor_error(toy.weights(QUERY), "Q4_0").relative_rmse
    assert table.error(QUERY, "Q4_0", False) == pytest.approx(expected, rel=1e-9)
    assert [step.stage for step in error_steps(table, cases)] == ["done"]


def test_an_error_that_is_known_is_only_weighed(toy):
    """It stays as it was given, and a pass over the weights alone tells what it is relative to."""
    known = {Case(name, "Q4_0", False): 0.5 for name in toy.quantizable}
    table = ErrorTable(toy, known)
    types = dict.fromkeys(toy.quantizable, "Q4_0")
    assert table.total(types, False) is None
    cases = table.cases(types.items(), False)
    n_weights = sum(toy.tensors[name].n_weights for name in toy.quantizable)
    assert sum(table.costs(cases)) == n_weights / 4
    for _ in error_steps(table, cases):
        pass
    assert table.errors == known
    assert table.total(types, False) == pytest.approx(0.5)


def test_slow_types_and_tensors_twice_are_counted(toy):
    table = ErrorTable(toy)
    n_weights = toy.tensors[QUERY].n_weights
    cases = [Case(QUERY, "Q4_0", False), Case(QUERY, "IQ3_S", False), Case(QUERY, "Q4_0", False)]
    assert table.costs(cases) == [n_weights, 10 * n_weights, 0]


@pytest.mark.parametrize(
    ("file_type", "imatrix", "says"),
    [("IQ2_XXS", False, "needs an importance matrix"), ("IQ2_XXS", True, "planned with an"),
     ("Q2_K", True, "planned with an importance matrix, and toy has none")],
)  # fmt: skip
def test_what_cannot_be_quantized_is_one_sentence_before_any_work(toy, file_type, imatrix, says):
    mix, table = plan(toy, file_type, imatrix=imatrix), ErrorTable(toy)
    with pytest.raises(ValueError, match=says) as problem:
        total_error(toy, mix, table)
    assert "\n" not in str(problem.value) and not table.errors


def test_rows_that_do_not_divide_are_no_case_that_can_be_measured(tmp_path):
    toy = open_model(write_folder(tmp_path / "narrow"))
    table = ErrorTable(toy)
    cases = table.cases([(QUERY, "Q4_K")], with_imatrix=False)
    assert not table.missing(cases) and "do not divide" in table.obstacle(cases[0])


def test_a_callback_follows_it(toy):
    shares = []
    total_error(toy, plan(toy, "Q8_0"), on_progress=lambda step: shares.append(step.share))
    assert len(shares) > 10 and shares == sorted(shares)
