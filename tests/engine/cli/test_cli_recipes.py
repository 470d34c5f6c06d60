"""Plans by budget, recipes and swaps on the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest

from quantcore import open_model, plan, write_imatrix
from quantcore.cli import main
from quantcore.cli.parser import BY
from quantcore.evaluate.importance_use import stored_as_zeros
from quantcore.recipe.recipe_file import read_recipe
from quantcore.sensitivity import ways
from quantcore.sensitivity.results import Sensitivity, load
from tests.support.gguf_bytes import gguf_bytes
from tests.support.gguf_models import stranger_bytes
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded at all. " * 20


@pytest.fixture(scope="module")
def model():
    return open_model()


def _run(capsys, *arguments):
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def recipe(tmp_path, capsys):
    """Plan for a budget, and keep what is printed."""
    assert main(["plan", "--budget", "4.2bpw", "--json"]) == 0
    path = tmp_path / "recipe.json"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


def test_what_plan_prints_is_a_recipe_for_every_command(model, recipe, tmp_path, capsys):
    made = json.loads(recipe.read_text())
    types = {row["name"]: row["type"] for row in made["tensors"]}
    assert read_recipe(recipe, model) == {name: types[name] for name in model.quantizable}
    again = _run(capsys, "plan", "--recipe", recipe)
    assert {row["name"]: row["type"] for row in again["tensors"]} == types
    assert (again["type"], again["bytes"]) == (made["type"], made["bytes"])

    text = tmp_path / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    short = ("--text", text, "--context", 64)
    measured = _run(capsys, "perplexity", "--recipe", recipe, *short)
    assert (measured["type"], measured["weights_bytes"]) == ("mix", made["bytes"])

    output = tmp_path / "mine.gguf"
    assert main(["quantize", "--recipe", str(recipe), "--output", str(output)]) == 0
    capsys.readouterr()
    written = open_model(output)
    assert {name: written.tensors[name].dtype for name in model.quantizable} == read_recipe(
        recipe, model
    )
    from_file = _run(capsys, "perplexity", output, *short)
    assert from_file["perplexity"] == pytest.approx(measured["perplexity"], rel=1e-5)


def test_what_is_asked_for_besides_goes_before_the_recipe(model, recipe, tmp_path, capsys):
    one = "blk.3.attn_q.weight"
    asked = _run(capsys, "plan", "--recipe", recipe, "--tensor-type", f"{one}=q8_0")
    types = {row["name"]: row["type"] for row in asked["tensors"]}
    assert types[one] == "Q8_0"
    assert {n for n, t in read_recipe(recipe, model).items() if types[n] != t} <= {one}


def test_every_way_keeps_within_the_budget(capsys):
    assert BY == (*ways.BY, "random")
    recipes = {by: _run(capsys, "plan", "--budget", "Q4_K_M", "--by", by) for by in BY}
    for by, made in recipes.items():
        assert made["by"] == by
        assert 0.99 * made["budget_bytes"] < made["padded_bytes"] <= made["budget_bytes"]
    predicted = {by: made["predicted_kl_divergence"] for by, made in recipes.items()}
    assert predicted["measured"] == min(predicted.values())
    assert predicted["random"] > 2 * predicted["measured"]
    rule = next(r["rule"] for r in recipes["fisher"]["tensors"] if r["name"] == "token_embd.weight")
    assert "is the best for the budget by fisher" in rule
    again = _run(capsys, "plan", "--budget", "Q4_K_M", "--by", "random", "--seed", 0)
    other = _run(capsys, "plan", "--budget", "Q4_K_M", "--by", "random", "--seed", 1)
    assert again["tensors"] == recipes["random"]["tensors"] != other["tensors"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Write a small model, what its tensors cost on a text, and that text."""
    folder = tmp_path_factory.mktemp("models")
    model, text, results = folder / "toy", folder / "text.txt", folder / "results.json"
    write_folder(model, CONFIG)
    text.write_text(TEXT, encoding="utf-8")
    command = ["sensitivity", str(model), "--types", "Q4_0,Q8_0", "--text", str(text)]
    command += ["--context", "64", "--tokens", "256", "--output", str(results)]
    assert main(command) == 0
    return model, results, text


def test_swaps_are_reported(toy, capsys):
    model, results, text = toy
    command = ("plan", model, "--sensitivity", results, "--budget", "6bpw", "--swaps", 20)
    made = _run(capsys, *command, "--text", text)
    middle, low, high = made["kl_divergence"]
    assert low <= middle <= high
    assert middle <= made["kl_divergence_before"][0]
    assert 1 <= made["measurements"] <= 20
    assert made["padded_bytes"] <= made["budget_bytes"]
    assert main([*map(str, command), "--text", str(text)]) == 0
    printed = capsys.readouterr().out
    assert "kl divergence before: " in printed
    assert "swaps kept: " in printed


