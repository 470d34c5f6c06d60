"""The page Mix: types, sizes and errors follow what is changed by hand; the recipe is read back."""

import json
import re

import pytest

from pages.mix import cache, errors
from pages.mix import words as mix_words
from pages.mix.charts import map as charts
from pages.shared import (
    bench,
    writing,
)
from pages.shared.palette import DARK, LIGHT
from quantcore import open_model, plan, quantize, tensor_error
from quantcore.evaluate.mix_error import ErrorTable, MixSummary
from quantcore.io.gguf import read_gguf
from quantcore.recipe.overrides import overrides_as_text, read_overrides
from quantcore.recipe.stock import stock_plans
from tests.support.app import findings, finish_job, visit, words_in
from tests.support.toy_model import CONFIG, write_folder

DOWN = "blk.3.ffn_down=Q8_0"


def _recipe(name, n_bytes, error):
    return MixSummary(name, n_bytes, 4.5, error)


def test_a_change_in_the_address_is_shown_and_can_be_undone():
    plain, changed = visit("mix"), visit("mix", set=[DOWN], tensor="blk.3.ffn_down.weight")
    assert plain.header[0].value.startswith("**Q4_K_M** takes")
    assert changed.header[0].value.startswith("With 1 tensor changed by hand")
    assert any("was asked for by" in m.value for m in changed.markdown)
    changed.button(key="undo").click().run()
    assert changed.header[0].value == plain.header[0].value
    (table,) = (e.proto.body for e in plain.get("html") if "error of all" in e.proto.body)
    moves = re.findall(r">([+−]\d\.\d{3})( %)?</td>", table)
    assert "error of all, points" in table and moves and not any(unit for _, unit in moves)


def test_choosing_another_type_changes_the_file():
    app = visit("mix", tensor="blk.3.attn_q.weight")
    app.selectbox(key="as_blk.3.attn_q.weight_Q4_K").set_value("Q6_K").run()
    assert not app.exception
    assert app.session_state["set"] == ["blk.3.attn_q=Q6_K"]
    assert "kB more than before" in app.header[0].value


@pytest.mark.parametrize("entry", ["blk.3.ffn_down", "blk.3.ffn_down=Q9_K", "no.such=Q4_K"])
def test_a_change_that_is_none_is_one_sentence(entry):
    (error,) = visit("mix", set=[entry]).error
    assert error.value.endswith(".") and "\n" not in error.value


def test_rows_that_do_not_divide_are_said_before_the_run(tmp_path, monkeypatch):
    write_folder(tmp_path / "small-toy")
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    app = visit("mix", model="small-toy")
    assert not app.error
    assert any("cannot be split into blocks" in m.value for m in app.markdown)


def test_every_file_type_that_can_be_had_is_drawn():
    chart = json.loads(visit("mix").get("plotly_chart")[-1].proto.spec)
    named = {re.search("<b>(.*?)</b>", trace["hovertemplate"])[1] for trace in chart["data"]}
    assert named == set(stock_plans(open_model()))


def test_a_page_does_not_wait_for_what_takes_long(monkeypatch, tmp_path):
    model = open_model(write_folder(tmp_path / "toy"))
    table = ErrorTable(model)
    cases = table.cases(dict.fromkeys(model.quantizable, "Q4_0").items(), with_imatrix=False)
    monkeypatch.setattr(errors, "AT_ONCE", 1)
    errors.at_once(table, cases)
    assert table.missing(cases) == cases
    monkeypatch.setattr(errors, "AT_ONCE", 1_000_000)
    errors.at_once(table, cases)
    assert not table.missing(cases)


