"""A recipe as JSON: what was written comes back, and what is no recipe gets one sentence."""

import json

import pytest

from quantcore import open_model, plan
from quantcore.recipe.contents import contents_of
from quantcore.recipe.overrides import Override
from quantcore.recipe.recipe_file import plan_of_recipe, read_recipe, recipe_as_json
from tests.support.toy_model import CONFIG, write_folder


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def recipe(model):
    return json.loads(recipe_as_json(plan(model, "Q3_K_M")))


@pytest.mark.parametrize("type", ["Q2_K", "Q3_K_M", "Q4_K_S", "IQ4_XS", "Q4_K pure", "F16"])
def test_a_plan_comes_back(model, tmp_path, type):
    made = plan(model, type)
    text = recipe_as_json(made, predicted_kl_divergence=0.01)
    types = {t.name: t.type for t in made.tensors if t.name in model.quantizable}
    assert read_recipe(text, model) == types
    path = tmp_path / "recipe.json"
    path.write_text(text, encoding="utf-8")
    assert read_recipe(path, contents_of(model)) == types
    again = plan_of_recipe(path, model)
    assert (again.type, again.file_type, again.bytes) == (made.type, made.file_type, made.bytes)
    assert [(t.name, t.type) for t in again.tensors] == [(t.name, t.type) for t in made.tensors]


def test_the_fields_are_the_plans(model, recipe):
    made = plan(model, "Q3_K_M")
    assert (recipe["recipe"], recipe["version"], recipe["model"]) == ("quantlab", 1, made.model)
    assert (recipe["type"], recipe["bytes"]) == ("Q3_K_M", made.bytes)
    assert recipe["bits_per_weight"] == made.bits_per_weight
    assert [row["bytes"] for row in recipe["tensors"]] == [t.bytes for t in made.tensors]


def test_it_says_whether_there_was_an_importance_matrix(model):
    made = plan(model, "IQ2_XS", imatrix=True)
    text = recipe_as_json(made)
    again = plan_of_recipe(text, model)
    assert again.with_imatrix and not again.needs_imatrix
    assert plan_of_recipe(text, model, imatrix=False).needs_imatrix  # whoever asks knows better
    older = json.loads(text)
    del older["with_imatrix"]
    again = plan_of_recipe(json.dumps(older), model)
    assert not again.with_imatrix and again.types == made.types
    with pytest.raises(ValueError, match="neither true nor false"):
        plan_of_recipe(json.dumps(older | {"with_imatrix": "yes"}), model)


def test_types_in_lower_case_and_only_names_and_types_will_do(model, recipe):
    bare = [{"name": r["name"], "type": r["type"].lower()} for r in recipe["tensors"]]
    assert read_recipe(json.dumps(recipe | {"tensors": bare}), model) == read_recipe(
        json.dumps(recipe), model
    )


def test_rows_that_fell_back_come_back(tmp_path):
    model = open_model(write_folder(tmp_path / "toy", CONFIG))
    made = plan(model, "Q4_K_M")
    assert made.n_fallbacks > 0
    again = plan_of_recipe(recipe_as_json(made), model)
    assert [(t.name, t.type) for t in again.tensors] == [(t.name, t.type) for t in made.tensors]


def test_what_is_asked_for_besides_goes_first(model, recipe):
    asked = (Override("blk\\.0\\.ffn", "Q8_0"),)
    types = {t.name: t.type for t in plan_of_recipe(json.dumps(recipe), model, asked).tensors}
    changed = {n for n, t in read_recipe(json.dumps(recipe), model).items() if types[n] != t}
    assert changed == {f"blk.0.ffn_{part}.weight" for part in ("gate", "up", "down")}


def _with(recipe, tensor, **changes):
    rows = [row | changes if row["name"] == tensor else row for row in recipe["tensors"]]
    return recipe | {"tensors": rows}


QUERY = "blk.0.attn_q.weight"
BROKEN = [
    (lambda r: {}, "is not a recipe of the lab"),
    (lambda r: r | {"recipe": "cake"}, "is not a recipe of the lab"),
    (lambda r: r | {"tensors": 7}, "is not a recipe of the lab"),
    (lambda r: r | {"version": 2}, "version 2"),
    (lambda r: r | {"tensors": [*r["tensors"], 7]}, "an entry that is not a tensor"),
    (lambda r: _with(r, QUERY, type=7), "an entry that is not a tensor"),
    (lambda r: r | {"tensors": [*r["tensors"], r["tensors"][0]]}, "twice"),
    (lambda r: r | {"tensors": r["tensors"][1:]}, "of another model, .*it says nothing of"),
    (lambda r: _with(r, QUERY, name="blk.99.attn_q.weight"), "has no blk.99.attn_q.weight"),
    (lambda r: _with(r, QUERY, shape=[512, 256]), f"{QUERY} has other sizes"),
    (lambda r: _with(r, QUERY, type="Q9_K"), "there is none of: 'Q9_K'"),
    (lambda r: _with(r, QUERY, type="Q4_K_M"), "there is none of: 'Q4_K_M'"),
    (lambda r: _with(r, "output_norm.weight", type="Q8_0"), "is never quantized"),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "says"), BROKEN)
def test_what_is_no_recipe_gets_one_sentence(model, recipe, tmp_path, broken, says):
    text = json.dumps(broken(recipe))
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="utf-8")
    for place, name in ((text, "the recipe"), (path, "mine.json")):
        with pytest.raises(ValueError, match=says) as refused:
            read_recipe(place, model)
        assert str(refused.value).startswith(name)
        assert str(refused.value).endswith(".")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"recipe": NaN}', "\ud800", "[" * 100_000])
def test_what_is_no_json_gets_one_sentence(model, text):
    with pytest.raises(ValueError):
        read_recipe(text, model)


def test_rows_that_do_not_divide_are_refused(tmp_path):
    model = open_model(write_folder(tmp_path / "toy", CONFIG))
    recipe = json.loads(recipe_as_json(plan(model, "Q8_0")))
    with pytest.raises(ValueError, match=r"rows of 64 do not divide into blocks of 256"):
        read_recipe(json.dumps(_with(recipe, QUERY, type="Q4_K")), model)
    other = json.dumps(json.loads(recipe_as_json(plan(open_model(), "Q8_0"))))
    with pytest.raises(ValueError, match="is of another model, fable-7m, than toy"):
        read_recipe(other, model)


def test_a_file_type_that_overrides_nothing_is_refused(model, recipe):
    for type, says in ((None, "names no file type"), ("Q9", "no file type"), ("F16", "throughout")):
        with pytest.raises(ValueError, match=says):
            plan_of_recipe(json.dumps(recipe | {"type": type}), model)
    with pytest.raises(ValueError, match="missing"):
        plan_of_recipe(open_model().path / "none.json", model)
