"""Every page draws, teaches before anything is touched, and turns mistakes into one sentence."""

import json
import re

import plotly.graph_objects as go
import pytest

from pages.shared import (
    bench,
    definitions,
    model_types,
    shipped,
)
from quantcore import open_model, plan
from quantcore.evaluate.measured import SELECTED
from quantcore.evaluate.text import evaluation_text
from quantcore.recipe.quantize import quantize
from tests.support.app import drawn_charts, findings, names_in, said, sentences, visit
from tests.support.kept_figures import keep_drift
from tests.support.other_shapes import NAMES, write_other_shapes
from tests.support.places import ROOT
from tests.support.spoken import slips
from tests.support.toy_model import write_folder

STORY = evaluation_text()[:40]
MEASURED_WHEN_ASKED = ("drift", "imatrix", "sensitivity", "trial")
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_teaches_before_anything_is_touched(page):
    app = visit(page)
    assert not app.exception
    assert not sentences(app)
    assert app.title
    assert app.header, "no finding"
    assert drawn_charts(app), "no chart"
    assert all(element.proto.alt for element in app.get("plotly_chart"))
    head, *rest = (element.proto.body for element in app.get("html"))
    defined = set(re.findall(r"<dt>(.*?)</dt><dd>[^<]+</dd>", head))
    texts = [element.value for element in (*app.header, *app.markdown)]
    texts += [re.sub(r"<style>.*?</style>|<[^>]*>", " ", body, flags=re.S) for body in rest]
    assert not set().union(*map(definitions.used_in, texts)) - defined
    assert all("arrow keys" in text for text in texts if "Hover, focus or tap" in text)


@pytest.mark.parametrize("page", PAGES)
def test_plotly_knows_every_property_of_every_chart(page):
    """What it does not know, the browser would leave out without a word."""
    for chart in drawn_charts(visit(page)):
        known = go.Figure(chart).to_plotly_json()  # it refuses a value that makes no sense
        assert names_in(chart) - names_in(known) == set()
        assert not re.findall(r"%\{[^{}]*[eg]\}", json.dumps(chart)), "a tip would say 1e+3"


@pytest.mark.parametrize("page", ["block", "scales", "layer_error"])
@pytest.mark.parametrize("type", ["IQ4_NL", "IQ4_XS", "NVFP4", "MXFP4", "TQ2_0", "TQ1_0"])
def test_a_page_draws_uneven_and_ternary_formats(page, type):
    app = visit(page, type=type)
    assert not app.exception
    assert not sentences(app)
    assert drawn_charts(app)


def test_the_numbers_of_an_uneven_block_multiply_out():
    app = visit("block", type="MXFP4")
    said = next(m.value for m in app.markdown if "which stands for" in m.value)
    numbers = re.search(r"so (\S+) × (\S+) = \*\*(\S+)\*\*", said.replace("−", "-"))
    scale, factor, product = (float(part.strip("()")) for part in numbers.groups())
    assert scale * factor == pytest.approx(product, rel=1e-3)


@pytest.fixture(scope="module")
def other_models(tmp_path_factory):
    """Write models of other shapes, once for all pages."""
    folder = tmp_path_factory.mktemp("others")
    write_other_shapes(folder, tmp_path_factory.mktemp("sources"))
    return folder


def _sentences(app):
    return [each.value for each in (*app.header, *app.markdown, *app.error)]


def _shown(app):
    """Return every word of a page that is no option of a control."""
    texts = [area.value for area in app.text_area]
    notes = [each.help or "" for each in (*app.markdown, *app.header, *app.button)]
    html = [element.proto.body for element in app.get("html")]
    return "\n".join([*_sentences(app), *texts, *notes, *html])


@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_draws_any_model_and_speaks_of_it(page, model, other_models, monkeypatch):
    monkeypatch.setattr(bench, "OWN_MODELS", other_models)
    app = visit(page, model=model)
    assert not app.exception
    assert not sentences(app)
    charts = drawn_charts(app)
    assert charts or page in MEASURED_WHEN_ASKED
    shown = _shown(app)
    assert not [sentence for sentence in _sentences(app) if slips(sentence)]
    if page == "home":  # which shows the shipped model, and says so
        assert f"On the bench is **{model}**" in shown and "are those of **fable-7m**" in shown
        assert "This page is about" not in shown
    elif page not in ("memory", "file"):  # which list known models
        assert not any(word in shown for word in ("fable", STORY, "invented world"))
    for chosen in app.selectbox:
        if chosen.key == "original":
            assert chosen.value == model


@pytest.mark.parametrize("page", ["scales", "block", "weights", "mix", "sensitivity", "imatrix"])
def test_what_another_page_or_model_chose_gives_way_to_what_suits(page, other_models, monkeypatch):
    monkeypatch.setattr(bench, "OWN_MODELS", other_models)
    app = visit("drift", text="own")
    assert STORY in app.text_area(key="own").value and STORY in app.text_area(key="prompt").value
    app.selectbox(key="type").set_value("Q5_K_M")
    app.selectbox(key="model").set_value("rows-of-576").run()
    assert not app.exception and not sentences(app)
    assert STORY not in app.text_area(key="own").value + app.text_area(key="prompt").value
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception and not sentences(app)
    if page == "scales":
        assert app.selectbox(key="type").value == "Q5_1", "as llama-quantize falls back"
        assert "Q5_K does not suit the embedding: Q5_1 takes its place." in said(app)