def test_a_button_measures_one_tensor_of_a_large_model(monkeypatch, tmp_path):
    write_folder(tmp_path / "large", CONFIG | {"hidden_size": 256, "intermediate_size": 512})
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    monkeypatch.setattr(errors, "AT_ONCE", 1)
    app = visit("mix", model="large", tensor="blk.1.attn_q.weight")
    assert "bits per weight**." in app.header[0].value  # size at once, error not yet
    app.button(key="mix_measure_tensor").click().run()
    finish_job(app)
    assert not app.exception and not app.error
    model, measured = bench.model("large"), cache.error_table("large").errors
    assert {case.tensor for case in measured} == {"blk.1.attn_q.weight"}
    expected = tensor_error(model.weights("blk.1.attn_q.weight"), "Q4_K").relative_rmse
    (error,) = (value for case, value in measured.items() if case.type == "Q4_K")
    assert error == pytest.approx(expected, rel=1e-9)
    assert {"mix_measure_recipe", "mix_measure_stock"} <= {button.key for button in app.button}


def test_the_button_writes_and_offers_the_file():
    app = visit("mix", set=[DOWN])
    app.button(key="write").click().run()
    finish_job(app)
    assert not app.exception and not app.error
    kept = app.session_state["_written"]
    types = {name: t.type for name, t in read_gguf(kept.path).tensors.items()}
    assert types["blk.3.ffn_down.weight"] == "Q8_0"
    app.button(key="undo_all").click().run()
    assert not any("ollama" in code.value for code in app.code), "offers the file of another recipe"


def test_rules_with_a_matrix_are_reproduced_by_a_command_with_one():
    without, given = visit("mix", mix="Q4_0"), visit("mix", mix="Q4_0", with_imatrix="true")
    assert "--imatrix" not in without.code[0].value
    assert all("--imatrix imatrix.gguf" in line for line in given.code[0].value.splitlines())
    assert "--imatrix" in visit("mix", mix="IQ2_XS").code[0].value


def test_a_model_without_a_matrix_is_not_written_by_rules_with_one(tmp_path, monkeypatch):
    write_folder(tmp_path / "no-matrix")
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    without, given = (
        visit("mix", model="no-matrix"),
        visit("mix", model="no-matrix", with_imatrix="true"),
    )
    assert "write" in {button.key for button in without.button}
    assert "write" not in {button.key for button in given.button}
    assert any(m.value for m in given.markdown if "There is no importance matrix for" in m.value)
    assert "write" in {button.key for button in visit("mix", with_imatrix="true").button}


def test_pure_is_not_called_the_mix_and_is_compared_with_it():
    findings = [finding.value for finding in visit("mix", mix="Q4_K_M", pure="true").header]
    assert findings[0].startswith("**Q4_K pure** takes")
    assert any("**Q4_K pure** does not beat" in finding for finding in findings)


def test_changes_that_llama_quantize_ignores_do_not_count():
    app = visit("mix", mix="F16", set=[DOWN])
    assert app.header[0].value.startswith("**F16** takes")
    assert not any("by hand" in finding.value for finding in app.header)
    assert "× 10" in app.header[0].value and "e-" not in app.header[0].value


def test_file_types_that_need_a_matrix_are_named(tmp_path, monkeypatch):
    (note,) = [m.value for m in visit("mix").markdown if "need an importance matrix" in m.value]
    assert "IQ2_XS" in note and "Q2_K_S" in note and "Q4_K_M" not in note
    assert any(
        "All mixes use the importance matrix" in m.value
        for m in visit("mix", with_imatrix="true").markdown
    )
    write_folder(tmp_path / "bare", CONFIG | {"hidden_size": 256, "intermediate_size": 512})
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    (note,) = [m.value for m in visit("mix", model="bare").markdown if "Not drawn" in m.value]
    assert "IQ2_XS" in note and "Q4_K_M" not in note


@pytest.mark.parametrize(
    "address",
    [
        {"mix": "IQ2_XXS"},
        {"mix": "IQ2_XXS", "with_imatrix": "true"},
        {"set": ["blk.0.attn_q=IQ3_XXS"], "tensor": "blk.0.attn_q.weight"},
        {"set": ["blk.0.attn_q=IQ2_XS"], "with_imatrix": "true", "tensor": "blk.0.attn_q.weight"},
        {"mix": "Q2_K_S"},
    ],
)
def test_a_type_that_needs_a_matrix_is_one_sentence_where_there_is_none(
    tmp_path, monkeypatch, address
):
    write_folder(tmp_path / "bare", CONFIG | {"hidden_size": 256, "intermediate_size": 512})
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    app = visit("mix", model="bare", **address)
    assert not app.error
    (note,) = [m.value for m in app.markdown if "llama-quantize refuses this" in m.value]
    assert "and there is none for this model: `python -m quantcore imatrix` makes one." in note
    assert "switch on" not in note


