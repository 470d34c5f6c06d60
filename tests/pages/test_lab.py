"""Ways through Weights, Block, Scales and Error by layer, without a browser."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.home.words import CARDS
from pages.layer_error import cache as layer_error
from quantcore import get_type, open_model
from quantcore.formats import FORMATS, OUTSIDE_GGUF, UNAIDED
from tests.support.app import drawn_charts, findings, sentences, visit
from tests.support.places import ROOT
from tests.support.toy_model import CONFIG, write_folder

INTEGERS = ("INT8_TENSOR", "INT4_ROW", "INT4_G32_ASYM", "INT2_G16")
EVERY = [*UNAIDED, *OUTSIDE_GGUF, *INTEGERS]


def _text(app):
    return " ".join(element.proto.body for element in app.get("html"))


@pytest.mark.parametrize("name", EVERY)
def test_every_format_can_be_opened(name):
    app = visit("block", type=name, row="3")
    assert not app.error
    assert f"**{name}**" in findings(app)[0]
    assert 'class="b on"' in _text(app), "no byte of the weight is outlined"


@pytest.mark.parametrize("name", EVERY)
def test_every_format_shows_its_scales(name):
    app = visit("scales", type=name)
    assert not app.error
    assert any(f"**{name}**" in finding for finding in findings(app))


@pytest.mark.parametrize("name", EVERY)
def test_every_format_has_its_errors(name):
    app = visit("layer_error", type=name, types="Q8_0")
    assert not app.error
    assert f"**{get_type(name, pure=True).name}**" in findings(app)[0]
    assert "Every matrix has the same format" in " ".join(m.value for m in app.markdown)


def test_errors_of_a_mix_name_the_format_of_each_tensor():
    app = visit("layer_error", type="Q4_K", errors_as="mixes", tensor="blk.0.ffn_down.weight")
    assert "**Q4_K_M**" in findings(app)[0]
    says = " ".join(m.value for m in app.markdown)
    assert "mix of 57 matrices: 48 in Q4_K, 9 in Q6_K" in says
    assert "Q4_K_M (Q6_K)" in says
    assert "<td>Q6_K</td>" in _text(app).replace(' class=""', "")


def test_the_textbook_example():
    app = visit("block", example="33 comes back as 32")
    assert findings(app)[0].startswith("**33** divided by the scale 16 is 2.06; stored as 2")
    assert "**32**" in findings(app)[0]
    assert "code 2, so 16 × 2 = **32**; it was 33" in " ".join(m.value for m in app.markdown)


def test_choosing_the_textbook_example_chooses_its_format():
    app = visit("block", type="Q2_K")
    app.segmented_control(key="example").set_value("33 comes back as 32").run()
    assert not app.exception
    assert "**32**" in findings(app)[0]
    app.selectbox(key="plain_type").set_value("Q4_1").run()
    assert findings(app)[0].startswith("**33** plus the minimum")
    app.segmented_control(key="example").set_value("From the model").run()
    assert findings(app)[0].startswith("**Q2_K** stores")


def test_a_link_to_the_textbook_in_another_format_shows_that_format():
    for key in ("type", "plain_type"):
        app = visit("block", example="33 comes back as 32", **{key: "Q4_1"})
        assert findings(app)[0].startswith("**33** plus the minimum")


def test_the_page_opens_on_the_plain_case_and_then_has_the_format_of_the_last_page():
    app = visit("block", session={"type": "Q6_K"})
    assert findings(app)[0].startswith("**33** divided by the scale 16")
    app.segmented_control(key="example").set_value("From the model").run()
    assert not app.exception
    assert findings(app)[0].startswith("**Q6_K** stores")


def test_an_address_that_names_a_place_in_the_model_shows_that_place():
    for place in ({"row": "3"}, {"tensor": "blk.2.ffn_up.weight"}, {"type": "Q8_0"}):
        assert " stores these 32 weights" in findings(visit("block", **place))[0]
    app = visit("block", row="3", example="33 comes back as 32")
    assert findings(app)[0].startswith("**33**")


def test_a_link_to_a_block_shows_that_block_and_not_the_textbooks():
    app = visit("weights")
    app.button(key="weights_to_block").click().run()
    assert app.session_state["example"] == "From the model"


def test_one_outlier_shows_its_sub_block_whichever_was_shown_before():
    app = visit("block", type="Q4_K", part="0")
    app.segmented_control(key="example").set_value("One outlier").run()
    assert app.number_input(key="part").value == 2
    assert "of **sub-block 2**" in findings(app)[0] and "7 other sub-blocks" in findings(app)[0]
    assert "Beside the outlier, in sub-block 2" in " ".join(findings(app))
    app.selectbox(key="type").set_value("Q6_K").run()
    assert not app.exception
    assert "16 weights" not in findings(app)[0] and "15 other sub-blocks" in findings(app)[0]


def test_dials_move_the_grid_and_go_back():
    app = visit("block")
    stored = findings(app)[0]
    app.slider(key="dial_scale").set_value(50).run()
    assert findings(app)[0].startswith("With your settings (4 bits)")
    assert "cut off" in findings(app)[1]
    app.button(key="dial_reset").click().run()
    assert not app.exception
    assert findings(app)[0] == stored


def test_another_block_brings_the_dials_back():
    app = visit("block", dial_bits="2", example="From the model")
    assert findings(app)[0].startswith("With your settings (2 bits)")
    app.number_input(key="row").set_value(5).run()
    assert findings(app)[0].startswith("**Q4_0** stores")


def test_a_change_of_type_is_heard_on_another_page_too():
    """Where Back leads to another page with another type, nothing of this one may be left."""

    def elsewhere():
        from pages.block import choice

        choice._format_changed()

    app = AppTest.from_function(elsewhere).run()
    assert not app.exception


def test_sub_blocks_differ():
    lines = [drawn_charts(visit("block", type="Q4_K", part=part))[0] for part in ("0", "7")]
    assert lines[0]["data"] != lines[1]["data"]


def test_a_grid_of_one_value_has_nothing_to_turn():
    app = visit("block", type="Q4_1", example="All equal")
    assert not app.slider and "come back **exactly**" in findings(app)[0]


def test_what_a_block_took_before_is_what_its_model_took():
    assert "in 18 bytes instead of 64 in BF16" in findings(visit("block", type="Q4_0"))[0]


@pytest.mark.parametrize("example", ["33 comes back as 32", "One outlier"])
def test_an_example_opens_at_the_sub_block_that_it_is_about(example):
    app = visit("block", type="Q3_K", example=example)
    assert "is in sub-block" not in findings(app)[0]
    app.number_input(key="part").set_value(0).run()
    about = {"33 comes back as 32": "The 33 is in sub-block 1", "One outlier": "The outlier is in"}
    assert about[example] in findings(app)[0]


def test_an_outlier_takes_the_codes():
    app = visit("block", example="One outlier")
    assert "takes the whole range" in findings(app)[0]


@pytest.mark.parametrize("measure", ["tails", "reach", "outliers", "spread"])
def test_tensors_are_compared_by_each_measure(measure):
    app = visit("weights", measure=measure, counts="log", grid="2")
    assert "leads in" in findings(app)[-1]


def test_the_address_chooses_the_tensor():
    app = visit("weights", tensor="blk.2.ffn_up.weight")
    assert "**layer 2 ffn_up**" in findings(app)[0]


def test_minima_can_be_looked_at():
    app = visit("scales", type="Q4_K", factor="minima")
    assert "minima" in findings(app)[1]


def test_a_place_beyond_the_tensor_is_brought_back():
    assert not visit("block", row="999999", block="999999", part="99").error


@pytest.mark.parametrize("page", ["block", "scales", "layer_error"])
def test_an_unknown_format_is_one_sentence(page):
    app = visit(page, type="Q9_K")
    (error,) = app.error
    assert "Q9_K" in error.value


@pytest.mark.parametrize("page", ["block", "scales", "layer_error"])
@pytest.mark.parametrize("name", sorted(set(FORMATS) - set(UNAIDED)))
def test_a_format_that_needs_a_matrix_takes_the_models_own(page, name):
    app = visit(page, type=name, tensor="blk.0.ffn_down.weight")
    assert not app.error
    assert f"**{name}" in " ".join(findings(app))


@pytest.mark.parametrize("page", ["block", "scales"])
def test_a_tensor_that_the_matrix_says_nothing_of_is_one_sentence(page):
    (error,) = visit(page, type="IQ2_XXS", tensor="token_embd.weight").error
    assert "says nothing of token_embd.weight" in error.value


@pytest.mark.parametrize(
    "page, query",
    [
        ("block", {}),
        ("scales", {}),
        ("layer_error", {"errors_as": "pure"}),
        ("layer_error", {"errors_as": "mixes"}),
    ],
)
def test_a_format_that_needs_a_matrix_where_none_is_is_one_sentence(page, query, own_models):
    (sentence,) = sentences(visit(page, model="wide-toy", type="IQ2_XXS", **query))
    assert sentence.startswith("IQ2_XXS needs an importance matrix")
    choices = "another type" if query.get("errors_as") == "mixes" else "Q4_0, Q5_0 or Q8_0"
    assert "wide-toy has none" in sentence and f"choose {choices}" in sentence


@pytest.mark.parametrize("way, name", [("pure", "IQ2_XXS pure"), ("mixes", "IQ2_XXS")])
def test_types_that_need_a_matrix_where_none_is_are_not_compared(way, name, own_models):
    types = ["IQ2_XXS", "Q8_0"]
    app = visit("layer_error", model="wide-toy", type="Q4_K", types=types, errors_as=way)
    assert not sentences(app)
    (note,) = (m.value for m in app.markdown if "Not compared" in m.value)
    assert f"Not compared: {name}. IQ2_XXS needs an importance matrix" in note
    choices = "another type" if way == "mixes" else "Q4_0, Q5_0 or Q8_0"
    assert f"choose {choices}" in note
    assert findings(app)[1].startswith("The error of Q4_K")
    assert len(drawn_charts(app)) == 5


def test_a_tensor_that_cannot_be_stored_so_gives_way_to_another(own_models):
    write_folder(own_models / "half-toy", CONFIG | {"intermediate_size": 256})
    for query, reason in (
        ({"type": "IQ2_XXS"}, "says nothing of token_embd.weight"),
        (
            {"type": "Q4_K", "model": "half-toy"},
            "Q4_K works on rows whose length",
        ),
    ):
        query |= {"errors_as": "pure", "tensor": "token_embd.weight"}
        app = visit("layer_error", types="Q8_0", **query)
        assert not sentences(app)
        (note,) = (m.value for m in app.markdown if "instead." in m.value)
        assert reason in note and "Showing layer " in note


@pytest.mark.parametrize("type_name", ["Q4_K_M", "IQ2_XXS", "IQ2_XXS pure"])
def test_rows_add_up_to_what_their_tensor_loses(type_name):
    """Also in a mix whose other formats take the importance matrix as well."""
    model, whole = open_model(), layer_error.model_errors("fable-7m", type_name)
    for name in ("blk.0.attn_v.weight", "blk.5.ffn_down.weight"):
        energy = np.square(model.weights(name), dtype=np.float64).sum(axis=1)
        rows = layer_error.row_errors("fable-7m", name, type_name)
        relative = np.sqrt((rows**2 * energy).sum() / energy.sum())
        assert relative == pytest.approx(whole[name].relative_rmse, rel=1e-6)


def test_home_leads_to_every_page():
    pages = {path.stem for path in (ROOT / "pages").glob("[a-z]*.py")}
    assert {page for page, _, _ in CARDS} == pages - {"home"}
    assert len(CARDS) == len(pages) - 1
