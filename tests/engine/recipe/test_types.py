"""What a type's name means: a mix of llama-quantize, or one format on every matrix."""

import numpy as np
import pytest

from quantcore import (
    get_type,
    measure_drift,
    model_errors,
    open_model,
    plan,
    quantize,
    tensor_error,
)
from quantcore.evaluate.quantized import formats_by_tensor, restored_tensors, type_name
from quantcore.formats import FORMATS
from quantcore.recipe.file_types import ALIASES, FILE_TYPES
from quantcore.recipe.of_types import matrix_types, most_common, plan_of_types
from quantcore.recipe.quantize import quantized_again
from quantcore.recipe.types import mixes_for
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 8


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Make a model whose rows hold super-blocks, with an output of its own."""
    wide = CONFIG | {"hidden_size": 256, "intermediate_size": 512}
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy", wide))


@pytest.mark.parametrize(
    ("asked", "name", "format_name", "is_mix"),
    [
        ("Q4_K_M", "Q4_K_M", "Q4_K", True),
        ("q4_k", "Q4_K_M", "Q4_K", True),
        ("Q2_K", "Q2_K", "Q2_K", True),
        ("Q8_0", "Q8_0", "Q8_0", True),
        ("Q4_K pure", "Q4_K pure", "Q4_K", False),
        (" q4_k_s  Pure ", "Q4_K pure", "Q4_K", False),
        ("Q8_0 pure", "Q8_0 pure", "Q8_0", False),
        ("INT4_G128", "INT4_G128", "INT4_G128", False),
        ("int4_g128 pure", "INT4_G128", "INT4_G128", False),
        ("MXFP4", "MXFP4", "MXFP4", False),
        ("NVFP4 pure", "NVFP4", "NVFP4", False),
        ("F16", "F16", "F16", False),
        ("bf16 pure", "BF16", "BF16", False),
    ],
)
def test_a_name_means_a_mix_or_a_format(asked, name, format_name, is_mix):
    type = get_type(asked)
    assert (type.name, type.format.name, bool(type.mix)) == (name, format_name, is_mix)
    assert get_type(type.name) == type
    assert get_type(asked, pure=True).mix is None
    assert get_type(asked, pure=True) == type.pure


def test_every_file_type_and_alias_is_a_mix_or_a_float():
    for name in (*FILE_TYPES, *ALIASES):
        mix = FILE_TYPES[ALIASES.get(name, name)]
        if mix.format in FORMATS:
            assert get_type(name).name == mix.name
            assert get_type(name).mix is (mix if mix.is_quantized else None)


def test_ways_there_and_back():
    assert get_type("Q4_K_S").mixed.name == "Q4_K_S"
    assert get_type("Q4_K pure").mixed.name == "Q4_K_M"
    assert get_type("INT4_ROW").mixed == get_type("INT4_ROW").pure == get_type("INT4_ROW")


@pytest.mark.parametrize("name", ["Q4_K pure", " q4_k_s  Pure ", "Q4_0 pure", "MXFP4", "F16 pure"])
def test_a_plan_reads_the_same_names(toy, name):
    """By its name or with `pure`; every matrix has the format then, as measured."""
    planned = plan(toy, name)
    types = {tensor.name: tensor.type for tensor in planned.tensors}
    assert {key: types[key] for key in toy.quantizable} == formats_by_tensor(toy, name)
    assert planned.type == get_type(name).name
    file_type = planned.file_type.name
    assert plan(toy, file_type, pure=planned.pure).tensors == planned.tensors


def test_pure_is_llama_quantizes_where_a_file_type_is_mostly_of_another_format(toy):
    for name, pure, expected in (("IQ2_S", True, "IQ2_XS"), ("IQ2_S pure", False, "IQ2_S")):
        types = {t.name: t.type for t in plan(toy, name, pure=pure).tensors}
        assert {types[key] for key in toy.quantizable} == {expected}


@pytest.mark.parametrize("name", ["Q9_K", "Q4_K_XL", "q9_k pure", "Foo", "", "pure"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match=f"There is no type called {name!r}"):  # as typed
        get_type(name)


def test_a_mix_is_what_its_file_holds(toy, tmp_path):
    path = tmp_path / "toy.gguf"
    quantize(toy, plan(toy, "Q4_K_M"), path)
    file = open_model(path)
    stored = {name: file.tensors[name].dtype for name in file.quantizable}
    assert stored == formats_by_tensor(toy, "Q4_K")
    assert set(stored.values()) == {"Q4_K", "Q6_K"}
    for name, restored in restored_tensors(toy, "Q4_K_M"):
        np.testing.assert_array_equal(restored, file.weights(name), err_msg=name)


def test_a_mix_that_needs_the_models_importance_matrix_is_what_its_file_holds(tmp_path):
    shipped, path = open_model(), tmp_path / "small.gguf"
    planned = plan(shipped, "IQ2_XXS", imatrix=True)
    quantize(shipped, planned, path, shipped.imatrix)
    file = open_model(path)
    stored = {name: file.tensors[name].dtype for name in file.quantizable}
    assert stored == formats_by_tensor(shipped, "IQ2_XXS")
    assert {"IQ2_XXS", "Q2_K"} <= set(stored.values())
    for name, restored in restored_tensors(shipped, "IQ2_XXS"):
        np.testing.assert_array_equal(restored, file.weights(name), err_msg=name)


@pytest.mark.parametrize("type", ["Q4_K_M", "Q4_0", "Q5_K pure"])
def test_with_a_matrix_that_is_given_it_is_what_its_file_holds(tmp_path, type):
    shipped, path = open_model(), tmp_path / "small.gguf"
    aided = shipped.with_imatrix(shipped.imatrix)
    quantize(shipped, plan(shipped, type, imatrix=True), path, shipped.imatrix)
    file = open_model(path)
    for name, restored in restored_tensors(aided, type):
        np.testing.assert_array_equal(restored, file.weights(name), err_msg=name)
    with_it, without = list(model_errors(aided, type)), list(model_errors(shipped, type))
    assert with_it != without
    for row in with_it:
        importance = shipped.imatrix.importance(row.name)
        expected = tensor_error(shipped.weights(row.name), row.format, importance)
        assert row.relative_rmse == expected.relative_rmse


@pytest.mark.parametrize("type", ["Q4_K_M", "IQ2_XXS"])
def test_a_type_that_a_file_has_already_changes_nothing(tmp_path, type):
    """llama-quantize copies such tensors, and does not ask for an importance matrix then."""
    shipped, path, again = open_model(), tmp_path / "one.gguf", tmp_path / "again.gguf"
    imatrix = shipped.imatrix if type == "IQ2_XXS" else None
    quantize(shipped, plan(shipped, type, imatrix=imatrix is not None), path, imatrix)
    file = open_model(path)
    assert {row.relative_rmse for row in model_errors(file, type)} == {0}
    for name, restored in restored_tensors(file, type):
        np.testing.assert_array_equal(restored, file.weights(name), err_msg=name)
    planned = plan(file, type)
    assert not any(tensor.needs_imatrix for tensor in planned.tensors)
    assert quantized_again(file, planned) == []
    quantize(file, planned, again)
    assert again.read_bytes() == path.read_bytes()


def test_what_a_file_holds_otherwise_is_quantized_again(tmp_path):
    shipped, path = open_model(), tmp_path / "pure.gguf"
    quantize(shipped, plan(shipped, "Q4_K pure"), path)
    file = open_model(path)
    more = [tensor.name for tensor in plan(file, "Q4_K_M").tensors if tensor.type == "Q6_K"]
    assert quantized_again(file, plan(file, "Q4_K_M")) == more
    assert quantized_again(shipped, plan(shipped, "Q4_K_M")) == []
    for row in model_errors(file, "Q4_K_M"):
        expected = tensor_error(file.weights(row.name), "Q6_K") if row.name in more else None
        assert row.relative_rmse == (expected.relative_rmse if expected else 0)
        assert bool(row.relative_rmse) == (row.name in more)


@pytest.mark.parametrize(
    ("most", "some", "file_type"),
    [("IQ2_S", "Q4_K", "IQ2_M"), ("IQ2_XS", "Q4_K", "IQ2_XS"), ("Q3_K", "Q4_K", "Q3_K_M"),
     ("NVFP4", "Q4_K", "Q4_K_M"), ("F32", "Q4_K", "Q4_K_M"), ("F16", "F16", "F16")],
)  # fmt: skip
def test_a_mix_is_called_by_a_file_type_of_its_most_common_type(toy, most, some, file_type):
    """llama.cpp's file type IQ2_S is mostly IQ2_XS, and none is mostly NVFP4."""
    types = dict.fromkeys(toy.quantizable, most) | {toy.quantizable[0]: some}
    assert most_common(toy, types) == file_type
    made = plan_of_types(toy, types, lambda name, type: "so it is")
    assert made.file_type.name == file_type and matrix_types(toy, made) == types