def test_a_tensor_that_the_matrix_does_not_know_is_one_sentence():
    address = {"set": ["token_embd=IQ2_XXS"], "tensor": "token_embd.weight"}
    app = visit("mix", with_imatrix="true", **address)
    assert not app.error
    assert any("says nothing about" in m.value for m in app.markdown)


def test_errors_follow_the_matrix():
    without, given = (
        visit("mix", tensor="blk.0.ffn_up.weight"),
        visit("mix", tensor="blk.0.ffn_up.weight", with_imatrix="true"),
    )
    moves = [re.search("by (.*?) of their size", a.header[0].value)[1] for a in (without, given)]
    assert moves[0] != moves[1]
    refused = visit("mix", mix="IQ2_XXS")
    assert any("llama-quantize refuses this" in m.value for m in refused.markdown)
    assert "changes the weights" in visit("mix", mix="IQ2_XXS", with_imatrix="true").header[0].value


def test_a_file_that_is_quantized_already_is_named_and_quantized_again(tmp_path, monkeypatch):
    model, path = open_model(), tmp_path / "tale-Q4_K.gguf"
    quantize(model, plan(model, "Q4_K pure"), path)
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    app = visit("mix", model=path.name)
    command = app.code[0].value.splitlines()[0]
    place = f"{tmp_path.name}/{path.name}"
    assert command == f"llama-quantize --allow-requantize {place} tale-Q4_K-Q4_K_M.gguf Q4_K_M"
    assert any("9 tensors would be quantized a second time" in m.value for m in app.markdown)
    app = visit("mix", model=path.name, pure="true")
    assert "--allow-requantize" not in app.code[0].value
    assert "changes the weights by 0" in app.header[0].value


def test_the_command_names_the_file_of_the_download():
    model, app = open_model(), visit("mix", pure="true")
    name = writing.file_name(model, plan(model, "Q4_K_M", pure=True))
    assert name == "fable-7m-Q4_K-pure.gguf"
    assert all(name in line for line in app.code[0].value.splitlines())


def test_what_the_lab_cannot_write_is_said_and_not_started():
    app = visit("mix", mix="IQ1_S")
    assert app.button(key="write").disabled
    assert not app.error


def test_a_saved_recipe_gives_the_same_types(tmp_path):
    model = open_model()
    types = [("blk.0.ffn_down.weight", "Q8_0"), ("token_embd.weight", "Q4_0")]
    file = tmp_path / "types.txt"
    file.write_text(overrides_as_text(types))
    planned = {
        t.name: t.type for t in plan(model, "Q4_K_M", overrides=read_overrides(file)).tensors
    }
    assert dict(types).items() <= planned.items()


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
def test_the_map_colours_by_type_and_outlines_what_was_changed(look):
    types = {
        "token_embd.weight": "Q6_K",
        "blk.0.attn_q.weight": "Q4_K",
        "blk.0.attn_v.weight": "Q8_0",
    }
    figure = charts.type_map(types, ["blk.0.attn_v.weight"], ["blk.0.attn_q.weight"], "x", look)
    texts = set(words_in(figure.checked.to_dict()))
    assert {"Q6_K", "Q4_K", "Q8_0 ▾"} <= texts
    assert [shape.line.dash for shape in figure.checked.layout.shapes if shape.line.color] == [
        "dot"
    ]
    tones = [tone for _, tone in figure.checked.data[0].colorscale]
    assert tones == [look.bits[6], look.bits[4], look.bits[8]]


