"""The page File: planned and real files, files that the lab cannot run, two side by side.

And the pages that show a file's own bytes.
"""

import re

import numpy as np
import pytest

from pages.file import cache, side_by_side
from pages.file import choice as files
from pages.shared import (
    bench,
    tensors,
)
from quantcore import FORMATS, open_model, plan, quantize
from quantcore.evaluate.file_error import restored_errors
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.gguf import read_gguf
from quantcore.shape import preset_config
from tests.engine.io.test_gguf_parts import write_parts
from tests.support.app import findings, said, sentences, visit
from tests.support.gguf_bytes import gguf_bytes
from tests.support.gguf_models import STRANGER, stranger_bytes, with_type, write
from tests.support.toy_model import write_folder


@pytest.fixture(scope="module")
def shipped():
    return open_model()


@pytest.fixture
def models(tmp_path, monkeypatch, shipped):
    write(shipped, tmp_path / "tale-Q4_K_M.gguf")
    write(shipped, tmp_path / "tale-UD-Q4_K_XL.gguf", pure=True)
    (tmp_path / "stranger-Q4_K_M.gguf").write_bytes(stranger_bytes())
    (tmp_path / "words.gguf").write_bytes(gguf_bytes({"general.architecture": "llama"}, {}))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\xff" * 40)
    monkeypatch.setattr(bench, "OWN_MODELS", tmp_path)
    return tmp_path


def _said(app):
    return " ".join(element.value for element in app.markdown)


def test_one_label_hides_two_files():
    says = findings(visit("file"))
    assert says[0].startswith("**Q4_K_M** would hold 74 tensors in 3 formats")
    assert "9 tensors** differ in format" in says[5] and "Both call themselves Q4_K_M" in says[5]
    assert says[6].startswith("One name, Q4_K_M, two files: **Q4_K_M --pure** is ")


def test_a_file_that_needs_the_models_matrix_is_made_with_it(shipped, tmp_path):
    """What the page plans and measures is what `quantize` writes, header and errors."""
    path = quantize(shipped, "IQ2_XXS", tmp_path / "tale.gguf")
    planned, written = cache.planned_header("fable-7m", "IQ2_XXS", False), read_gguf(path)
    assert planned.file.metadata.keys() == written.metadata.keys()
    assert planned.file.header_bytes == written.header_bytes
    assert {name: t.type for name, t in planned.file.tensors.items()} == {
        name: t.type for name, t in written.tensors.items()
    }
    found = cache.errors_of_plan("fable-7m", "fable-7m", "IQ2_XXS", False)
    assert found == list(restored_errors(shipped, open_model(path).weights))
    app = visit("file", file="as IQ2_XXS", beside_file="as Q2_K")
    assert not app.error and findings(app)[0].startswith("**IQ2_XXS** would hold")
    assert "needs an importance matrix" not in _said(app)
    pure = visit("file", file="as IQ2_XXS", beside_file="as IQ2_XXS --pure")
    assert "says nothing of token_embd.weight" in _said(pure)


def test_a_real_file_is_opened(models):
    app = visit("file", model="tale-Q4_K_M.gguf")
    assert not app.error
    assert findings(app)[0].startswith("**tale-Q4_K_M.gguf** holds 74 tensors")
    assert "Every tensor has the type that llama-quantize would give it" in findings(app)[2]
    assert "byte-level BPE (“gpt2”) with 2,048 tokens" in _said(app)


def test_a_name_of_ones_own_is_said_to_be_one(models):
    app = visit(
        "file", model="tale-UD-Q4_K_XL.gguf", beside_file="tale-Q4_K_M.gguf", original="fable-7m"
    )
    assert "**9** of 74 tensors do not have the type" in findings(app)[2]
    assert "9 have Q4_K instead of Q6_K" in findings(app)[2]
    assert "name says Q4_K_XL, but its metadata (general.file_type) say Q4_K_M" in _said(app)
    assert "two files: **tale-UD-Q4_K_XL.gguf** is" in findings(app)[6]


def test_a_file_that_the_lab_cannot_run_is_shown(models):
    app = visit("file", model="stranger-Q4_K_M.gguf", beside_file="tale-Q4_K_M.gguf")
    assert not app.error
    assert "**1** of 6 tensors does not have the type that llama-quantize" in findings(app)[2]
    assert "http://" not in _said(app)
    assert "Errors cannot be measured: The file holds a model of architecture" in _said(app)


def test_types_that_llama_cpp_does_not_read_are_named(models):
    with_type(models / "tale-Q4_K_M.gguf", "blk.0.ffn_up.weight", 144)
    app = visit("file", model="strange.gguf")
    assert not app.error and "holds 74 tensors in 4 formats" in findings(app)[0]
    assert "does not read what is stored as **IQ4_KS (1 tensor)**" in _said(app)
    app = visit("memory", whose="Model on the bench", model="strange.gguf", context="512")
    assert not app.error


