"""Text from outside is drawn as text, by whatever way it comes in."""

import json

import numpy as np
import pytest

from pages.shared.charts.figure import Figure
from pages.shared.outside import as_text
from tests.support.app import visit
from tests.support.hostile import TEXT, WORDS, alive
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

HUB = "Hugging Face Hub"


@pytest.mark.parametrize(
    "text",
    [TEXT, WORDS, "# a heading", "- an item", "1. an item", "***", "> said", "a\n\n# b",
     "`` x ` ![y](z) `", "\\` ![y](z) `", "` a `` ![y](z) ``",
     "me@zq.example", "_http://zq_", "\\", "\\\\[x](y)"],
)  # fmt: skip
def test_a_disarmed_text_stays_as_it_is(text):
    once = as_text(text)
    assert as_text(once) == once
    assert once != text


@pytest.mark.parametrize(
    "text", ["**fable-7m** in Q4_K takes **8.5 GiB** at 12:30: see `hf auth login` (or 3 × 4)", ""]
)
def test_the_labs_own_sentences_stay_as_they_are(text):
    assert as_text(text) == text


@pytest.mark.parametrize(
    ("page", "key"),
    [("block", "type"), ("scales", "type"), ("layer_error", "types"), ("drift", "type"),
     ("drift", "types"), ("mix", "set"), ("memory", "stored"), ("memory", "hardware"),
     ("memory", "system"), ("sensitivity", "formats")],
)  # fmt: skip
def test_an_address(page, key):
    assert not alive(visit(page, **{key: TEXT}))


def test_a_name_on_the_hub_and_a_pasted_config():
    app = visit("memory", whose=HUB, hub=TEXT)
    app.button(key="read_hub").click().run()
    assert app.error and not alive(app)
    for raw in ({"model_type": TEXT}, {"model_type": "llama", TEXT: 1, "quantization_config": TEXT},
                preset(TEXT), f'{{"{WORDS}": 1, "{WORDS}": 2}}'):  # fmt: skip
        pasted = raw if isinstance(raw, str) else json.dumps(raw)
        app = visit("memory", whose="config.json", session={"config_text": pasted})
        assert not alive(app)


def preset(text):
    """Make a config that can be read, with a name of its own for all that may have one."""
    return CONFIG | {"model_type": text, "architectures": [text], "hidden_act": text, text: text}


def test_an_uploaded_file():
    app, name = visit("mix"), f"{WORDS}.txt"
    typed = WORDS.replace(" ", "").encode() + b"=q4_k"
    for content in (b"(", typed, json.dumps({TEXT: 1}).encode()):
        app.file_uploader(key="recipe_file").set_value((name, content, "text/plain")).run()
        assert app.error and not alive(app)
    app = visit("sensitivity")
    app.file_uploader(key="sensitivity_file").set_value((f"{WORDS}.json", b"{", "text/json")).run()
    assert app.error and not alive(app)


@pytest.mark.parametrize("page", ["drift", "file", "mix", "home", "imatrix"])
def test_a_models_folder_and_its_tokens(page, own_models):
    folder = write_folder(own_models / "toy")
    tokenizer = folder / "tokenizer.json"
    named = tokenizer.read_text(encoding="utf-8").replace('"unused259"', json.dumps(TEXT))
    tokenizer.write_text(named, encoding="utf-8")
    folder.rename(own_models / WORDS)
    app = visit(page, model=WORDS)
    assert not app.exception
    assert not alive(app)


def test_a_tensors_name(own_models):
    folder = write_folder(own_models / "toy")
    write_safetensors(
        folder / "model.safetensors", tensors() | {TEXT: np.zeros(4, np.float32)}, "F32"
    )
    app = visit("weights", model="toy")
    assert app.error and "zq" in app.error[0].value and not alive(app)


def test_words_of_a_chart():
    figure = Figure()
    figure.add_scatter(x=[0], y=[1], text=[f"<b>{WORDS}</b>"], hovertemplate="a<br><extra></extra>")
    figure.add_bar(x=[0, 1], y=[WORDS, None])
    figure.update_layout(title=WORDS)
    sent = json.dumps(figure.to_dict())
    assert "<img" not in sent and "<a " not in sent
    assert "<b>" in sent and "a<br><extra></extra>" in sent