def test_bytes_add_up_to_the_file():
    sizes = {"attn_q": {"Q4_K": 4_000_000}, "ffn_down": {"Q6_K": 5_000_000, "Q4_K": 1_000_000}}
    figure = charts.bytes_by_role(sizes, LIGHT)
    assert sum(sum(trace.x) for trace in figure.checked.data) == pytest.approx(10)


def test_the_recipe_is_a_star_among_the_stock_mixes():
    stock = [_recipe("Q4_K_M", 100, 0.03), _recipe("Q8_0", 200, 0.004)]
    hand = _recipe("by hand", 150, 0.02)
    figure = charts.size_against_error(stock, hand, LIGHT, False)
    assert figure.checked.data[0].marker.color in (LIGHT.bits[4], LIGHT.bits[8])
    assert [t.marker.symbol for t in figure.checked.data].count("star") == 1
    assert len(figure.checked.data) == 3


def test_the_verdict_is_measured():
    stock = [_recipe("Q4_K_S", 90, 0.04), _recipe("Q4_K_M", 100, 0.03), _recipe("Q8_0", 200, 0.004)]
    say = mix_words.beside_stock
    assert "by hand beats" in say(_recipe("by hand", 150, 0.02), stock, True)
    assert "does not beat" in say(_recipe("by hand", 150, 0.035), stock, True)
    assert "not been measured" in say(_recipe("by hand", 150, None), stock, True)
    assert say(_recipe("by hand", 50, 0.1), stock, True).startswith("No other mix")
    assert "**Q4_K_S** beats" not in say(_recipe("this recipe", 90, 0.05), stock, False)


def test_nothing_is_said_of_mixes_that_are_not_measured():
    stock = [_recipe("Q4_K_S", 90, 0.04), _recipe("Q4_K_M", 100, 0.03), _recipe("Q8_0", 200, 0.004)]
    smaller = [_recipe("Q2_K", 40, None), _recipe("Q3_K_S", 45, None)]
    say, every = mix_words.beside_stock, [*smaller, *stock]
    says = say(_recipe("by hand", 150, 0.02), every, True)
    assert "by hand beats the best mix that is no larger among the 2 measured of 4:" in says
    says = say(_recipe("by hand", 50, 0.1), every, True)
    assert says.startswith("No smaller mix of llama-quantize has been measured yet")
    assert "made by hand is **10" in says
    for size in (40, 45, 50):
        assert not say(_recipe("this recipe", size, 0.1), every, False).startswith("No other mix")
    assert say(_recipe("this recipe", 39, 0.1), every, False).startswith("No other mix")


def test_a_mix_that_is_smaller_is_never_denied(own_models, monkeypatch):
    """On a model where nothing but the recipe is measured, though every size is known."""
    model = open_model(own_models / "wide-toy")
    monkeypatch.setattr(errors, "AT_ONCE", 1.5 * model.n_weights)
    app, stock = visit("mix", model="wide-toy", mix="Q4_K_M"), stock_plans(model)
    assert any("changes the weights by" in says for says in findings(app)), "not even the recipe"
    assert any(each.bytes < stock["Q4_K_M"].bytes for each in stock.values())
    assert not any(re.match("No (other )?mix", says) for says in findings(app))


def test_the_headline_says_more_less_or_as_much():
    base = _recipe("Q4_K_M", 4_000_000, 0.03)
    for n_bytes, says in (
        (5_000_000, "1.0 MB more"),
        (3_000_000, "1.0 MB less"),
        (4_000_000, "as much as"),
    ):
        assert says in mix_words.headline(_recipe("by hand", n_bytes, 0.02), base, 1)


def test_a_hostile_recipe_gets_one_sentence():
    app = visit("mix")
    for content, says in (
        (b"(.*)*" * 8 + b"$z=q4_k", "No pattern of that file matches"),
        (b"ffn=q4_k " * 5000, "too long for a list of types"),
        (b"x" * 2**22 + b"y", "4,194,305 bytes"),
        (b"\xff", "not UTF-8 text"),
    ):
        app.file_uploader(key="recipe_file").set_value(("types.txt", content, "text/plain")).run()
        assert not app.exception
        assert [says in error.value for error in app.error] == [True]