def test_types_that_only_llama_cpp_reads_are_named(models):
    with_type(models / "tale-Q4_K_M.gguf", "blk.0.ffn_up.weight", 41)
    app = visit("file", model="strange.gguf")
    assert not app.error
    assert "The lab does not read what is stored as **Q1_0 (1 tensor)**" in _said(app)


def test_a_layout_that_llama_cpp_refuses_is_shown_with_a_word(models):
    vector = np.ones(8, "<f4").tobytes()
    gap = gguf_bytes(STRANGER, {"A*b": ([8], 0, vector + bytes(64)), "c": ([8], 0, vector)})
    (models / "gap.gguf").write_bytes(gap)
    app = visit("file", model="gap.gguf")
    assert not app.error
    assert "llama.cpp does not take the layout of this file: it puts 'c' at byte 96" in _said(app)


def test_a_file_without_tensors_has_a_header(models):
    app = visit("file", model="words.gguf")
    assert not app.error
    assert findings(app)[0].startswith("The header takes **")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"model": "broken.gguf"}, "GGUF version 4294967295"),
        ({"file": "as Q9_K"}, "no file type 'Q9_K'"),
        ({"file": "../secret.gguf"}, "There is no file '../secret.gguf' among the models"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(models, query, says):
    (error,) = visit("file", **query).error
    assert says in error.value and "\n" not in error.value


def test_a_planned_file_is_written_and_opened():
    app = visit("file", file="as Q2_K")
    app.button(key="file_write").click().run()
    assert not app.exception and not app.error
    assert app.session_state["file"] == "written as Q2_K"
    assert findings(app)[0].startswith("**Q2_K** holds")


def test_another_model_on_the_bench_opens_its_file(models):
    app = visit("file", file="as Q2_K")
    app.selectbox(key="model").set_value("tale-Q4_K_M.gguf").run()
    assert app.session_state["file"] == "tale-Q4_K_M.gguf"
    assert findings(app)[0].startswith("**tale-Q4_K_M.gguf** holds")


@pytest.mark.parametrize("tensor", ["blk.1.attn_q.weight", "blk.0.ffn_down.weight"])
def test_the_microscope_opens_the_bytes_of_the_file(models, tensor):
    """The bytes on the page are those in the file at the place that the page names."""
    app = visit("block", model="tale-Q4_K_M.gguf", tensor=tensor, row="21", block="0")
    assert not app.exception and not app.error
    stored = {"blk.1.attn_q.weight": "Q4_K", "blk.0.ffn_down.weight": "Q6_K"}[tensor]
    says = re.match(rf"\*\*{stored}\*\*, as stored in tale-Q4_K_M.gguf: the (\d+) bytes starting "
                    r"at byte \*\*([\d,]+)\*\*", findings(app)[0])  # fmt: skip
    size, start = int(says[1]), int(says[2].replace(",", ""))
    shown = re.findall(r'class="b[^>]*>([0-9a-f]{2})<', " ".join(
        element.proto.body for element in app.get("html")))  # fmt: skip
    content = (models / "tale-Q4_K_M.gguf").read_bytes()[start : start + size]
    assert bytes.fromhex("".join(shown)) == content
    # They are also those of the row that was asked for, in llama.cpp's order of rows.
    restored = FORMATS[stored].dequantize(np.frombuffer(content, np.uint8)[None])[0]
    weights = open_model(models / "tale-Q4_K_M.gguf").weights(tensor)[21, :256]
    np.testing.assert_array_equal(restored, weights)


def test_another_format_leads_back_to_the_stored_one(models):
    app = visit("block", model="tale-Q4_K_M.gguf", type="Q2_K")
    assert findings(app)[0].startswith("**Q2_K** stores")
    app.button(key="block_stored").click().run()
    assert not app.exception
    assert findings(app)[0].startswith("**Q6_K**, as stored in")


def test_scales_are_the_files_own(models):
    model = open_model(models / "tale-Q4_K_M.gguf")
    stored = model.as_stored("blk.1.attn_k.weight")
    for name, same in (("Q4_K", True), ("Q4_0", False)):
        packed = tensors.packed("tale-Q4_K_M.gguf", "blk.1.attn_k.weight", name)
        assert (packed.tobytes() == stored.packed().tobytes()) == same
    app = visit("scales", model="tale-Q4_K_M.gguf", type="Q4_K", tensor="blk.1.attn_k.weight")
    assert not app.exception and not app.error


def test_what_has_its_type_already_is_copied(models, tmp_path_factory):
    model = open_model(models / "tale-UD-Q4_K_XL.gguf")  # Q4_K throughout
    path = write(model, tmp_path_factory.mktemp("again") / "again.gguf")
    one, other = read_gguf(model.path).tensors, read_gguf(path).tensors
    same = [name for name in one if one[name].type == other[name].type]
    assert len(same) == len(one) - 9
    for name in same:
        np.testing.assert_array_equal(one[name].packed(), other[name].packed(), err_msg=name)


@pytest.mark.parametrize("page", ["layer_error", "drift"])
def test_a_type_that_the_file_has_already_changes_nothing(models, page):
    app = visit(page, model="tale-Q4_K_M.gguf", type="Q4_K_M", way="mixes", errors_as="mixes")
    assert not app.error
    assert any(text in " ".join(findings(app)) for text in ("no matrix changes", "stay the same"))
    assert "57 of 57 matrices already have the format that Q4_K_M gives them" in _said(app)


def test_a_known_model_falls_back():
    """Of SmolLM2-135M, whose rows of 576 do not divide, llama-quantize reports these figures."""
    app = visit("file", file="SmolLM2-135M as Q4_K_M")
    assert not app.error
    assert "**6.17 bits** per weight" in findings(app)[0]
    assert "**180 tensors** fell back, for example from Q4_K to Q5_0" in findings(app)[2]
    assert "rows of 576 do not divide into blocks of 256" in findings(app)[2]
    assert "Only the sizes of SmolLM2-135M" in _said(app)


def test_known_models_are_those_that_the_lab_runs():
    """Qwen's are among them; Mistral 7B has windows, which the forward pass has not."""
    known = files.known_models()
    assert {"Llama-3.1-8B", "Qwen3-8B", "Qwen2.5-72B", "Mistral-Nemo-Base-2407"} <= set(known)
    assert not {"Mistral-7B-v0.1", "gemma-2-2b", "Mixtral-8x7B-v0.1"} & set(known)
    app = visit("file", file="Qwen2.5-72B as Q4_K_M")
    assert not app.error
    assert "963 tensors" in findings(app)[0]  # as published: 12 in each of 80 layers, 3 outside


@pytest.mark.parametrize(
    "label",
    ["Gremlin as Q4_K_M", "Mistral-7B-v0.1 as Q4_K_M", "written as Q4_K_M --pur", "as", "written"],
)
def test_a_label_that_says_nothing_is_one_sentence(label):
    (error,) = visit("file", file=label).error
    assert "\n" not in error.value


def test_a_model_in_parts_is_one_file(models):
    whole = read_gguf(models / "tale-Q4_K_M.gguf")
    metadata = {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in whole.metadata.items()
    }
    stored = [
        (name, (list(reversed(t.shape)), GGML_TYPES[t.type].number, t.packed().tobytes()))
        for name, t in whole.tensors.items()
    ]
    write_parts(models, metadata, [dict(stored[:40]), dict(stored[40:])])
    assert [name for name in bench.sources() if name.startswith("m-")] == ["m-00001-of-00002.gguf"]
    app = visit("file", model="m-00001-of-00002.gguf", beside_file="tale-Q4_K_M.gguf")
    assert not app.error
    assert "holds 74 tensors in 3 formats" in findings(app)[0]
    assert "have 74 tensors in common, each in the same format" in findings(app)[5]
    block = visit("block", model="m-00001-of-00002.gguf", tensor="blk.7.attn_q.weight")
    assert "as stored in m-00002-of-00002.gguf" in findings(block)[0]


def test_a_large_file_is_not_written_for_an_address(monkeypatch):
    monkeypatch.setattr(files, "SMALL_BYTES", 4_000_000)
    assert not [
        button for button in visit("file", file="as Q4_K_M").button if button.key == "file_write"
    ]
    (error,) = visit("file", file="written as Q4_K_M").error
    assert "too large to be written only to look at it" in error.value


def test_a_link_saved_under_the_toggles_former_name_measures(monkeypatch):
    monkeypatch.setattr(side_by_side, "SMALL_WEIGHTS", 0)
    for link in ({"measure": "true"}, {"measure_errors": "true"}):
        app = visit("file", file="as Q4_K_M", beside_file="as Q2_K", **link)
        assert app.toggle(key="measure_errors").value
        assert "times as far" in " ".join(findings(app))
    assert (
        not visit("file", file="as Q4_K_M", beside_file="as Q2_K")
        .toggle(key="measure_errors")
        .value
    )


def test_another_original_is_one_sentence(models):
    write_folder(models / "toy")
    app = visit("file", model="toy", original="fable-7m")
    assert not app.error
    assert "Errors cannot be measured" in _said(app)


def test_a_file_that_would_be_refused_is_not_promised(own_models):
    app = visit("file", model="wide-toy", file="as IQ2_XXS")
    assert not app.exception and not sentences(app)
    assert "Not a file: llama-quantize refuses this type without an importance matrix" in said(app)
    assert not any(button.key == "file_write" for button in app.button)
    planned = plan(bench.model("wide-toy"), "IQ2_XXS", imatrix=True)
    assert f"**{planned.bits_per_weight:.2f} bits**" in findings(app)[0], "as with a matrix"

    known = visit("file", file="Llama-3.1-8B as IQ2_XXS")
    assert "it is planned with one" in said(known) and "planned with" not in said(
        visit("file", file="Llama-3.1-8B as Q4_K_M")
    )
    planned = plan(preset_config("Llama-3.1-8B"), "IQ2_XXS", imatrix=True)
    assert f"**{planned.bits_per_weight:.2f} bits**" in findings(known)[0]
    assert visit("file", file="as IQ2_XXS").button(key="file_write"), "of a model with a matrix"
