"""The page Mix by what was measured: slider, budgets, limits, recipes as JSON, the chart."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pages.mix import by_hand, divergence
from pages.mix import choice as mix_choice
from pages.mix import divergence_words as words
from pages.mix.charts import divergence as charts
from pages.shared import (
    bench,
    plans,
    sweeps,
)
from pages.shared.palette import DARK, LIGHT
from quantcore import open_model, plan
from quantcore.recipe.of_types import padded_bytes
from quantcore.recipe.recipe_file import recipe_as_json
from quantcore.sensitivity.mixes import shipped_mixes
from quantcore.sensitivity.results import Sensitivity, shipped
from quantcore.sensitivity.ways import covers
from tests.support.app import visit
from tests.support.patience import wait_until
from tests.support.toy_model import write_folder

MEASURED = mix_choice.BY["measured"]


def _charts(app):
    """Specifications of the charts, by their key."""
    charts = app.get("plotly_chart")
    return {each.proto.id.rpartition("-")[2]: json.loads(each.proto.spec) for each in charts}


def _types(app):
    """Types of the matrices, as the map says them."""
    marks = _charts(app)["mix_map"]["data"][1]
    said = (text.split("<br>")[1].split()[0] for text in marks["text"])
    return dict(zip(marks["customdata"], said, strict=True))


def _star(app):
    """Place of the recipe at hand: the mark that is drawn last."""
    star = _charts(app)["mix_divergence"]["data"][-1]
    assert star["marker"]["symbol"].startswith("star")
    return star


def _bits(app):
    return app.slider(key="bits").value


def test_the_mix_is_the_best_of_the_size_of_the_file_type():
    model = open_model()
    app = visit("mix", by=MEASURED, budget="Q4_K_S")
    assert app.header[0].value.startswith("**The recipe by measured divergence** takes")
    assert "less** than llama-quantize’s Q4_K_S" in app.header[1].value
    assert _bits(app) <= 8 * padded_bytes(plan(model, "Q4_K_S")) / model.n_weights + 0.01
    rules = visit("mix", mix="Q4_K_S")
    assert "chosen by measured divergence costs" in rules.header[1].value
    assert _star(app)["y"][0] < 0.75 * _star(rules)["y"][0]


def test_the_slider_moves_along_the_front_and_a_budget_moves_the_slider():
    app = visit("mix", by=MEASURED)
    before = app.header[0].value
    app.slider(key="bits").set_value(4.1).run()
    assert app.session_state["budget"] == "4.10bpw"
    assert app.header[0].value != before and 4.0 < _bits(app) <= 4.1
    app = visit("mix", by=MEASURED, budget="kl:0.001")
    assert not app.error
    assert _star(app)["marker"]["symbol"] == "star-open"  # it is predicted
    assert 0.0009 < _star(app)["y"][0] <= 0.001
    assert 3.5 < _bits(app) < 4.5


@pytest.mark.parametrize(
    ("budget", "says"),
    [("0.5bpw", "below the smallest"), ("kl:1e-9", "diverges as little"), ("huge", "not a budget")],
)
def test_a_budget_that_cannot_be_had_is_one_sentence_and_the_page_stays(budget, says):
    app = visit("mix", by=MEASURED, budget=budget)
    (error,) = app.error
    assert says in error.value and error.value.endswith(".") and "\n" not in error.value
    assert set(_charts(app)) == {"mix_map", "mix_divergence", "mix_bytes", "mix_size"}


def test_limits_hold():
    app = visit("mix", by=MEASURED, budget="Q4_K_M", only=["Q4_K", "Q6_K"], keep_output="Q6_K")
    types = _types(app)
    assert not app.error
    assert set(types.values()) == {"Q4_K", "Q6_K"} and types["token_embd.weight"] == "Q6_K"
    types = _types(visit("mix", by=MEASURED, budget="Q4_K_M", by_layer="true"))
    for layer in range(8):
        assert len({type for name, type in types.items() if f"blk.{layer}." in name}) == 1


def test_a_button_leaves_only_what_runtimes_have_in_common():
    app = visit("mix", by=MEASURED, budget="3.9MB")
    assert any(type.startswith("IQ") for type in _types(app).values())
    app.button(key="only_No IQ").click().run()
    assert not any(type.startswith("IQ") for type in _types(app).values())
    app.button(key="only_K-quants and Q8_0").click().run()
    assert {type for type in _types(app).values() if not type.endswith("_K")} <= {"Q8_0"}
    app.button(key="only_All").click().run()
    assert any(type.startswith("IQ") for type in _types(app).values()) and not app.error


def test_a_guide_knows_no_divergence():
    (error,) = visit("mix", by=mix_choice.BY["fisher"], budget="kl:0.002").error
    assert error.value.startswith("Only measured divergence can be bounded, as by kl:0.002")


def test_limits_that_leave_nothing_are_one_sentence():
    app = visit("mix", by=MEASURED, budget="Q4_K_M", only=["Q4_K"], keep_output="Q8_0")
    (error,) = app.error
    assert "token_embd.weight" in error.value and error.value.endswith(".")
    assert set(_charts(app)) == {"mix_map", "mix_divergence", "mix_bytes", "mix_size"}


def test_a_sweep_that_was_stopped_is_not_chosen_by(tmp_path, monkeypatch):
    model, whole = open_model(), shipped()
    part = Sensitivity(whole.source)
    for effect in whole.effects[:40]:
        part.add(effect)
    known = sweeps.KeptSweep("part", part, True)
    monkeypatch.setattr(sweeps, "every", lambda model: {"part": known})
    assert visit("mix").selectbox(key="by").options == [mix_choice.BY["rules"]]
    assert not covers(part, model) and covers(whole, model)


def test_a_change_by_hand_stands_above_what_was_measured():
    app = visit("mix", by=MEASURED, budget="Q4_K_M", set=["blk.3.ffn_down=Q8_0"])
    assert app.header[0].value.startswith("With 1 tensor changed by hand")
    assert _types(app)["blk.3.ffn_down.weight"] == "Q8_0"


def test_a_recipe_in_json_comes_back_as_it_was_saved(monkeypatch):
    model = open_model()
    made = plans.planned(model.name, "Q3_K_M", False, False, (("blk.5.attn_q.weight", "Q8_0"),))
    by_name = {tensor.name: tensor.type for tensor in made.tensors}
    monkeypatch.setattr(by_hand, "loaded", lambda model: made)
    app = visit("mix", by=mix_choice.BY["recipe"])
    assert _types(app) == {name: by_name[name] for name in model.quantizable}
    assert app.header[0].value.startswith("**The loaded recipe** takes")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "is not a recipe of the lab"),
        ("{", "is not valid JSON"),
        ('{"recipe": "quantlab", "version": 9, "tensors": []}', "version 9"),
        ("attn_k=q9_k", "no tensor type"),
        ("nowhere=q4_k", "No pattern"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_sentence(monkeypatch, content, says):
    content = content if isinstance(content, bytes) else content.encode()
    file = SimpleNamespace(name="x.json", size=len(content), getvalue=lambda: content)
    state = {"recipe_file": file}
    monkeypatch.setattr(by_hand.st, "session_state", state)
    by_hand.load(open_model())
    problem = by_hand.problem()
    assert says.lower() in problem.lower() and problem.endswith(".") and "\n" not in problem
    assert set(state) == {"recipe_file"}


def test_a_recipe_of_this_model_is_taken(monkeypatch):
    model = open_model()
    text = recipe_as_json(plan(model, "Q5_K_M"))
    state = {"recipe_file": SimpleNamespace(name="x.json", size=len(text), getvalue=text.encode)}
    monkeypatch.setattr(by_hand.st, "session_state", state)
    by_hand.load(model)
    assert by_hand.problem() == "" and state["by"] == mix_choice.BY["recipe"]
    assert by_hand.loaded(model).type == "Q5_K_M" and not state["with_imatrix"]
    aided = recipe_as_json(plan(model, "Q5_K_M", imatrix=True))
    state["recipe_file"] = SimpleNamespace(name="x.json", size=len(aided), getvalue=aided.encode)
    by_hand.load(model)
    assert state["with_imatrix"]


def test_a_recipe_is_measured_and_becomes_a_point():
    """Another type for a small tensor, so that nothing shipped is of these types."""
    app = visit("mix", set=["blk.0.attn_k=Q8_0"])
    n_lines = len(_charts(app)["mix_divergence"]["data"])
    assert _star(app)["marker"]["symbol"] == "star-open"
    app.button(key="measure_divergence").click().run()
    wait_until(lambda: not app.session_state["_job"].active)
    app.run()
    assert not app.exception and not app.error
    star = _star(app)
    assert star["marker"]["symbol"] == "star" and star["error_y"]["array"][0] > 0
    assert len(_charts(app)["mix_divergence"]["data"]) == n_lines
    (point,) = next(iter(app.session_state["_mix_points"].values()))
    assert point.way == "hand" and point.types["blk.0.attn_k.weight"] == "Q8_0"
    (rules,) = (p for p in shipped_mixes() if (p.name, p.way) == ("Q4_K_M", "rules"))
    assert point.mean_kl_divergence == pytest.approx(rules.mean_kl_divergence, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        (
            {"way": "rules", "size_of": "Q4_K pure", "with_imatrix": True},
            {"by": mix_choice.BY["rules"], "mix": "Q4_K_M", "pure": True, "with_imatrix": True},
        ),
        (
            {"way": "fisher", "size_of": None, "bytes": 3_000_000, "name": "Q4_K_M"},
            {"by": "Fisher", "budget": "3000000b", "with_imatrix": False},
        ),
        (
            {"way": "measured", "size_of": "Q4_K_S", "name": "5.01 bits"},
            {"by": MEASURED, "budget": "Q4_K_S", "with_imatrix": False},
        ),
        ({"way": "hand", "size_of": None}, {}),
    ],
)
def test_a_mark_is_taken_over_by_what_it_is_and_not_by_its_name(monkeypatch, changes, taken):
    mark = divergence._mark(open_model(), replace(shipped_mixes()[0], **changes))
    state = {}
    monkeypatch.setattr(divergence.st, "session_state", state)
    monkeypatch.setattr(divergence.controls, "clicked", lambda key: list(mark.carries))
    divergence._clicked()
    assert state == taken


def test_a_model_that_nobody_measured_has_rules_only(tmp_path, monkeypatch):
    write_folder(tmp_path / "toy")
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    app = visit("mix", model="toy", mix="Q8_0")
    assert app.selectbox(key="by").options == [mix_choice.BY["rules"]]
    assert any(words.NOT_MEASURED in m.value for m in app.markdown)
    assert "not been measured yet" in app.header[1].value


def _mark(name, bits, cost):
    place = dict(low=0.9 * cost, high=1.1 * cost, carries=("rules", name, False))
    return charts.Mark(name=name, bits=bits, divergence=cost, **place)


@pytest.mark.parametrize("look", [LIGHT, DARK])
@pytest.mark.parametrize("narrow", [False, True])
def test_the_chart_holds_every_mark_and_the_star(look, narrow):
    ways = ("rules", "measured", "fisher", "random")
    lines = {way: [_mark("a", 3.0, 0.01), _mark("b", 5.0, 0.001)] for way in ways}
    called = dict.fromkeys(ways, "x")
    star = charts.Star(bits=4.0, divergence=0.004)
    front = [(3.0, 0.008), (5.0, 0.0)]
    figure = charts.size_against_divergence(lines, called, front, star, look, narrow=narrow)
    assert len(figure.checked.data) == 6 and figure.checked.data[-1].y == (0.004,)
    low, high = figure.checked.layout.yaxis.range
    for trace in figure.checked.data:
        assert all(10**low <= y <= 10**high for y in trace.y)
    assert figure.checked.data[1].error_y.array == pytest.approx([0.001, 0.0001])
    bare = charts.size_against_divergence({}, {}, [], star, look)
    assert len(bare.checked.data) == 1


def test_sentences_know_chance():
    rules, measured = (
        next(p for p in shipped_mixes() if (p.name, p.way) == ("Q4_K_M", way))
        for way in ("rules", "measured")
    )
    same = replace(measured, mean_kl_divergence=rules.mean_kl_divergence,
                   kl_low=0.9 * rules.kl_low, kl_high=1.1 * rules.kl_high)  # fmt: skip
    n_bytes = measured.bytes
    assert "less** than" in words.verdict("it", n_bytes, measured, None, [rules])
    assert "as far as this text can tell" in words.verdict("it", n_bytes, same, None, [rules])
    assert words.verdict("it", n_bytes, rules, None, [measured]).endswith("less.")
    assert "not been measured yet" in words.verdict("it", n_bytes, None, None, [rules])
    assert words.verdict("it", 99, None, 0.1, [rules]).endswith("nats per token at 99 B.")
