"""What else a file and a tensor could be: stock mixes, types by size, overrides by pattern."""

import pytest

from quantcore import open_model, plan
from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.recipe.alternatives import fitting_types, nearby_types, storable_types
from quantcore.recipe.commands import quantize_commands
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.of_types import matrix_types
from quantcore.recipe.overrides import first_matches, parse_override
from quantcore.recipe.stock import stock_plans
from tests.support.toy_model import CONFIG, write_folder

QUERY = "blk.0.attn_q.weight"


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    config = CONFIG | {"hidden_size": 256, "intermediate_size": 512}
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "bare", config))


@pytest.mark.parametrize("imatrix", [False, True])
def test_every_file_type_is_planned_and_with_the_matrix_where_it_must_be(model, imatrix):
    stock = stock_plans(model, imatrix)
    quantized = [name for name, each in FILE_TYPES.items() if each.is_quantized]
    assert [*stock] == [name for name in quantized if name != "MXFP4_MOE"]
    assert not any(each.needs_imatrix for each in stock.values())
    assert stock["IQ2_XXS"].with_imatrix
    assert stock["Q4_K_M"].with_imatrix == imatrix
    assert stock["Q4_K_M"] == plan(model, "Q4_K_M", imatrix=imatrix)


@pytest.mark.parametrize("imatrix", [False, True])
def test_without_a_matrix_some_are_refused(bare, imatrix):
    stock = stock_plans(bare, imatrix)
    refused = {name for name, each in stock.items() if each.needs_imatrix}
    assert {"IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ1_S"} <= refused and "Q4_K_M" not in refused
    assert stock["Q4_K_M"].with_imatrix == imatrix


def test_types_of_a_tensor_are_by_size_and_only_what_can_be_had(model, bare):
    types = storable_types(model, QUERY, imatrix=True)
    bits = [GGML_TYPES[name].bits_per_weight for name in types]
    assert bits == sorted(bits, reverse=True) and set(types) == set(FORMATS)
    without = storable_types(model, QUERY)
    assert set(types) - set(without) == {n for n, each in FORMATS.items() if each.needs_importance}
    assert storable_types(bare, QUERY, imatrix=True) == without  # none lies with that model
    assert storable_types(model, "token_embd.weight", imatrix=True) == without  # it knows none


def test_types_nearby_fit_the_rows(tmp_path):
    toy = open_model(write_folder(tmp_path / "narrow"))  # rows of 64
    fitting = fitting_types(toy, QUERY)
    assert "Q4_0" in fitting and "Q4_K" not in fitting
    near = nearby_types(toy, QUERY, "Q5_0", steps=1)
    assert near[1] == "Q5_0" and len(near) == 3 and set(near) <= set(fitting)
    around = nearby_types(toy, QUERY, "Q4_K", steps=2)  # no such rows: those about its size
    assert "Q4_K" not in around and set(around) <= set(fitting) and len(around) >= 4
    assert nearby_types(toy, QUERY, fitting[0])[0] == fitting[0]


def test_the_first_pattern_that_is_found_counts(model):
    overrides = [parse_override(each) for each in ("blk.0=q8_0", "attn_q=q6_k")]
    found = first_matches(overrides, model.quantizable)
    types = {name: each.type for name, each in found.items()}
    assert types[QUERY] == "Q8_0" and types["blk.1.attn_q.weight"] == "Q6_K"
    assert "blk.1.attn_k.weight" not in types
    planned = matrix_types(model, plan(model, "Q4_K_M", overrides=overrides))
    assert types.items() <= planned.items()


def test_bytes_by_role_add_up_to_the_file(model):
    made = plan(model, "Q4_K_M")
    sizes = made.bytes_by_role()
    assert sum(sum(by_type.values()) for by_type in sizes.values()) == made.bytes
    assert set(sizes["ffn_down"]) == {"Q4_K", "Q6_K"} and set(sizes["norms and biases"]) == {"F32"}


def test_commands_say_what_a_plan_needs(model):
    pure = plan(model, "Q4_K pure", imatrix=True)
    for line in quantize_commands(model, pure, "m", "out.gguf", "types.txt"):
        assert "--imatrix imatrix.gguf --pure --tensor-type-file types.txt" in line
        assert "out.gguf" in line and "Q4_K_M" in line
    for line in quantize_commands(model, plan(model, "Q4_K_M"), "m", "out.gguf"):
        assert "--imatrix" not in line and "--pure" not in line and "--tensor-type" not in line
    for line in quantize_commands(model, plan(model, "Q4_K_M"), "my model", "an out.gguf"):
        assert "'an out.gguf'" in line
        assert "'my model'" in line or "fable-7m-F16.gguf" in line
    refused = quantize_commands(model, plan(model, "IQ2_XS"), "m", "out.gguf")
    assert all("--imatrix" in line for line in refused)  # without one it would be refused
