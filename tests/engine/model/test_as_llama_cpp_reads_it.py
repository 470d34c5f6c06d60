"""What a folder or file says in other words: read as llama.cpp and its converter read it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from quantcore import ModelError, open_model, plan
from quantcore.cli import main
from quantcore.io.gguf import read_gguf
from quantcore.model.llama import Llama
from quantcore.model.rope import frequencies
from quantcore.recipe.quantize import preview, quantize
from tests.support.gguf_bytes import gguf_bytes, with_metadata
from tests.support.toy_model import (
    CONFIG,
    LLAMA3,
    tensors,
    write_folder,
    write_safetensors,
    write_with_biases,
)

TOKENS = np.arange(100) % 250


def as_gguf(folder, type="F32"):
    model = open_model(folder)
    path = folder.with_suffix(".gguf")
    quantize(model, plan(model, type), path)
    return path


def logits(model):
    return Llama(model.config, {name: model.weights(name) for name in model.tensors}).logits(TOKENS)


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope.scaling.factor": 4.0},
        {"rope.scale_linear": 4.0},
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
        {"rope.scaling.type": "linear", "rope.scale_linear": 4.0},
    ],
)
def test_a_factor_stretches_positions_with_a_type_or_without(tmp_path, scaling):
    plain = as_gguf(write_folder(tmp_path / "toy"))
    said = with_metadata(plain, {f"llama.{key}": value for key, value in scaling.items()})
    ours = frequencies(open_model(said).config)
    np.testing.assert_array_equal(ours, frequencies(open_model(plain).config) / np.float32(4))


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope.scaling.type": "none", "rope.scaling.factor": 4.0},
        {"rope.scaling.factor": 0.0},
        {"rope.scaling.type": "linear"},
    ],
)
def test_no_scaling_stretches_nothing(tmp_path, scaling):
    plain = as_gguf(write_folder(tmp_path / "toy"))
    said = with_metadata(plain, {f"llama.{key}": value for key, value in scaling.items()})
    assert open_model(said).config.rope_scaling is None


def test_a_factor_counts_beside_those_of_the_pairs(tmp_path):
    plain = as_gguf(write_folder(tmp_path / "toy", CONFIG | {"rope_scaling": LLAMA3}))
    both = with_metadata(plain, {"llama.rope.scaling.factor": 4.0})
    pairs, all_of_it = (frequencies(open_model(path).config) for path in (plain, both))
    np.testing.assert_allclose(all_of_it, pairs / 4, rtol=1e-6)


def test_biases_of_queries_and_keys_change_places_with_their_rows(tmp_path):
    folder = write_with_biases(tmp_path / "toy")
    original = open_model(folder)
    again = open_model(as_gguf(folder))
    bias = original.weights("blk.0.attn_q.bias")
    stored = read_gguf(again.path).tensors["blk.0.attn_q.bias"].read()
    half = original.config.head_size // 2
    np.testing.assert_array_equal(stored[:4], bias[[0, half, 1, half + 1]])
    np.testing.assert_allclose(logits(again), logits(original), atol=2e-5)


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_a_file_is_padded_as_its_metadata_say(tmp_path, alignment):
    said = with_metadata(as_gguf(write_folder(tmp_path / "toy")), {"general.alignment": alignment})
    model, path = open_model(said), tmp_path / "q8.gguf"
    quantize(model, plan(model, "Q8_0"), path)
    assert "general.alignment" not in read_gguf(path).metadata
    assert "general.alignment" not in preview(model, plan(model, "Q8_0")).metadata
    plain = as_gguf(write_folder(tmp_path / "again"), "Q8_0")
    for name in model.tensors:
        expected = open_model(plain).weights(name)
        np.testing.assert_array_equal(open_model(path).weights(name), expected)


@pytest.mark.parametrize("change", [{"is_causal": False}, {"use_bidirectional_attention": True}])
def test_a_model_that_looks_both_ways_is_refused(tmp_path, change):
    with pytest.raises(ModelError, match="whose tokens see those behind them"):
        open_model(write_folder(tmp_path / "toy", CONFIG | change))


def test_an_output_of_its_own_is_kept_whatever_the_config_says(tmp_path):
    folder, arrays = write_folder(tmp_path / "toy"), tensors()
    embedding = arrays["model.embed_tokens.weight"]
    write_safetensors(folder / "model.safetensors", arrays | {"lm_head.weight": embedding})
    assert "output.weight" not in open_model(folder).tensors, "the same again is no other"
    other = embedding.copy()
    other[-1, -1] += 1
    write_safetensors(folder / "model.safetensors", arrays | {"lm_head.weight": other})
    model = open_model(folder)
    np.testing.assert_array_equal(model.weights("output.weight"), other)
    np.testing.assert_array_equal(open_model(as_gguf(folder)).weights("output.weight"), other)


def test_without_an_output_it_is_the_embedding(tmp_path):
    tied = open_model(write_folder(tmp_path / "toy"))
    folder = write_folder(tmp_path / "untied", CONFIG | {"tie_word_embeddings": False})
    write_safetensors(folder / "model.safetensors", tensors())
    model = open_model(folder)
    assert replace(model.config, tied_embedding=True) == tied.config == model.config
    np.testing.assert_array_equal(logits(model), logits(tied))


TEMPLATE, OTHER = "{{ messages }}", "{{ tools }}"


@pytest.mark.parametrize(
    ("setting", "files", "expected"),
    [
        (TEMPLATE, {}, {"": TEMPLATE}),
        (None, {"chat_template.jinja": TEMPLATE}, {"": TEMPLATE}),
        (None, {"chat_template.json": json.dumps({"chat_template": TEMPLATE})}, {"": TEMPLATE}),
        (
            [{"name": "default", "template": TEMPLATE}, {"name": "tool use", "template": OTHER}],
            {},
            {"": TEMPLATE, ".tool_use": OTHER, "s": ["tool_use"]},
        ),
        (
            None,
            {"chat_template.jinja": TEMPLATE, "additional_chat_templates/rag.jinja": OTHER},
            {"": TEMPLATE, ".rag": OTHER, "s": ["rag"]},
        ),
        ([{"name": "rag", "template": OTHER}], {}, {".rag": OTHER, "s": ["rag"]}),
    ],
)
def test_chat_templates_come_along(tmp_path, setting, files, expected):
    folder = write_folder(tmp_path / "toy")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) | {"chat_template": setting}
    path.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    metadata = read_gguf(as_gguf(folder)).metadata
    found = {key: value for key, value in metadata.items() if "chat_template" in key}
    assert found == {f"tokenizer.chat_template{key}": value for key, value in expected.items()}


def test_a_file_needs_no_ending(tmp_path):
    """As those that Ollama keeps."""
    path = as_gguf(write_folder(tmp_path / "toy"))
    blob = path.rename(tmp_path / "sha256-1234")
    assert open_model(blob).n_weights == open_model(tmp_path / "toy").n_weights
    (tmp_path / "notes").write_text("no model")
    with pytest.raises(ModelError, match="no GGUF file"):
        open_model(tmp_path / "notes")


@pytest.mark.parametrize(
    ("type", "says"),
    [
        ("imatrix", r"an importance matrix \(give it with --imatrix\)"),
        ("adapter", "an adapter"),
        ("mmproj", "the projector"),
    ],
)
def test_other_files_are_told_apart(tmp_path, type, says):
    path = with_metadata(as_gguf(write_folder(tmp_path / "toy")), {"general.type": type})
    with pytest.raises(ModelError, match=says):
        open_model(path)


def test_a_vocabulary_alone_is_no_model(tmp_path):
    file = read_gguf(as_gguf(write_folder(tmp_path / "toy")))
    (tmp_path / "vocabulary.gguf").write_bytes(gguf_bytes(file.metadata, {}))
    with pytest.raises(ModelError, match="a vocabulary without weights"):
        open_model(tmp_path / "vocabulary.gguf")


def test_weights_that_cannot_be_read_are_named(tmp_path):
    folder = write_folder(tmp_path / "toy")
    weights = (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    with pytest.raises(ModelError, match=r"holds model-00001-of-00002.safetensors and no .*index"):
        open_model(folder)
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin, .* the lab reads safetensors"):
        open_model(folder)


def test_what_was_lost_stays_lost(tmp_path, capsys):
    path = as_gguf(write_folder(tmp_path / "toy"), "Q8_0")
    for type, says in (("F32", "stays lost"), ("Q4_0", "errors add up")):
        output = str(tmp_path / f"{type}.gguf")
        assert main(["quantize", str(path), "--type", type, "--output", output]) == 0
        assert says in capsys.readouterr().err
