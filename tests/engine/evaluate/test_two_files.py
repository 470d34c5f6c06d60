"""Two files side by side: what both have, and how far each lies from the original."""

import pytest

from quantcore import open_model, plan
from quantcore.evaluate.file_error import planned_errors, restored_errors
from quantcore.evaluate.two_files import pairs
from quantcore.recipe.promise import promise_of
from quantcore.recipe.quantize import preview
from tests.support.gguf_models import write
from tests.support.toy_model import CONFIG, write_folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """Make a model of the same widths with a layer more."""
    folder = tmp_path_factory.mktemp("models") / "longer"
    layers = CONFIG["num_hidden_layers"] + 1
    return open_model(write_folder(folder, CONFIG | {"num_hidden_layers": layers}))


def _promise(model, file_type):
    return promise_of(preview(model, plan(model, file_type)))


def test_what_a_plan_would_make_is_what_its_file_holds(toy, tmp_path):
    written = open_model(write(toy, tmp_path / "toy.gguf", "Q5_0"))
    planned = list(planned_errors(toy, toy, plan(toy, "Q5_0")))
    assert planned == list(restored_errors(toy, written.weights))
    assert all(error.relative_rmse > 0 for error in planned)


def test_tensors_of_one_name_and_shape_are_paired(toy, longer):
    exact, coarse = _promise(longer, "F16"), _promise(toy, "Q4_0")
    both = list(pairs(exact, coarse))
    assert {pair.name for pair in both} == set(toy.tensors)
    differ = {pair.name for pair in both if not pair.same_type}
    assert differ == set(toy.quantizable)
    assert all(pair.error_first is None for pair in both)


def test_errors_stand_with_their_tensors(toy):
    types = "Q8_0", "Q4_0"
    errors = [list(planned_errors(toy, toy, plan(toy, name))) for name in types]
    for pair in pairs(_promise(toy, types[0]), _promise(toy, types[1]), errors):
        if pair.name in toy.quantizable:
            first, second = (
                next(error.relative_rmse for error in each if error.name == pair.name)
                for each in errors
            )
            assert (pair.error_first, pair.error_second) == (first, second)
            assert pair.error_ratio == max(first, second) / min(first, second) >= 1
        else:
            assert pair.error_first is pair.error_second is None


def test_a_model_with_fewer_tensors_is_refused(toy, longer):
    with pytest.raises(ValueError, match=r"toy has no tensor blk.2.attn_q.weight, which longer"):
        list(planned_errors(longer, toy, plan(toy, "Q8_0")))
