"""Every page draws, teaches before anything is touched, and turns mistakes into one sentence."""

import json
import re
from pathlib import Path

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest
from toy_model import CONFIG, write_folder

from pages.shared import cache, model_types
from quantcore import open_model, plan
from quantcore.evaluate.measured import SELECTED
from quantcore.recipe.quantize import quantize

ROOT = Path(__file__).parent.parent
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))


@pytest.fixture(autouse=True)
def visited_before(monkeypatch):
    """Run pages through ``app.py``, as a server does after its first visit; AppTest forgets it."""
    begin = PagesManager.__init__

    def begin_again(self, *arguments, **options):
        begin(self, *arguments, **options)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", begin_again)


def _open(page, **query):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{page}.py")
    return app.run()


def _charts(app):
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


def _sentences(app):
    return [error.value for error in app.error]


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """Lay out a whole model, one that K-quants do not fit, and a broken one."""
    wide = CONFIG | {"hidden_size": 256, "intermediate_size": 256}
    write_folder(tmp_path / "wide-toy", wide)
    write_folder(tmp_path / "small-toy")
    (write_folder(tmp_path / "broken-toy") / "model.safetensors").write_bytes(b"\x00" * 20)
    monkeypatch.setattr(cache, "OWN_MODELS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_a_page_teaches_before_anything_is_touched(page):
    app = _open(page)
    assert not app.exception
    assert not _sentences(app)
    assert app.title
    assert app.subheader, "no finding"
    assert _charts(app), "no chart"
    assert all(element.proto.alt for element in app.get("plotly_chart"))


@pytest.mark.parametrize("page", ["block", "scales", "layer_error"])
@pytest.mark.parametrize("type", ["IQ4_NL", "IQ4_XS", "NVFP4", "MXFP4", "TQ2_0", "TQ1_0"])
def test_a_page_draws_uneven_and_ternary_formats(page, type):
    app = _open(page, type=type)
    assert not app.exception
    assert not _sentences(app)
    assert _charts(app)


def test_the_numbers_of_an_uneven_block_multiply_out():
    app = _open("block", type="MXFP4")
    said = next(m.value for m in app.markdown if "which stands for" in m.value)
    numbers = re.search(r"so (\S+) × (\S+) = \*\*(\S+)\*\*", said.replace("−", "-"))
    scale, factor, product = (float(part.strip("()")) for part in numbers.groups())
    assert scale * factor == pytest.approx(product, rel=1e-3)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_draws_a_gguf_file(page, own_models):
    model = open_model()
    for _ in quantize(model, plan(model, "Q4_K_M"), own_models / "stories.gguf"):
        pass
    app = _open(page, model="stories.gguf")
    assert not app.exception
    assert not _sentences(app)
    assert _charts(app) or page in (
        "drift",
        "imatrix",
        "sensitivity",
    )  # which measure when asked to


@pytest.mark.parametrize("page", PAGES)
def test_a_page_draws_another_model(page, own_models):
    app = _open(page, model="wide-toy")
    assert not app.exception
    assert not _sentences(app)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("home", "memory")])
def test_a_broken_model_is_one_sentence(page, own_models):
    app = _open(page, model="broken-toy")
    assert not app.exception
    (sentence,) = _sentences(app)
    assert sentence.endswith(".") and "\n" not in sentence


def test_a_format_that_does_not_fit_is_one_sentence(own_models):
    app = _open("drift", model="small-toy", type="Q4_K pure")
    assert not app.exception
    (sentence,) = _sentences(app)
    assert "256" in sentence


def test_an_unknown_format_is_one_sentence():
    app = _open("drift", type="Q9_K")
    assert not app.exception
    (sentence,) = _sentences(app)
    assert "Q9_K" in sentence and "Q2_K" in sentence


def test_a_deep_link_on_a_fresh_server_goes_through_the_frame(monkeypatch):
    monkeypatch.undo()
    app = _open("drift", type="Q5_K")
    assert app.selectbox(key="model").value == cache.shipped()
    assert app.selectbox(key="type").value == "Q5_K"


def test_every_selected_type_has_its_mark_on_home():
    drawn = set()
    for way in ("mixes", "one format throughout"):
        traces = _charts(_open("home", way=way))[0]["data"]
        names = {name for trace in traces for name in trace.get("customdata", [])}
        assert names == set(model_types.of_way(names, pure=way != "mixes"))
        drawn |= names
    drifts = cache.measured().drifts
    wanted = {name for name in SELECTED if drifts[name].mean_kl_divergence}
    assert wanted - drawn <= {"F16", "BF16"}  # the floor


@pytest.mark.parametrize("name", ["IQ2_XXS", "IQ1_S", "IQ4_XS", "NF4", "FP8_E4M3_ROW", "MXFP4_OCP"])
def test_what_takes_long_to_measure_is_there_at_once(name):
    app = _open("drift", type=name, types=name)
    assert not app.exception and not app.error
    assert any(f"**{name}** moves perplexity" in finding.value for finding in app.subheader)
    assert not any("not measured" in element.value for element in app.markdown)


def test_the_published_curve_can_be_laid_beside():
    without, beside = (
        _charts(_open("home", **query))[0] for query in ({}, {"beside": "Llama-3-8B"})
    )
    assert "Llama-3-8B" in json.dumps(beside) and "Llama-3-8B" not in json.dumps(without)


def test_the_address_chooses_what_is_looked_at():
    for name in ("Q2_K", "Q4_K pure", "INT4_G64"):
        app = _open("drift", type=name)
        assert not app.exception
        assert any(f"**{name}**" in finding.value for finding in app.subheader)


def test_a_choice_changes_the_chart():
    app = _open("drift", type="Q2_K")
    before = _charts(app)
    app.selectbox(key="type").set_value("Q5_K_M").run()
    assert not app.exception
    assert _charts(app) != before


def test_drift_shows_mixes_or_one_format_throughout():
    mixed, pure = _open("drift", type="Q4_K_M"), _open("drift", way="one format throughout")
    assert any("**Q4_K_M** moves perplexity" in finding.value for finding in mixed.subheader)
    assert any("**Q4_K pure** moves perplexity" in finding.value for finding in pure.subheader)
    mixed.segmented_control(key="way").set_value("one format throughout").run()
    assert not mixed.exception
    assert mixed.session_state["type"] == "Q4_K"
    assert any("**Q4_K pure** moves perplexity" in finding.value for finding in mixed.subheader)
    shown = " ".join(element.proto.body for element in mixed.get("html"))
    names = re.findall(r"(\w+) pure</th>", shown)
    assert set(names) >= {"Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "Q4_0"}


def test_a_page_for_one_tensor_takes_the_format_of_most():
    for name in ("Q4_K_M", "Q4_K pure", "Q4_K"):
        app = _open("block", type=name)
        assert any("**Q4_K** keeps" in finding.value for finding in app.subheader)


def test_ones_own_text_and_prompt_are_read():
    app = _open("drift", type="Q2_K", text="own")
    app.text_area(key="own").set_value("Nora put the lucky lock in the boat.").run()
    app.text_area(key="prompt").set_value("Last winter Nora").run()
    assert not app.exception and not _sentences(app)
    shown = " ".join(element.proto.body for element in app.get("html"))
    assert ">lucky<" in shown.replace("> ", ">") or "lucky" in shown


def test_a_text_without_tokens_is_one_sentence():
    app = _open("drift", text="own")
    app.text_area(key="own").set_value("").run()
    assert not app.exception
    assert _sentences(app) == ["The text has fewer than two tokens; there is nothing to predict."]
