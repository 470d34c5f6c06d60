"""What a header promises: planned and real files, causes of their bits, words for any header."""

import json

import numpy as np
import pytest

from pages.file import charts
from pages.file import words as file_words
from pages.shared.palette import DARK, LIGHT
from pages.shared.tables import to_csv
from quantcore import FORMATS, ModelError, open_model, plan
from quantcore.evaluate.file_error import restored_errors, total_rmse
from quantcore.io.gguf import read_gguf
from quantcore.recipe.file_sums import header_parts
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.promise import bits_by_cause, code_bits, promise_of
from quantcore.recipe.quantize import preview
from tests.support.gguf_bytes import gguf_bytes
from tests.support.gguf_models import STRANGER, stranger_bytes, write


@pytest.fixture(scope="module")
def shipped():
    return open_model()


def test_the_preview_is_the_header_of_the_file(shipped, tmp_path):
    path = write(shipped, tmp_path / "model.gguf")
    expected, previewed = read_gguf(path), preview(shipped, plan(shipped, "Q4_K_M"))
    assert previewed.metadata.keys() == expected.metadata.keys()
    assert previewed.header_bytes == expected.header_bytes
    assert previewed.file_bytes == path.stat().st_size
    assert previewed.entry_bytes == expected.entry_bytes
    for name, tensor in expected.tensors.items():
        other = previewed.tensors[name]
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
    errors = list(restored_errors(shipped, written.weights))
    assert [error.name for error in errors] == shipped.quantizable
    noise = signal = 0.0
    for error in errors:
        weights = shipped.weights(error.name).astype(np.float64)
        lost = FORMATS[written.tensors[error.name].dtype].round_trip(shipped.weights(error.name))
        expected = np.linalg.norm(lost - weights) / np.linalg.norm(weights)
        assert error.relative_rmse == pytest.approx(expected)
        noise, signal = noise + ((lost - weights) ** 2).sum(), signal + (weights**2).sum()
    assert total_rmse(errors) == pytest.approx(np.sqrt(noise / signal))


def test_other_shapes_are_refused(shipped):
    with pytest.raises(ValueError, match=r"token_embd.weight has shape \[1, 2\], but"):
        list(restored_errors(shipped, lambda name: np.zeros((1, 2), np.float32)))


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_areas_are_bytes_and_groups_add_up(shipped, look):
    promise = promise_of(preview(shipped, plan(shipped, "Q4_K_M")))
    (tree,) = charts.treemap(promise.tensors, look, 400).checked.data
    sizes = dict(zip(tree.ids, tree.values, strict=True))
    assert sum(n for name, n in sizes.items() if name.startswith("group ")) == promise.bytes
    colours = dict(zip(tree.ids, tree.marker.colors, strict=True))
    assert colours["token_embd.weight"] == look.bits[6]
    assert colours["blk.0.attn_q.weight"] == look.bits[4]
    json.loads(tree.to_json())


def test_bars_of_causes_start_where_the_last_one_ended():
    causes = {"codes": 4.0, "scales": 0.5, "none": 0.0, "rules": -0.25}
    texts = {name: file_words.signed_bits(value) for name, value in causes.items()}
    bars = charts.by_cause(causes, texts, "all", "Q4_K", LIGHT).checked.data
    ends = {bar.y[0]: (bar.base[0], bar.base[0] + bar.x[0]) for bar in bars}
    assert ends == {"codes": (0, 4), "scales": (4, 4.5), "rules": (4.5, 4.25), "all": (0, 4.25)}


def test_every_type_has_a_colour_and_bits():
    assert [code_bits(name) for name in ("F16", "Q8_0", "IQ4_XS", "I16")] == [16, 8, 4, 16]
    for look in (LIGHT, DARK):
        assert charts.type_colour("IQ1_S", look) == look.bits[1]


def test_metadata_are_shown_in_a_line(tmp_path):
    path = tmp_path / "model.gguf"
    metadata = {
        "text": "a\nb",
        "sum": "=HYPERLINK(1)",
        "less": "-1.5",
        "n": 3,
        "x": 1e6,
        "yes": True,
        "list": ["p", "q"],
    }
    path.write_bytes(gguf_bytes(metadata, {}))
    file = read_gguf(path)
    rows = [{"key": k, "kind": file_words.kind_of(file, k), "value": file_words.shortened(v)}
            for k, v in file.metadata.items()]  # fmt: skip
    assert to_csv(rows, ["key", "kind", "value"]).split("\r\n")[1:-1] == [
        "text,text,a b", "sum,text,'=HYPERLINK(1)", "less,text,-1.5",
        "n,unsigned integer of 32 bits,3", "x,float of 32 bits,1000000",
        "yes,yes or no,yes", "list,2 × text,p · q",
    ]  # fmt: skip
    assert sum(header_parts(file).values()) == file.header_bytes


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
        said += [file_words.header(file, header_parts(file))]
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