def test_swaps_of_a_plan_whose_sum_is_not_known(toy, tmp_path, capsys):
    """By a guide, a tensor can get a type in which it alone could not be measured."""
    model, results, text = toy
    path, command = tmp_path / "results.json", ("sensitivity", model, "--types", "Q4_0,Q8_0")
    path.write_text(results.read_text(encoding="utf-8"), encoding="utf-8")
    cut = ("--text", text, "--context", "64", "--tokens", "256", "--guides", "--output", path)
    assert main([*map(str, (*command, *cut))]) == 0
    measured = load(path)
    lacking = Sensitivity(measured.source)
    for guide in measured.guides:
        lacking.add_guide(guide)
    for effect in measured.effects:
        if effect.name != "blk.0.attn_q.weight":
            lacking.add(effect)
    lacking.save(path)
    capsys.readouterr()
    command = ("plan", model, "--sensitivity", path, "--by", "weight_error", "--budget", "6bpw")
    made = _run(capsys, *command, "--swaps", 2, "--text", text)
    assert made["predicted_kl_divergence"] is made["sum_was_near"] is None
    assert main([*map(str, command), "--swaps", "2", "--text", str(text)]) == 0
    printed = capsys.readouterr().out
    assert printed.count(": not known\n") == 2


def test_a_recipe_for_an_importance_matrix_says_when_there_is_none(tmp_path, capsys):
    model, path = tmp_path / "toy", tmp_path / "recipe.json"
    write_folder(model, CONFIG)
    made = _run(capsys, "plan", model, "--type", "Q4_0", "--with-imatrix")
    path.write_text(json.dumps(made), encoding="utf-8")
    run = ["quantize", str(model), "--recipe", str(path), "--output", str(tmp_path / "out.gguf")]
    assert main(run) == 0
    assert "Without the importance matrix that this recipe is for" in capsys.readouterr().err


def test_a_list_of_types_leaves_the_rest_as_the_rules_have_it(model, tmp_path, capsys):
    """Q4_0 gives ffn_down a minimum only with an importance matrix, and takes none by itself."""
    types, text = tmp_path / "types.txt", tmp_path / "text.txt"
    types.write_text("blk.3.attn_q=q4_0", encoding="utf-8")
    text.write_text(TEXT, encoding="utf-8")
    run = ("perplexity", "--type", "Q4_0", "--text", text, "--context", 64)
    measured = _run(capsys, *run, "--tensor-type-file", types)
    assert measured["weights_bytes"] == plan(model, "Q4_0").bytes
    assert measured["weights_bytes"] < plan(model, "Q4_0", imatrix=True).bytes


def _ten_tokens(tmp_path):
    path = tmp_path / "ten.txt"
    path.write_text("ten tokens", encoding="utf-8")
    return path


def _broken(tmp_path):
    path = tmp_path / "broken.json"
    path.write_text('{"recipe": "quantlab", "version": 1', encoding="utf-8")
    return path


def _of_others(tmp_path):
    path = tmp_path / "toy"
    write_folder(path, CONFIG)
    return path