@pytest.mark.parametrize("page", ["scales", "block"])
def test_an_impossible_choice_names_what_is_possible(page, other_models, monkeypatch):
    monkeypatch.setattr(bench, "OWN_MODELS", other_models)
    app = visit(page, model="rows-of-576", type="Q4_K", tensor="token_embd.weight")
    (sentence,) = sentences(app)
    assert "multiple of 256 weights; here it is 576. Choose Q4_0, Q5_0 or Q8_0, or the tensor" in (
        sentence
    )
    app.selectbox(key="tensor").set_value("blk.0.ffn_down.weight").run()
    assert not sentences(app) and drawn_charts(app)


def test_a_file_made_of_the_shipped_model_reads_stories(own_models):
    model = open_model()
    quantize(model, plan(model, "Q4_0"), own_models / "stories.gguf")
    app = visit("drift", model="stories.gguf")
    assert app.segmented_control(key="text").value == "stories"
    assert STORY in app.text_area(key="prompt").value


def test_home_shows_what_drift_measured_of_ones_own_model(own_models, kept):
    before = visit("home", model="small-toy")
    assert "Each mark is fable-7m" in said(before) and before.button(key="home_to_drift")
    keep_drift("small-toy", Q8_0=0.001, Q4_0=0.02)
    app = visit("home", model="small-toy")
    assert not app.exception and not sentences(app)
    assert "Each mark is small-toy" in said(app) and "is about **fable-7m**" in said(app)
    names = [trace.get("customdata") for trace in drawn_charts(app)[0]["data"]]
    assert sorted(name[0] for name in names if name) == ["Q4_0", "Q8_0"]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "home"])
def test_a_broken_model_is_one_sentence(page, own_models):
    app = visit(page, model="broken-toy")
    assert not app.exception
    (sentence,) = sentences(app)
    assert sentence.endswith(".") and "\n" not in sentence


def test_a_format_that_does_not_fit_is_one_sentence(own_models):
    app = visit("drift", model="small-toy", type="Q4_K pure")
    assert not app.exception
    (sentence,) = sentences(app)
    assert "256" in sentence


def test_an_unknown_format_is_one_sentence():
    app = visit("drift", type="Q9_K")
    assert not app.exception
    (sentence,) = sentences(app)
    assert "Q9_K" in sentence and "Q2_K" in sentence


def test_a_deep_link_on_a_fresh_server_goes_through_the_frame(monkeypatch):
    monkeypatch.undo()
    app = visit("drift", type="Q5_K")
    assert app.selectbox(key="model").value == bench.shipped()
    assert app.selectbox(key="type").value == "Q5_K"


@pytest.mark.parametrize("way", ["mixes", "pure"])
def test_something_breaks_before_anything_is_chosen(way):
    """On Drift in the skills, as they were measured, and on Home among what the model knew."""
    drift = visit("drift", way=way)
    types, skills = drift.session_state["types"], shipped.measured(bench.shipped()).skills
    losses = {
        name: max(b.share - a.share for b, a in zip(skills["F32"], skills[name], strict=True))
        for name in (model_types.get_type(each, way == "pure").name for each in types)
    }
    broken = {name for name, lost in losses.items() if lost >= 0.1}
    assert broken and set(losses) - broken
    assert "right answers in 100" in findings(drift)[0]
    assert any(name in findings(drift)[0] for name in broken)
    assert "leaves nothing; types that drift less break no skill" in findings(drift)[0]
    assert not any("not measured" in element.value for element in drift.markdown)
    assert re.search(r"changes 9\d in 100", findings(visit("home", way=way))[0])


@pytest.mark.parametrize(
    "model, fit, do_not",
    [
        ("small-toy", {"Q8_0", "Q4_0", "INT4_ROW"}, {"Q2_K pure"}),  # rows shorter than a block
        ("wide-toy", {"Q8_0", "Q2_K pure", "TQ1_0"}, {"IQ1_S"}),  # no importance matrix
    ],
)
def test_what_a_model_cannot_be_stored_in_is_not_compared_at_first(model, fit, do_not, own_models):
    app = visit("drift", model=model)
    assert not sentences(app)
    types = set(app.session_state["types"])
    assert fit <= types and not do_not & types


def test_every_selected_type_has_its_mark_on_home():
    drawn = set()
    for way in ("mixes", "pure"):
        traces = drawn_charts(visit("home", way=way))[0]["data"]
        names = {name for trace in traces for name in trace.get("customdata", [])}
        assert names == set(model_types.of_way(names, pure=way != "mixes"))
        drawn |= names
    drifts = shipped.measured(bench.shipped()).drifts
    wanted = {name for name in SELECTED if drifts[name].mean_kl_divergence}
    assert wanted - drawn <= {"F16", "BF16"}  # the floor


