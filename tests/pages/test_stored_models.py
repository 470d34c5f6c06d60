"""A folder of quantized weights on the bench: every page draws, and says what is stored."""

import pytest

from pages.shared import bench
from tests.engine.layouts.test_quantized_folders import folder_of
from tests.support.app import drawn_charts, findings, said, sentences, visit
from tests.support.places import ROOT
from tests.support.spoken import slips

TENSOR = "blk.0.attn_k.weight"
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("[a-z]*.py"))
MODELS = {"gptq": "gptq/4-first", "order": "gptq/3-second-act-order", "blocks": "fp8/block"}
MODELS |= {"nvidia": "compressed-tensors/nvfp4"}


@pytest.fixture(scope="module")
def stored_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    for name, case in MODELS.items():
        folder_of(folder / name, case)
    return folder


@pytest.fixture(autouse=True)
def on_the_bench(stored_models, monkeypatch):
    monkeypatch.setattr(bench, "OWN_MODELS", stored_models)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws(page):
    app = visit(page, model="order", tensor=TENSOR)
    assert not app.exception and not sentences(app)
    texts = [each.value for each in (*app.header, *app.markdown)]
    assert not [sentence for sentence in texts if slips(sentence)]


@pytest.mark.parametrize(
    ("model", "words"),
    [("gptq", "GPTQ INT4_G16"), ("blocks", "FP8_E4M3_B16X32")],
)
def test_pages_say_what_is_stored(model, words):
    assert f"is stored as {words}: shown are the weights" in said(
        visit("weights", model=model, tensor=TENSOR)
    )
    for page in ("drift", "file"):
        app = visit(page, model=model)
        assert f"The weights of {model} are stored as F32 and {words}." in said(app)
    assert "stored as" not in said(visit("weights", model=model, tensor="blk.1.attn_k.weight"))


@pytest.mark.parametrize(("model", "type"), [("gptq", "INT4_G16"), ("nvidia", "NVFP4_TENSOR")])
def test_the_microscope_opens_on_its_own_codes(model, type):
    app = visit("block", model=model, tensor=TENSOR, row="3")
    assert not sentences(app) and drawn_charts(app)
    assert findings(app)[0].startswith(f"**{type}**, as the model is stored (")
    scales = visit("scales", model=model, tensor=TENSOR, type=type)
    assert not sentences(scales) and drawn_charts(scales)


def test_the_microscope_of_what_the_lab_has_no_format_for():
    app = visit("block", model="blocks", tensor=TENSOR, row="3", type="Q8_0")
    assert "instead of" in findings(app)[0] and "in FP8_E4M3_B16X32" in findings(app)[0]
