"""What a type can store of a model, and why not the rest."""

import pytest

from quantcore import open_model, plan
from quantcore.evaluate.mix_error import total_error
from quantcore.evaluate.quantized import fitting_formats, formats_by_tensor, importances
from quantcore.evaluate.weight_error import (
    energies,
    error_of_all,
    model_errors,
    stored_error,
    tensor_error,
)
from tests.support.toy_model import CONFIG, write_folder

WIDE = CONFIG | {"hidden_size": 256, "intermediate_size": 256}


@pytest.mark.parametrize("type", ["Q4_K pure", "INT4_ROW", "Q4_K_M"])
def test_what_fits_is_what_the_model_gets(type):
    model = open_model()
    fitting = fitting_formats(model, type)
    assert fitting.formats == formats_by_tensor(model, type)
    assert not fitting.left_out


def test_matrices_whose_rows_do_not_divide_are_left_out(tmp_path):
    wide_inside = CONFIG | {"intermediate_size": 256}
    model = open_model(write_folder(tmp_path / "toy", wide_inside))
    fitting = fitting_formats(model, "Q4_K pure")
    assert fitting.formats == {f"blk.{i}.ffn_down.weight": "Q4_K" for i in range(2)}
    assert set(fitting.formats) | set(fitting.left_out) == set(model.quantizable)
    assert "multiple of 256" in fitting.left_out["token_embd.weight"]


@pytest.mark.parametrize("type", ["IQ2_XXS pure", "IQ1_S pure", "IQ2_XXS", "Q2_K_S"])
def test_without_an_importance_matrix_nothing_fits_a_type_that_needs_one(tmp_path, type):
    model = open_model(write_folder(tmp_path / "toy", WIDE))
    fitting = fitting_formats(model, type)
    assert not fitting.formats
    assert set(fitting.left_out) == set(model.quantizable)
    for reason in fitting.left_out.values():
        assert "needs an importance matrix" in reason and "toy has none" in reason


def test_what_the_matrix_says_nothing_of_is_left_out():
    model = open_model()
    fitting = fitting_formats(model, "IQ2_XXS pure")
    (reason,) = fitting.left_out.values()
    assert "says nothing of token_embd.weight" in reason
    known = importances(model, "IQ2_XXS pure", fitting.formats)
    assert set(known) == set(fitting.formats) == set(model.quantizable) - {"token_embd.weight"}


def test_the_error_of_one_tensor_is_that_of_the_whole_model():
    model, name = open_model(), "blk.0.attn_k.weight"
    (row,) = (row for row in model_errors(model, "Q4_K_M") if row.name == name)
    assert row == stored_error(model, name, row.format)
    assert row.bits_per_weight == 4.5
    aided = stored_error(model, name, "IQ2_XXS", model.imatrix.importance(name))
    expected = tensor_error(model.weights(name), "IQ2_XXS", model.imatrix.importance(name))
    assert aided.relative_rmse == expected.relative_rmse
    with pytest.raises(ValueError, match="needs an importance matrix"):
        stored_error(model, name, "IQ2_XXS")


@pytest.mark.parametrize("type", ["Q4_K_M", "Q8_0"])
def test_the_error_of_all_is_that_of_the_mix(type):
    model = open_model()
    relative = {row.name: row.relative_rmse for row in model_errors(model, type)}
    whole = error_of_all(relative, energies(model))
    assert whole == pytest.approx(total_error(model, plan(model, type)), rel=1e-6)
    assert min(relative.values()) < whole < max(relative.values())