@pytest.mark.parametrize("name", ["IQ2_XXS", "IQ1_S", "IQ4_XS", "NF4", "FP8_E4M3_ROW", "MXFP4_OCP"])
def test_what_takes_long_to_measure_is_there_at_once(name):
    app = visit("drift", type=name, types=name)
    assert not app.exception and not app.error
    assert any(f"**{name}** raises perplexity" in finding.value for finding in app.header)
    assert not any("not been measured" in element.value for element in app.markdown)


def test_the_published_curve_can_be_laid_beside():
    without, beside = (
        drawn_charts(visit("home", **query))[0] for query in ({}, {"beside": "Llama-3-8B"})
    )
    assert "Llama-3-8B" in json.dumps(beside) and "Llama-3-8B" not in json.dumps(without)


def test_the_address_chooses_what_is_looked_at():
    for name in ("Q2_K", "Q4_K pure", "INT4_G64"):
        app = visit("drift", type=name)
        assert not app.exception
        assert any(f"**{name}**" in finding.value for finding in app.header)


def test_a_choice_changes_the_chart():
    app = visit("drift", type="Q2_K")
    before = drawn_charts(app)
    app.selectbox(key="type").set_value("Q5_K_M").run()
    assert not app.exception
    assert drawn_charts(app) != before


def test_drift_shows_mixes_or_one_format_throughout():
    mixed, pure = visit("drift", type="Q4_K_M"), visit("drift", way="pure")
    assert any("**Q4_K_M** raises perplexity" in finding.value for finding in mixed.header)
    assert any("**Q4_K pure** raises perplexity" in finding.value for finding in pure.header)
    mixed.segmented_control(key="way").set_value("pure").run()
    assert not mixed.exception
    assert mixed.session_state["type"] == "Q4_K"
    assert any("**Q4_K pure** raises perplexity" in finding.value for finding in mixed.header)
    shown = " ".join(element.proto.body for element in mixed.get("html"))
    names = re.findall(r"(\w+) pure</th>", shown)
    assert set(names) >= {"Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "Q4_0"}


@pytest.mark.parametrize("page", ["drift", "layer_error", "home"])
def test_a_link_saved_before_pure_was_called_so_shows_the_same(page):
    former = visit(page, way="one format throughout", errors_as="one format throughout")
    present = visit(page, way="pure", errors_as="pure")
    assert findings(former) == findings(present)
    if page != "layer_error":  # pure is its default
        assert findings(former) != findings(visit(page))


def test_a_link_saved_under_the_former_name_of_what_is_kept_shows_the_same():
    former = visit("sensitivity", how="all but this", hows=["only this", "all but this"])
    present = visit("sensitivity", how="everything except this")
    assert findings(former)[0] == findings(present)[0]
    assert findings(former)[0].startswith("With everything else")
    assert former.session_state["hows"] == ["only this", "everything except this"]


def test_a_page_for_one_tensor_takes_the_format_of_most():
    for name in ("Q4_K_M", "Q4_K pure", "Q4_K"):
        app = visit("block", type=name)
        assert any("**Q4_K** stores" in finding.value for finding in app.header)


def test_ones_own_text_and_prompt_are_read():
    app = visit("drift", type="Q2_K", text="own")
    app.text_area(key="own").set_value("Nora put the lucky lock in the boat.").run()
    assert not app.exception and not sentences(app)
    before = [element.proto.body for element in app.get("html")]
    words = re.findall(r'class="w[^>]*>([^<]+)</span>', " ".join(before))
    assert "lucky lock" in " ".join(words), words  # tokens of the text, not of a tooltip
    app.text_area(key="prompt").set_value("Last winter Nora").run()
    assert not app.exception and not sentences(app)
    assert [element.proto.body for element in app.get("html")] != before


def test_a_text_without_tokens_is_one_sentence():
    app = visit("drift", text="own")
    app.text_area(key="own").set_value("").run()
    assert not app.exception
    assert sentences(app) == ["The text has fewer than two tokens; there is nothing to predict."]


@pytest.mark.parametrize("which", [0, 1])
def test_the_picker_shows_both_ends_of_a_long_name(which, own_models):
    names = [f"a-model-whose-name-is-far-longer-than-most-{end}" for end in ("first", "second")]
    for name in names:
        write_folder(own_models / name)
    app = visit("weights", model=names[which])
    assert not app.exception and not sentences(app)
    picker = app.selectbox(key="model")
    assert picker.value == names[which]
    labels = [label for label in picker.options if label.startswith("a-model")]
    assert all(len(label) == 36 and "…" in label for label in labels)
    assert [label[-5:] for label in labels] == ["first", "econd"]
    picker.set_value(names[1 - which]).run()
    assert app.query_params["model"] == names[1 - which], "a link names it in full"


def test_a_link_to_a_model_that_is_not_here_says_so():
    app = visit("weights", model="gone.gguf")
    assert "asks for the model gone.gguf, which is not here; this is fable-7m." in said(app)
    app.run()
    assert "gone.gguf" in said(app), "until another model is chosen"
    assert "model" not in app.query_params
