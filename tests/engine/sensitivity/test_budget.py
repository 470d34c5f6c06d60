"""Plans for a budget: from measured divergence to a file's types, and back into a measurement."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from quantcore import open_model, plan
from quantcore.cli import main
from quantcore.sensitivity.budget import Budget, padded_bytes
from quantcore.sensitivity.measure import Settings, sensitivity_steps
from quantcore.sensitivity.results import Sensitivity, shipped
from quantcore.sensitivity.ways import BY, budget_by, choice_key, covers, ways_of
from tests.support.toy_model import write_folder

FORMATS = ("Q2_K", "Q4_K", "Q6_K", "Q8_0")


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def measured(model):
    """Measure the shipped model on few tokens."""
    settings = Settings(formats=list(FORMATS), groups=["tensor"], context=128, tokens=256)
    *_, last = sensitivity_steps(model, settings)
    return last.result.results


@pytest.fixture(scope="module")
def results(measured, tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "some-sensitivity.json"
    measured.save(path)
    return path


def test_a_plan_keeps_within_its_budget_and_uses_it(model, measured):
    budget = Budget(model, measured)
    for text in ("3bpw", "4.5 bpw", "Q4_K_M", "3.9MB", "5MiB"):
        wanted = budget.bytes_of(text)
        budgeted = budget.within(wanted)
        assert padded_bytes(budgeted.plan) == budgeted.padded_bytes <= wanted
        assert budgeted.padded_bytes > 0.99 * wanted
        assert budgeted.gap == 0
        assert budgeted.predicted_kl_divergence == pytest.approx(budget.predicted(budgeted.plan))


def test_nothing_is_predicted_of_a_file_made_with_a_matrix_where_nothing_was_measured_so(
    model, measured
):
    """Either the plan is for a file made with one, or the results were measured with one."""
    without, with_one = (plan(model, "Q4_K pure", imatrix=aided) for aided in (False, True))
    aided = Sensitivity(replace(measured.source, imatrix_digest="that of some matrix"))
    for effect in measured.effects:
        aided.add(effect)
    budgets = Budget(model, measured), Budget(model, aided)
    assert [budget.predicted(without) is None for budget in budgets] == [False, True]
    assert [budget.predicted(with_one) is None for budget in budgets] == [True, False]
    budgeted = budgets[1].within(budgets[1].bytes_of("4bpw"))
    assert budgeted.plan.with_imatrix and budgeted.predicted_kl_divergence > 0


def test_more_bytes_never_cost_more_and_the_front_is_a_front(model, measured):
    budget = Budget(model, measured)
    costs = [
        budget.within(budget.bytes_of(f"{b}bpw")).predicted_kl_divergence for b in (3, 4, 5, 6)
    ]
    assert costs == sorted(costs, reverse=True)
    front = budget.front()
    assert {t.type for t in front[0].plan.tensors} == {"Q2_K", "F32"}
    assert {t.type for t in front[-1].plan.tensors} <= {"Q6_K", "Q8_0", "F32"}
    assert all(a.padded_bytes < b.padded_bytes for a, b in pairwise(front))


def test_it_predicts_less_than_llama_cpps_rules_at_their_size(model, measured):
    budget = Budget(model, measured)
    rules = plan(model, "Q4_K_M")  # of Q4_K and Q6_K, which were measured
    budgeted = budget.within(padded_bytes(rules))
    assert budgeted.predicted_kl_divergence < budget.predicted(rules)


def test_the_smallest_file_of_a_divergence(model, measured):
    budget = Budget(model, measured)
    budgeted = budget.at_divergence(0.01)
    assert budgeted.predicted_kl_divergence <= 0.01
    smaller = budget.within(budgeted.padded_bytes - 64)
    assert smaller.predicted_kl_divergence > 0.01


def test_conditions(model, measured):
    budget = Budget(model, measured, keep_output="Q6_K", by_layer=True)
    budgeted = budget.within(budget.bytes_of("4bpw"))
    types = {tensor.name: tensor.type for tensor in budgeted.plan.tensors}
    assert types["token_embd.weight"] in ("Q6_K", "Q8_0")  # it serves as the output
    for layer in range(8):
        in_layer = {
            t for name, t in types.items() if name.startswith(f"blk.{layer}.") and t != "F32"
        }
        assert len(in_layer) == 1
    few = Budget(model, measured, ["Q4_K", "q6_k"])
    types = {tensor.type for tensor in few.within(few.bytes_of("5bpw")).plan.tensors}
    assert types == {"Q4_K", "Q6_K", "F32"}


def test_what_needs_an_importance_matrix_is_left_out_without_one(model):
    measured = shipped()
    assert "IQ3_XXS" in measured.formats
    budget = Budget(model, measured)
    assert "IQ3_XXS" not in budget.formats
    assert not any(t.needs_imatrix for t in budget.within(budget.bytes_of("3.2bpw")).plan.tensors)
    assert "IQ3_XXS" in Budget(model, measured, ["Q8_0", "IQ3_XXS"]).formats


@pytest.mark.parametrize("mix", ["Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M"])
def test_the_shipped_results_predict_much_less_than_the_rules_cost(model, mix):
    """What the bars of benchmarks/budget.py measure on held-out text, by the sum of effects."""
    budget = Budget(model, shipped())
    rules = plan(model, mix)
    budgeted = budget.within(padded_bytes(rules))
    assert budgeted.padded_bytes <= padded_bytes(rules)
    assert budgeted.predicted_kl_divergence < 0.75 * budget.predicted(rules)


def test_another_cost_can_be_small_instead(model, measured):
    by_size = Budget(model, measured, cost=lambda name, fmt: -float(fmt == "Q2_K"))
    budgeted = by_size.within(by_size.bytes_of("5bpw"))
    assert {tensor.type for tensor in budgeted.plan.tensors} == {"Q2_K", "F32"}


@pytest.mark.parametrize(
    "text, says",
    [("4.5", None), ("lots", "is not a budget"), ("-3bpw", "is not a budget"),
     ("", "is not a budget"), ("4.5XB", "is not a budget")],
)  # fmt: skip
def test_a_budget_that_is_none(model, measured, text, says):
    budget = Budget(model, measured)
    if says is None:
        assert budget.bytes_of(text) == 4
        return
    with pytest.raises(ValueError, match=says):
        budget.bytes_of(text)


def test_guides_know_no_nats(model):
    """The sum of a guide is not a divergence, so none can be bounded by it: the engine says so."""
    for way in BY[1:]:
        budget = budget_by(way, model, shipped())
        for ask in (lambda b=budget: b.plan_for("kl:0.002"), lambda b=budget: b.at_divergence(0.1)):
            with pytest.raises(ValueError, match="Only measured divergence can be bounded") as said:
                ask()
            assert "\n" not in str(said.value)
    with pytest.raises(ValueError, match="bounds a divergence: give a size"):
        budget.bytes_of("kl:0.002")
    assert budget_by("measured", model, shipped()).plan_for("kl:0.002").padded_bytes > 0


def test_a_plan_says_whether_it_was_measured_with_the_matrix(model, measured):
    assert not Budget(model, measured).plan_for("4bpw").plan.with_imatrix
    aided = Sensitivity(replace(measured.source, imatrix_digest="0123"))
    for effect in measured.effects:
        aided.add(effect)
    assert Budget(model, aided).plan_for("4bpw").plan.with_imatrix


def test_a_key_for_caches_follows_every_figure(measured):
    again = Sensitivity(measured.source)
    for effect in measured.effects:
        again.add(effect)
    assert choice_key(again) == choice_key(measured)
    first = next(e for e in measured.effects if (e.group, e.how) == ("tensor", "alone"))
    again.add(replace(first, mean_kl_divergence=2 * first.mean_kl_divergence))  # as many as before
    assert choice_key(again) != choice_key(measured)
    whole, bare = shipped(), shipped()
    bare._guides.popitem()
    assert choice_key(bare) != choice_key(whole)


def test_what_a_sweep_that_was_stopped_allows(model, measured):
    assert covers(measured, model) and ways_of(model, measured) == ["measured"]
    assert ways_of(open_model(), shipped()) == list(BY)
    part = Sensitivity(measured.source)
    for effect in measured.effects[: len(measured.effects) // 2]:
        part.add(effect)
    assert not covers(part, model)


def test_a_budget_beyond_all_bounds_is_one(model, measured):
    budget = Budget(model, measured)
    for unit in ("MB", "bpw"):
        budgeted = budget.within(budget.bytes_of("9" * 400 + unit))
        assert budgeted.plan.tensors == budget.front()[-1].plan.tensors


def test_what_cannot_be_is_refused(model, measured, tmp_path):
    budget = Budget(model, measured)
    with pytest.raises(ValueError, match="is below the smallest mix of these formats"):
        budget.within(budget.bytes_of("2bpw"))
    with pytest.raises(ValueError, match="No mix of these formats diverges as little"):
        budget.at_divergence(1e-12)
    with pytest.raises(ValueError, match="Q3_K was not measured"):
        Budget(model, measured, ["Q3_K"])
    other = open_model(write_folder(tmp_path / "toy"))
    with pytest.raises(ValueError, match="with other weights than"):
        Budget(other, measured)


def test_the_commands_make_and_measure_a_plan(results, tmp_path, capsys):
    assert main(["plan", "--budget", "4bpw", "--sensitivity", str(results), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["bits_per_weight"] <= 4.0
    assert made["predicted_kl_divergence"] > 0
    rules = {row["name"]: row["rule"] for row in made["tensors"]}
    assert "is the best for the budget" in rules["blk.0.attn_q.weight"]

    types = tmp_path / "types.txt"
    types.write_text("".join(f"{row['name']}={row['type']}\n" for row in made["tensors"]))
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time the river ran uphill, and nobody minded. " * 40)
    run = ["perplexity", "--type", "Q4_K_M", "--tensor-type-file", str(types), "--json"]
    assert main([*run, "--text", str(text), "--context", "128"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["type"] == "mix"
    assert measured["weights_bytes"] == made["bytes"]


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["plan"], "Give one of --type"),
        (["plan", "--type", "Q4_K_M", "--budget", "4bpw"], "Give one of --type"),
        (["plan", "--budget", "1bpw"], "is below the smallest mix"),
        (["plan", "--budget", "kl:no"], "is not a divergence"),
        (["plan", "--budget", "4bpw", "--sensitivity", "missing.json"], "missing"),
        (["perplexity", "--type", "Q4_K_M", "--tensor-type-file", "missing.txt"], "missing"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments, says, results, capsys):
    if "--budget" in arguments and "--sensitivity" not in arguments:
        arguments = [*arguments, "--sensitivity", str(results)]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