def test_a_file_type_that_there_is_none_of_is_one_sentence(toy):
    with pytest.raises(ValueError, match="no file type most of whose tensors are NVFP4"):
        most_common(toy, dict.fromkeys(toy.quantizable, "NVFP4"))


def test_its_size_is_the_plans(toy):
    for type in ("Q4_K_M", "Q2_K", "Q4_0"):
        drift, planned = measure_drift(toy, type, TEXT, 64), plan(toy, type)
        assert (drift.type, drift.weights_bytes) == (type, planned.bytes)
        assert drift.bits_per_weight == pytest.approx(planned.bits_per_weight)
    drift, planned = measure_drift(toy, "Q4_K pure", TEXT, 64), plan(toy, "Q4_K", pure=True)
    assert (drift.type, drift.weights_bytes) == ("Q4_K pure", planned.bytes)


def test_pure_is_one_format_throughout(toy):
    assert {row.format for row in model_errors(toy, "Q4_K pure")} == {"Q4_K"}
    assert {row.format for row in model_errors(toy, "Q4_K")} == {"Q4_K", "Q6_K"}


def test_rows_that_do_not_divide_fall_back_in_a_mix_only(tmp_path):
    small = open_model(write_folder(tmp_path / "small"))
    assert set(formats_by_tensor(small, "Q4_K_M").values()) == {"Q5_0", "Q8_0"}
    with pytest.raises(
        ValueError,
        match=r"Q4_K works on rows .* Q5_0 or Q8_0, or the mix Q4_K_M\.",
    ):
        formats_by_tensor(small, "Q4_K pure")


def test_a_mix_that_wants_an_importance_matrix_is_refused(toy):
    with pytest.raises(ValueError, match=r"Q2_K_S needs an importance matrix, for Q2_K in blk\.0"):
        formats_by_tensor(toy, "Q2_K_S")
    assert "Q2_K_S" not in mixes_for(toy)


def test_a_mix_with_a_format_that_the_lab_lacks_is_refused(toy, monkeypatch):
    monkeypatch.delitem(FORMATS, "Q6_K")
    with pytest.raises(ValueError, match=r"no Q6_K yet, which token_embd\.weight would get"):
        formats_by_tensor(toy, "Q4_K_M")
    with pytest.raises(ValueError, match="no Q6_K yet, the format of most tensors of Q6_K"):
        formats_by_tensor(toy, "Q6_K")


def test_a_choice_by_hand_has_a_name():
    names = open_model().quantizable
    assert type_name(dict.fromkeys(names, "Q4_K")) == "Q4_K pure"
    assert type_name(dict.fromkeys(names, "Q4_K") | {names[0]: "Q6_K"}) == "mix"
    assert type_name(None) == "F32"
