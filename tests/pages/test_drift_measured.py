"""Measuring on the page Drift: what it shows does not depend on what was asked when."""

import re

import numpy as np
import pytest

from quantcore.evaluate import kept_drift
from tests.support.app import findings, finish_job, said, sentences, visit
from tests.support.toy_model import write_folder, write_tokenizer

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 6
TYPES = ["F32", "Q8_0", "Q4_0", "INT2_G32_ASYM"]


def _measured(app, types, chosen):
    """Press the button for some types, and return the table's cells by type, as they are read."""
    app.pills(key="types").set_value(types)
    app.selectbox(key="type").set_value(chosen)
    app.run()
    app.button(key="measure_drift").click().run()
    finish_job(app)
    assert not app.exception and not sentences(app)
    return _table(app)


def _table(app):
    (table,) = (html for html in (e.proto.body for e in app.get("html")) if "Types ranked" in html)
    rows = re.findall(r'<tr.*?><th scope="row">(.*?)</th>(.*?)</tr>', table)
    plain = [tuple(re.sub("<.*?>", " ", cell).split()) for cell in map(" ".join, rows)]
    return {row[0]: row[1:] for row in plain}


@pytest.fixture
def drift(own_models):
    app = visit("drift", model="small-toy", text="own")
    app.text_area(key="own").set_value(TEXT).run()
    return app


def test_any_order_of_types_gives_the_same_table(drift):
    known = {}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        asked = [str(name) for name in rng.permutation(TYPES)[: rng.integers(1, 4)]]
        found = _measured(drift, asked, str(rng.choice(TYPES)))
        assert found.keys() >= set(asked)
        for name, row in found.items():
            assert known.setdefault(name, row) == row, (asked, name)
    assert known.keys() >= set(TYPES)
    assert known["F32"][-3:] == ("0", "0", "%")


@pytest.mark.parametrize("types", [["F32", "Q8_0"], ["Q4_0", "F32"], ["Q8_0", "Q4_0"]])
def test_the_original_has_one_row_among_the_skills(types):
    app = visit("drift", types=types, type=types[0])
    (table,) = (e.proto.body for e in app.get("html") if "Right answers in 100" in e.proto.body)
    heads = re.findall(r'<th scope="row">(.*?)</th>', table)
    names = [re.sub("<.*?>", "", head) for head in heads]
    assert names[0] == "original"
    assert sorted(names[1:]) == sorted({*types} - {"F32"})


@pytest.mark.parametrize("adds_bos", [True, False])
def test_a_text_is_shown_from_its_first_letter(own_models, adds_bos):
    """Where no token opens a text, nothing predicts its first one; it is shown all the same."""
    write_tokenizer(own_models / "small-toy", adds_bos=adds_bos)
    app = visit("drift", model="small-toy", text="own")
    app.text_area(key="own").set_value("Yesterday our team.").run()
    assert not app.exception and not sentences(app)
    spans = [
        re.findall(r'(\s*)<span class="w[^>]*>([^<]*)</span>', element.proto.body)
        for element in app.get("html")
    ]
    assert "".join(map("".join, max(spans, key=len))) == "Yesterday our team."


@pytest.mark.usefixtures("kept")
def test_what_was_measured_survives_a_reload_and_is_of_this_text_only(own_models):
    app = visit("drift", model="small-toy", types=["Q8_0", "Q4_0"], type="Q4_0")
    assert "not been measured" in said(app)
    found = _measured(app, ["Q8_0", "Q4_0"], "Q4_0")
    again = visit("drift", model="small-toy", types=["Q8_0", "Q4_0"], type="Q4_0")
    assert "not been measured" not in said(again) and findings(again) == findings(app)
    assert _table(again) == found
    other = visit("drift", model="small-toy", types="Q8_0", type="Q8_0", text="own")
    other.text_area(key="own").set_value(TEXT).run()
    assert "not been measured" in said(other), "another text"
    write_folder(own_models / "small-toy", seed=1)
    assert "not been measured" in said(visit("drift", model="small-toy", types="Q8_0", type="Q8_0"))


def test_types_that_are_measured_later_join_those_that_are_kept(kept, own_models):
    app = visit("drift", model="small-toy", types="Q8_0", type="Q8_0")
    _measured(app, ["Q8_0"], "Q8_0")
    _measured(app, ["Q4_0"], "Q4_0")
    (file,) = kept.glob("*.drift.json")
    assert set(kept_drift.load(file).drifts) == {"Q8_0", "Q4_0"}
    file.write_text("{", encoding="utf-8")
    assert "not been measured" in said(visit("drift", model="small-toy", types="Q8_0", type="Q8_0"))


@pytest.mark.parametrize(
    ("query", "words", "sentence"),
    [
        ({}, "Nora", "measuring needs at least 128. Paste a few hundred words."),
        ({}, "", "measuring needs at least 128. Paste a few hundred words."),
        ({"types": "Q4_K pure"}, TEXT, "Choose Q4_0, Q5_0 or Q8_0, or the mix Q4_K_M."),
    ],
)
def test_what_cannot_be_measured_is_refused_before_it_queues(own_models, query, words, sentence):
    app = visit("drift", model="small-toy", text="own", **{"types": "Q8_0", "type": "Q8_0"} | query)
    app.text_area(key="own").set_value(words).run()
    assert not app.exception
    assert app.button(key="measure_drift").disabled
    assert sentence in said(app)


def test_a_run_says_what_it_will_take(drift):
    assert re.search(r"Takes about \d+ seconds?, by estimate\.", said(drift))


def test_the_noise_floor_stands_below_what_ships_and_nothing_else(own_models):
    app = visit("drift", type="Q4_K")
    assert any("the noise floor is" in each for each in findings(app))
    app = visit("drift", model="small-toy", text="own")
    assert not any("noise floor" in each for each in findings(app))
