"""The page File: planned and real files, files that the lab cannot run, two side by side."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from gguf_bytes import gguf_bytes
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest
from test_gguf_parts import write_parts
from toy_model import write_folder

from pages.shared import cache, file_words, files
from pages.shared.charts import file as charts
from pages.shared.palette import DARK, LIGHT
from pages.shared.tables import to_csv
from quantcore import FORMATS, ModelError, open_model, plan
from quantcore.evaluate.file_error import restored_errors, total_rmse
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.gguf import read_gguf
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.promise import bits_by_cause, code_bits, promise_of
from quantcore.recipe.quantize import preview, quantize

ROOT = Path(__file__).parent.parent
STRANGER = {
    "general.architecture": "mamba",
    "general.file_type": 15,
    "mamba.block_count": 2,
    "tokenizer.ggml.model": "![x](http://example.org/x.png)",
    "tokenizer.ggml.tokens": ["a", "b"],
}


@pytest.fixture(autouse=True)
def visited_before(monkeypatch):
    begin = PagesManager.__init__

    def begin_again(self, *arguments, **options):
        begin(self, *arguments, **options)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", begin_again)


@pytest.fixture(scope="module")
def shipped():
    return open_model()


def write(model, path, file_type="Q4_K_M", **options):
    for _ in quantize(model, plan(model, file_type, **options), path):
        pass
    return path


def stranger_bytes():
    rng = np.random.default_rng(0)
    tensors = {
        "token_embd.weight": ([256, 40], 16, rng.bytes(40 * 66)),  # IQ2_XXS
        "output_norm.weight": ([256], 0, np.ones(256, "<f4").tobytes()),
    }
    for layer in range(2):
        tensors[f"blk.{layer}.ssm_in.weight"] = ([256, 64], 12, rng.bytes(64 * 144))
        tensors[f"blk.{layer}.ssm_x.weight"] = ([96, 64], 6, rng.bytes(64 * 3 * 22))  # Q5_0
    return gguf_bytes(STRANGER, tensors)


@pytest.fixture
def models(tmp_path, monkeypatch, shipped):
    write(shipped, tmp_path / "tale-Q4_K_M.gguf")
    write(shipped, tmp_path / "tale-UD-Q4_K_XL.gguf", pure=True)
    (tmp_path / "stranger-Q4_K_M.gguf").write_bytes(stranger_bytes())
    (tmp_path / "words.gguf").write_bytes(gguf_bytes({"general.architecture": "llama"}, {}))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\xff" * 40)
    monkeypatch.setattr(cache, "OWN_MODELS", tmp_path)
    for cached in (cache.header, cache.promise, cache.errors_of_file):
        cached.clear()
    return tmp_path


def _open(**query):
    return _open_page("file", **query)


def _open_page(page, **query):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{page}.py")
    app.run()
    assert not app.exception
    return app


def _findings(app):
    return [finding.value for finding in app.subheader]


def _said(app):
    return " ".join(element.value for element in app.markdown)


def test_the_preview_is_the_header_of_the_file(shipped, tmp_path):
    path = write(shipped, tmp_path / "model.gguf")
    expected, found = read_gguf(path), preview(shipped, plan(shipped, "Q4_K_M"))
    assert found.metadata.keys() == expected.metadata.keys()
    assert (found.header_bytes, found.file_bytes) == (expected.header_bytes, path.stat().st_size)
    assert found.entry_bytes == expected.entry_bytes
    for name, tensor in expected.tensors.items():
        other = found.tensors[name]
        assert (other.type, other.shape, other.start_byte, other.n_bytes) == (
            (tensor.type, tensor.shape, tensor.start_byte, tensor.n_bytes)
        )


@pytest.mark.parametrize("file_type", FILE_TYPES)
@pytest.mark.parametrize("pure", [False, True])
def test_causes_add_up_to_the_bits_of_the_plan(shipped, file_type, pure):
    planned = plan(shipped, file_type, pure=pure)
    promise = promise_of(preview(shipped, planned))
    assert promise.bits_per_weight == pytest.approx(planned.bits_per_weight)
    causes = bits_by_cause(promise)
    assert sum(causes.values()) == pytest.approx(planned.bits_per_weight)
    ruled = plan(shipped, file_type)
    differ = {t.name for t, r in zip(planned.tensors, ruled.tensors, strict=True)
              if t.type != r.type}  # fmt: skip
    assert {tensor.name for tensor in promise.tensors if tensor.differs} == differ
    assert causes["differs"] == pytest.approx(
        planned.bits_per_weight - ruled.bits_per_weight, abs=1e-9
    )


def test_fallbacks_are_found_in_a_stranger(tmp_path):
    path = tmp_path / "stranger.gguf"
    path.write_bytes(stranger_bytes())
    promise = promise_of(read_gguf(path))
    assert promise.file_type.name == "Q4_K_M"
    back = {t.name: (t.planned.fallback, t.type) for t in promise.tensors if t.fell_back}
    assert back == {f"blk.{layer}.ssm_x.weight": ("Q4_K", "Q5_0") for layer in range(2)}
    assert [t.name for t in promise.tensors if t.differs] == ["token_embd.weight"]
    sizes = 40 * 66 + 1024 + 2 * 64 * (144 + 66)
    assert promise.bytes == sizes
    assert promise.bits_per_weight == 8 * sizes / (40 * 256 + 256 + 2 * 64 * (256 + 96))


def test_the_error_of_a_file_is_that_of_its_formats(shipped, tmp_path):
    written = open_model(write(shipped, tmp_path / "model.gguf", "Q4_0"))
    found = list(restored_errors(shipped, written.weights))
    assert [error.name for error in found] == shipped.quantizable
    noise = signal = 0.0
    for error in found:
        weights = shipped.weights(error.name).astype(np.float64)
        lost = FORMATS[written.tensors[error.name].dtype].round_trip(shipped.weights(error.name))
        expected = np.linalg.norm(lost - weights) / np.linalg.norm(weights)
        assert error.relative_rmse == pytest.approx(expected)
        noise, signal = noise + ((lost - weights) ** 2).sum(), signal + (weights**2).sum()
    assert total_rmse(found) == pytest.approx(np.sqrt(noise / signal))


def test_other_shapes_are_refused(shipped):
    with pytest.raises(ValueError, match=r"token_embd.weight has shape \[1, 2\], but"):
        list(restored_errors(shipped, lambda name: np.zeros((1, 2), np.float32)))


def test_one_label_hides_two_files():
    says = _findings(_open())
    assert says[0].startswith("**Q4_K_M** would hold 74 tensors in 3 types")
    assert "9 tensors** differ in type" in says[4] and "Both call themselves Q4_K_M" in says[4]
    assert says[5].startswith("One name, Q4_K_M, two files: **Q4_K_M --pure** lies")


def test_a_real_file_is_opened(models):
    app = _open(model="tale-Q4_K_M.gguf")
    assert not app.error
    assert _findings(app)[0].startswith("**tale-Q4_K_M.gguf** holds 74 tensors")
    assert "Every tensor is what llama-quantize gives" in _findings(app)[2]
    assert "byte-level BPE (“gpt2”) with 2,048 tokens" in _said(app)


def test_a_name_of_ones_own_is_said_to_be_one(models):
    app = _open(model="tale-UD-Q4_K_XL.gguf", beside_file="tale-Q4_K_M.gguf")
    assert "**9** of 74 tensors are not what" in _findings(app)[2]
    assert "9 are Q4_K instead of Q6_K" in _findings(app)[2]
    assert "name says Q4_K_XL, its metadata (general.file_type) Q4_K_M" in _said(app)
    assert "two files: **tale-UD-Q4_K_XL.gguf** lies" in _findings(app)[5]


def test_a_file_that_the_lab_cannot_run_is_shown(models):
    app = _open(model="stranger-Q4_K_M.gguf", beside_file="tale-Q4_K_M.gguf")
    assert not app.error
    assert "**1** of 6 tensors is not what llama-quantize gives a Q4_K_M" in _findings(app)[2]
    assert "http://" not in _said(app)
    assert "Errors cannot be measured: The file holds a model of architecture" in _said(app)


def test_a_file_without_tensors_has_a_header(models):
    app = _open(model="words.gguf")
    assert not app.error
    assert _findings(app)[0].startswith("The header takes **")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"model": "broken.gguf"}, "GGUF version 4294967295"),
        ({"file": "as Q9_K"}, "no file type 'Q9_K'"),
        ({"file": "../secret.gguf"}, "There is no file '../secret.gguf' among the models"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(models, query, says):
    (error,) = _open(**query).error
    assert says in error.value and "\n" not in error.value


def test_a_planned_file_is_written_and_opened():
    app = _open(file="as Q2_K")
    app.button(key="file_write").click().run()
    assert not app.exception and not app.error
    assert app.session_state["file"] == "written as Q2_K"
    assert _findings(app)[0].startswith("**Q2_K** holds")


def test_another_model_on_the_bench_opens_its_file(models):
    app = _open(file="as Q2_K")
    app.selectbox(key="model").set_value("tale-Q4_K_M.gguf").run()
    assert app.session_state["file"] == "tale-Q4_K_M.gguf"
    assert _findings(app)[0].startswith("**tale-Q4_K_M.gguf** holds")


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_areas_are_bytes_and_groups_add_up(shipped, look):
    promise = promise_of(preview(shipped, plan(shipped, "Q4_K_M")))
    (tree,) = charts.treemap(promise.tensors, look, 400).data
    sizes = dict(zip(tree.ids, tree.values, strict=True))
    assert sum(n for name, n in sizes.items() if name.startswith("group ")) == promise.bytes
    colours = dict(zip(tree.ids, tree.marker.colors, strict=True))
    assert colours["token_embd.weight"] == look.bits[6]
    assert colours["blk.0.attn_q.weight"] == look.bits[4]
    json.loads(tree.to_json())


def test_bars_of_causes_start_where_the_last_one_ended():
    causes = {"codes": 4.0, "scales": 0.5, "none": 0.0, "rules": -0.25}
    texts = {name: file_words.signed_bits(value) for name, value in causes.items()}
    bars = charts.by_cause(causes, texts, "all", "Q4_K", LIGHT).data
    ends = {bar.y[0]: (bar.base[0], bar.base[0] + bar.x[0]) for bar in bars}
    assert ends == {"codes": (0, 4), "scales": (4, 4.5), "rules": (4.5, 4.25), "all": (0, 4.25)}


def test_every_type_has_a_colour_and_bits():
    assert [code_bits(name) for name in ("F16", "Q8_0", "IQ4_XS", "I16")] == [16, 8, 4, 16]
    for look in (LIGHT, DARK):
        assert charts.type_colour("IQ1_S", look) == look.bits[1]


def test_metadata_are_shown_in_a_line(tmp_path):
    path = tmp_path / "model.gguf"
    metadata = {"text": "a\nb", "n": 3, "x": 1e6, "yes": True, "list": ["p", "q"]}
    path.write_bytes(gguf_bytes(metadata, {}))
    file = read_gguf(path)
    rows = [{"key": k, "kind": file_words.kind_of(file, k), "value": file_words.shortened(v)}
            for k, v in file.metadata.items()]  # fmt: skip
    assert to_csv(rows, ["key", "kind", "value"]).split("\r\n")[1:-1] == [
        "text,text,a b", "n,unsigned of 32 bits,3", "x,float of 32 bits,1000000",
        "yes,yes or no,yes", "list,2 × text,p · q",
    ]  # fmt: skip
    assert sum(file_words.header_parts(file).values()) == file.header_bytes


@pytest.mark.parametrize("tensor", ["blk.1.attn_q.weight", "blk.0.ffn_down.weight"])
def test_the_microscope_opens_the_bytes_of_the_file(models, tensor):
    """The bytes on the page are those in the file at the place that the page names."""
    app = _open_page("block", model="tale-Q4_K_M.gguf", tensor=tensor, row="21", block="0")
    assert not app.exception and not app.error
    stored = {"blk.1.attn_q.weight": "Q4_K", "blk.0.ffn_down.weight": "Q6_K"}[tensor]
    says = re.match(rf"\*\*{stored}\*\*, as stored in tale-Q4_K_M.gguf: (\d+) bytes from byte "
                    r"\*\*([\d,]+)\*\*", _findings(app)[0])  # fmt: skip
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
    app = _open_page("block", model="tale-Q4_K_M.gguf", type="Q2_K")
    assert _findings(app)[0].startswith("**Q2_K** keeps")
    app.button(key="block_stored").click().run()
    assert not app.exception
    assert _findings(app)[0].startswith("**Q6_K**, as stored in")


def test_scales_are_the_files_own(models):
    model = open_model(models / "tale-Q4_K_M.gguf")
    stored = model.as_stored("blk.1.attn_k.weight")
    cache.packed.clear()
    for name, same in (("Q4_K", True), ("Q4_0", False)):
        packed = cache.packed("tale-Q4_K_M.gguf", "blk.1.attn_k.weight", name)
        assert (packed.tobytes() == stored.packed().tobytes()) == same
    app = _open_page("scales", model="tale-Q4_K_M.gguf", type="Q4_K", tensor="blk.1.attn_k.weight")
    assert not app.exception and not app.error


def test_what_has_its_type_already_is_copied(models, tmp_path_factory):
    model = open_model(models / "tale-UD-Q4_K_XL.gguf")  # Q4_K throughout
    path = write(model, tmp_path_factory.mktemp("again") / "again.gguf")
    one, other = read_gguf(model.place).tensors, read_gguf(path).tensors
    same = [name for name in one if one[name].type == other[name].type]
    assert len(same) == len(one) - 9
    for name in same:
        np.testing.assert_array_equal(one[name].packed(), other[name].packed(), err_msg=name)


def test_a_known_model_falls_back():
    """Of SmolLM2-135M, whose rows of 576 do not divide, llama-quantize reports these figures."""
    app = _open(file="SmolLM2-135M as Q4_K_M")
    assert not app.error
    assert "**6.17 bits** a weight" in _findings(app)[0]
    assert "**180 tensors** fell back, such as from Q4_K to Q5_0" in _findings(app)[2]
    assert "576" in _findings(app)[2] and "only the sizes are here" in _said(app)


@pytest.mark.parametrize("label", ["Gremlin as Q4_K_M", "written as Q4_K_M --pur", "as", "written"])
def test_a_label_that_says_nothing_is_one_sentence(label):
    (error,) = _open(file=label).error
    assert "\n" not in error.value


def test_whatever_a_header_says_it_can_be_shown(tmp_path):
    """Mutated headers are refused by the reader, or all that the page says of them can be said."""
    metadata = STRANGER | {"mamba.attention.head_count": 4, "mamba.attention.head_count_kv": 2}
    whole = gguf_bytes(metadata, {"blk.1.attn_v.weight": ([256, 4], 12, bytes(576)),
                                  "output.weight": ([96, 4], 8, bytes(4 * 102))})  # fmt: skip
    rng, path, shown = np.random.default_rng(11), tmp_path / "m-Q4_K_M.gguf", 0
    for _ in range(2000):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole) - 1000, rng.integers(1, 4)):
            broken[place] = rng.choice([0, 1, 7, 8, 9, 255, rng.integers(256)])
        path.write_bytes(bytes(broken))
        try:
            file = read_gguf(path)
        except ModelError:
            continue
        promise = promise_of(file)
        said = [file_words.names_disagree(promise), file_words.tokenizer(file)]
        said += [file_words.header(file, file_words.header_parts(file))]
        if promise.tensors:
            said += [file_words.whole("m", promise, False)]
            charts.treemap(promise.tensors, LIGHT, 400)
        if promise.tensors and promise.file_type:
            causes = bits_by_cause(promise)
            assert sum(causes.values()) == pytest.approx(promise.bits_per_weight)
            said += [file_words.causes(promise, causes), file_words.kept_its_promise(promise)]
        for key, value in file.metadata.items():
            said += [file_words.kind_of(file, key), file_words.shortened(value)]
        assert not any("\n" in sentence for sentence in said)
        shown += 1
    assert shown > 100


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
    assert [name for name in cache.sources() if name.startswith("m-")] == ["m-00001-of-00002.gguf"]
    app = _open(model="m-00001-of-00002.gguf", beside_file="tale-Q4_K_M.gguf")
    assert not app.error
    assert "holds 74 tensors in 3 types" in _findings(app)[0]
    assert "give the 74 tensors that both have the same types" in _findings(app)[4]
    block = _open_page("block", model="m-00001-of-00002.gguf", tensor="blk.7.attn_q.weight")
    assert "as stored in m-00002-of-00002.gguf" in _findings(block)[0]


def test_a_large_file_is_not_written_for_an_address(monkeypatch):
    monkeypatch.setattr(files, "SMALL_BYTES", 4_000_000)
    assert not [button for button in _open(file="as Q4_K_M").button if button.key == "file_write"]
    (error,) = _open(file="written as Q4_K_M").error
    assert "too large to be written just to be looked at" in error.value


def test_another_original_is_one_sentence(models):
    write_folder(models / "toy")
    app = _open(model="toy", original="fable-7m")
    assert not app.error
    assert "Errors cannot be measured" in _said(app)