MISTAKES = {
    "budget below the smallest mix": ("plan --budget 1.5bpw", "is below the smallest mix"),
    "size below the smallest mix": ("plan --budget 10kB", "is below the smallest mix"),
    "budget by chance below it": ("plan --budget 1bpw --by random", "is below the smallest mix"),
    "not a budget": ("plan --budget lots", "is not a budget"),
    "budget of nothing": ("plan --budget kl:0", "is not a divergence"),
    "divergence below the best": ("plan --budget kl:1e-9", "diverges as little"),
    "divergence by a guide": ("plan --budget kl:0.01 --by fisher",
                              "Only measured divergence can be bounded, as by kl:0.01"),
    "divergence by chance": ("plan --budget kl:0.01 --by random", "give a size as the budget"),
    "way that is none": ("plan --budget 4bpw --by taste", "invalid choice"),
    "formats that rows do not allow": ("sensitivity {toy} --types Q4_K --output {tmp}/f.json",
                                       "can store no tensor"),
    "formats that were not measured": ("plan --budget 4bpw --types Q4_0", "was not measured"),
    "format that is none": ("plan --budget 4bpw --types Q9", "was not measured"),
    "output in a type that is none": ("plan --budget 4bpw --keep-output Q9", "no type 'Q9'"),
    "results of another model": ("plan {toy} --budget 4bpw", "with other weights"),
    "results that are none": ("plan --budget 4bpw --sensitivity {broken}", "broken.json"),
    "scheduler that is not there": (
        "sensitivity --scheduler tcp://127.0.0.1:9 --output {tmp}/f.json", "Dask"),
    "text of ten tokens": ("sensitivity --text {ten} --output {tmp}/f.json", "at least 1,024"),
    "ten tokens to measure": ("perplexity --text {ten}", "needs at least 1,024"),
    "ten tokens to swap on": ("plan --budget 4bpw --swaps 3 --text {ten}", "needs at least 1,024"),
    "broken recipe": ("plan --recipe {broken}", "not valid JSON"),
    "broken recipe to quantize": ("quantize --recipe {broken} --output {tmp}/f.gguf", "broken"),
    "broken recipe to measure": ("perplexity --recipe {broken}", "broken"),
    "recipe that is missing": ("plan --recipe {tmp}/none.json", "none.json is missing"),
    "recipe of another model": ("plan {toy} --recipe {recipe}", "is of another model"),
    "recipe and type": ("plan --type Q4_K_M --recipe {recipe}", "Give one of --type"),
    "recipe and type to measure": ("perplexity --type Q4_K_M --recipe {recipe}", "Give either"),
    "recipe and type to quantize": (
        "quantize --type Q4_K_M --recipe {recipe} --output {tmp}/f.gguf", "Give either"),
    "neither": ("quantize --output {tmp}/f.gguf", "Give either"),
    "swaps of rules": ("plan --type Q4_K_M --swaps 5", "only with --budget"),
    "types asked for by name": ("plan --budget 4bpw --tensor-type attn_v=Q8_0",
                                "--tensor-type does not go with --budget"),
    "no swaps": ("plan --budget 4bpw --swaps 0", "give 1 or more"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(mistake, recipe, tmp_path, capsys):
    line, says = MISTAKES[mistake]
    places = {"tmp": tmp_path, "recipe": recipe, "ten": _ten_tokens(tmp_path),
              "broken": _broken(tmp_path), "toy": _of_others(tmp_path)}  # fmt: skip
    before = sorted(tmp_path.iterdir())
    try:
        status = main([part.format(**places) for part in line.split()])
    except SystemExit as ended:  # argparse's own
        status = ended.code
    printed = capsys.readouterr()
    assert status == 2
    assert says in printed.err
    assert printed.err.splitlines()[-1].endswith(".")
    assert "Traceback" not in printed.err
    assert not printed.out
    assert sorted(tmp_path.iterdir()) == before


def test_a_matrix_of_zeros_is_warned_of(tmp_path, capsys):
    """As ggml stores it: its bytes are held against ours by `make peers`."""
    shipped, name = open_model(), "blk.1.attn_q.weight"
    sums = dict(shipped.imatrix.sums) | {name: np.zeros_like(shipped.imatrix.sums[name])}
    write_imatrix(tmp_path / "zeros.gguf", replace(shipped.imatrix, sums=sums))
    out, matrix = tmp_path / "made.gguf", str(tmp_path / "zeros.gguf")
    assert main(["quantize", "--type", "Q4_0", "--imatrix", matrix, "--output", str(out)]) == 0
    assert f"1 tensors become zeros, {name} the first" in capsys.readouterr().err
    made = open_model(out)
    assert not made.weights(name).any() and made.weights("blk.0.attn_q.weight").any()
    for type in ("Q4_1", "Q8_0"):
        assert not stored_as_zeros(replace(shipped.imatrix, sums=sums), {name: type})


def test_plan_needs_neither_a_tokenizer_nor_a_forward_pass(tmp_path, capsys):
    folder = write_folder(tmp_path / "Toy")
    whole = _run(capsys, "plan", folder, "--type", "Q8_0")
    (folder / "tokenizer.json").unlink()
    assert _run(capsys, "plan", folder, "--type", "Q8_0") == whole
    (tmp_path / "stranger.gguf").write_bytes(stranger_bytes())  # Mamba, two tokens
    made = _run(capsys, "plan", tmp_path / "stranger.gguf", "--type", "Q8_0")
    types = {row["name"]: row["type"] for row in made["tensors"]}
    assert types["blk.1.ssm_in.weight"] == "Q8_0" and types["output_norm.weight"] == "F32"
    words = tmp_path / "words.gguf"
    words.write_bytes(gguf_bytes({"general.architecture": "llama"}, {}))
    assert main(["plan", str(words), "--type", "Q8_0"]) == 2
    assert "vocabulary without weights" in capsys.readouterr().err
