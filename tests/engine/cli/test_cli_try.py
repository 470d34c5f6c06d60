"""The command `try`."""

import csv
import json

import pytest

from quantcore.cli import main
from tests.support.toy_model import CONFIG, write_folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    wide = CONFIG | {"hidden_size": 256, "intermediate_size": 256}
    return str(write_folder(tmp_path_factory.mktemp("try") / "toy", wide))


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "mine.jsonl"
    lines = ({"prompt": f"The {word}", "pattern": "[aeiou]"} for word in ("fox", "tailor", "dog"))
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(file)


def test_versions_are_compared_on_the_prompts_of_a_file(toy, prompts, tmp_path, capsys):
    every, html = tmp_path / "all.csv", tmp_path / "page.html"
    options = ["--types", "Q8_0,Q2_K pure", "--prompts", prompts, "--tokens", "5", "--json"]
    assert main(["try", toy, *options, "--csv", str(every), "--html", str(html)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["model"], printed["prompts"], printed["judged"]) == ("toy", 3, 3)
    keys = set(
        "type matches better worse p_value difference difference_low difference_high same_answer "
        "first_difference_median original_answer_log_probability".split()
    )
    assert [row["type"] for row in printed["results"]] == ["Q8_0", "Q2_K pure"]
    for row in printed["results"]:
        assert keys <= set(row)
        gained = row["better"] - row["worse"]
        assert row["matches"] == printed["original_matches"] + gained
        assert row["difference_low"] <= row["difference"] == gained / 3 <= row["difference_high"]
    with every.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 3 * 3
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_is_printed_says_what_would_decide(capsys):
    assert main(["try", "--types", "Q8_0", "--tokens", "4", "--margin", "30"]) == 0
    said = capsys.readouterr().out
    assert "fable-7m answers 150 prompts" in said and "  yes" in said
    assert "As good: at most 30 points worse than the original" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--prompts FILE is needed"),
        (["--prompts", "nowhere.txt"], "nowhere.txt"),
        (["--margin", "0", "--prompts", "FILE"], "--margin must be above 0"),
        (["--tokens", "0", "--prompts", "FILE"], "1 to 1,000 tokens"),
        (["--chat", "--prompts", "FILE"], "no chat template"),
    ],
)
def test_what_cannot_be_tried_is_one_sentence(toy, prompts, options, says, capsys):
    given = [prompts if word == "FILE" else word for word in options]
    assert main(["try", toy, "--types", "Q8_0", *given]) != 0
    printed = capsys.readouterr()
    assert says in printed.err and not printed.out and "Traceback" not in printed.err
