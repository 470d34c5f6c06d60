"""The page Sensitivity: what it draws of the shipped results, and of results from a file."""

import json

import pytest

from pages.sensitivity.charts import running
from pages.shared import bench
from pages.shared.palette import LIGHT
from quantcore.sensitivity import results as stored
from quantcore.sensitivity.results import guide_ranks, shipped
from tests.support.app import drawn_charts, said, visit
from tests.support.sweep_results import Q, effect, results

CHARTS = ["map", "worst", "curves", "sums", "depth", "roles", "guides"]
CHARTS += ["skills"] * bool(shipped().effects[0].skills)
pytestmark = pytest.mark.usefixtures("kept")


def test_the_shipped_results_are_there_at_once():
    app = visit("sensitivity")
    assert not app.error
    assert len(drawn_charts(app)) == len(CHARTS)
    assert app.header[0].value.startswith("In **Q4_K**, **")


@pytest.mark.parametrize("format_name", shipped().formats)
def test_every_format_names_its_worst_tensor(format_name):
    app, results = visit("sensitivity", type=format_name), shipped()
    effects = [e for e in results.effects if (e.group, e.how, e.format) ==
               ("tensor", "alone", format_name)]  # fmt: skip
    worst = max(effects, key=lambda e: e.mean_kl_divergence)
    texts = drawn_charts(app)[0]["data"][1]["text"]
    assert any(f"<b>{worst.name}</b><br>" in text for text in texts)
    rows = drawn_charts(app)[1]["data"][0]
    assert rows["customdata"][0] == worst.name
    assert rows["x"][0] == pytest.approx(worst.mean_kl_divergence)
    assert rows["error_x"]["array"][0] == pytest.approx(worst.kl_high - worst.mean_kl_divergence)
    ranks = guide_ranks(results, format_name)
    titles = " ".join(note["text"] for note in drawn_charts(app)[6]["layout"]["annotations"])
    assert f"{ranks['fisher']:.2f}" in titles and f"{guide_ranks(results)['fisher']:.2f}" in titles


@pytest.mark.parametrize("changed", ["tensors", "layers", "roles"])
@pytest.mark.parametrize("how", ["only this", "everything except this"])
@pytest.mark.parametrize("cost", ["divergence", "perplexity", "top token"])
def test_every_choice_draws(changed, how, cost):
    app = visit("sensitivity", changed=changed, how=how, cost=cost, type="Q2_K")
    assert not app.error
    assert len(drawn_charts(app)) == len(CHARTS)
    assert app.header[0].value.startswith(
        "With everything else" if how != "only this" else "In **Q2_K"
    )


def test_choices_in_the_address_that_are_none_are_left_aside():
    app = visit(
        "sensitivity",
        changed="atoms",
        how="half",
        cost="beauty",
        second="nobody",
        sums="x",
        results="y",
    )
    assert not app.error and len(drawn_charts(app)) == len(CHARTS)


def test_a_mix_means_its_format_and_one_that_is_not_measured_issaid():
    assert "**Q5_K**" in visit("sensitivity", type="Q5_K_M").header[0].value
    app = visit("sensitivity", type="Q4_0")
    assert "Q4_0 has not been measured here: showing Q4_K instead" in said(app)
    (error,) = visit("sensitivity", type="Q9_K").error
    assert "Q9_K" in error.value


def test_curves_of_chosen_tensors():
    app = visit(
        "sensitivity", curves=["blk.3.attn_q.weight", "output.weight"], tensor="blk.5.ffn_up.weight"
    )
    (curves,) = [
        c for c in drawn_charts(app) if "bits per weight" in json.dumps(c["layout"]["xaxis"])
    ]
    assert len(curves["data"]) == 2  # the model has no output matrix of its own


def test_sums_within_layers_and_roles():
    app = visit("sensitivity", sums="layers and roles")
    assert any("layers and roles the sum in Q4_K" in each.value for each in app.header)


@pytest.mark.parametrize("page", ["weights", "block", "scales", "mix"])
def test_a_tensor_leads_on_with_its_format(page):
    app = visit("sensitivity", tensor="blk.3.attn_v.weight", type="Q3_K")
    app.button(key=f"sensitivity_to_{page}").click().run()
    assert not app.exception and not app.error
    assert app.session_state["tensor"] == "blk.3.attn_v.weight"
    if page in ("block", "scales"):
        assert app.session_state["type"] == "Q3_K"


def _upload(app, name, content):
    app.file_uploader(key="sensitivity_file").set_value((name, content, "application/json")).run()
    assert not app.exception
    return app


def test_two_results_are_laid_side_by_side(tmp_path):
    other = stored.load(bench.ROOT / "assets/fable-7m/sensitivity.json")
    path = tmp_path / "other.json"
    other.save(path)
    text = path.read_text(encoding="utf-8").replace("calibration.txt", "passage.txt")
    app = _upload(visit("sensitivity"), "mine-sensitivity.json", text.encode())
    assert not app.error
    label = next(option for option in app.selectbox(key="second").options if "passage" in option)
    app.selectbox(key="second").set_value(label).run()
    assert not app.exception and not app.error
    assert "rank correlation **1.00**" in said(app)
    assert len(drawn_charts(app)) == len(CHARTS) + 3
    app.selectbox(key="type").set_value("Q2_K").run()
    assert "rank correlation **1.00**" in said(app)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"no json", b"\xff\xfe", "no effect", "no format", "no end"],
)
def test_a_file_that_holds_no_results_is_one_sentence(content, tmp_path):
    if isinstance(content, str):
        results = shipped()
        path = tmp_path / "found.json"
        if content == "no effect":
            stored.Sensitivity(results.source).save(path)
        else:
            results.save(path)
        text = path.read_text(encoding="utf-8")
        value = f"{results.effects[0].mean_kl_divergence:.6g}"
        text = text.replace('"Q2_K"', '"Q2_Z"') if content == "no format" else text
        text = text.replace(f" {value},", " 1e999,", 1) if content == "no end" else text
        content = text.encode()
    app = _upload(visit("sensitivity"), "broken.json", content)
    (error,) = app.error
    assert error.value.endswith(".") and "\n" not in error.value
    assert len(drawn_charts(app)) == len(CHARTS)


def test_all_results_can_be_taken_along():
    again = json.loads(shipped().as_json())
    assert len(again["effects"]["rows"]) == len(shipped().effects)


def test_a_map_that_fills_up_counts_what_a_format_can_store():
    """As of SmolLM2-135M, of whose matrices K-quants can store those of one role only."""
    downs = [f"blk.{layer}.ffn_down.weight" for layer in range(30)]
    able = {"Q4_K": downs, "Q8_0": [Q, *downs]}

    def titles(*effects, how="alone"):
        figure = running.so_far(results(*effects), able, how, LIGHT, narrow=False)
        return [each.text for each in figure.checked.layout.annotations]

    assert titles() == ["<b>Q4_K</b>  0 of 30", "<b>Q8_0</b>  0 of 31"]
    found = [effect(downs[3], 0.1), effect(Q, 0.2, fmt="Q8_0"), effect("all", 0.3, group="all")]
    assert titles(*found) == ["<b>Q4_K</b>  1 of 30", "<b>Q8_0</b>  1 of 31"]
    assert titles(*found, how="kept") == titles(), "measured the other way round"
