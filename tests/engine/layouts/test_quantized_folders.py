"""Folders of quantized models are models: opened, run, measured, planned and quantized."""

import json

import numpy as np
import pytest

from quantcore import ModelError, get_format, open_model, plan, quantize
from quantcore.evaluate.quantized import llama_of
from quantcore.memory.lookup.sources import find_shape
from quantcore.model.original import original_of
from quantcore.recipe.quantize import quantized_again
from tests.support.stored import (
    ALL_CASES,
    arrays_of,
    config_of,
    file_name,
    restored_of,
    write_arrays,
)
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

MODULE = "model.layers.0.self_attn.k_proj"
NAME = "blk.0.attn_k.weight"
FITTING = [case for case in ALL_CASES if restored_of(case)[0].shape == (32, 64)]
TOKENS = np.arange(20, dtype=np.int32)[None]


def folder_of(path, case):
    """Write a toy model with one matrix as in a case."""
    config = CONFIG | {"quantization_config": config_of(case)}
    write_folder(path, config)
    arrays = {name: ("F32", array) for name, array in tensors(config).items()}
    del arrays[f"{MODULE}.weight"]
    arrays |= {file_name(MODULE, part): array for part, array in arrays_of(case).items()}
    write_arrays(path / "model.safetensors", arrays)
    return path


@pytest.mark.parametrize("case", FITTING)
def test_a_model_runs_on_what_its_matrices_are_decoded_to(tmp_path, case):
    model = open_model(folder_of(tmp_path / "stored", case))
    plain = write_folder(tmp_path / "plain")
    restored = model.weights(NAME)
    arrays = tensors(CONFIG) | {f"{MODULE}.weight": restored}
    write_safetensors(plain / "model.safetensors", arrays)
    expected = llama_of(open_model(plain), "F32").logits(TOKENS[0])
    np.testing.assert_array_equal(llama_of(model, "F32").logits(TOKENS[0]), expected)
    assert model.fingerprint == open_model(plain).fingerprint
    info = model.tensors[NAME]
    assert original_of(model).stored_as == f"F32 and {info.stored_as}"
    assert info.n_bytes < 4 * info.n_weights
    assert quantized_again(model, plan(model, "Q8_0")) == [NAME]


@pytest.mark.parametrize("case", FITTING)
def test_memory_counts_what_is_read(tmp_path, case):
    """The same weights in the same bytes, by the headers alone."""
    folder = folder_of(tmp_path / "stored", case)
    model, found = open_model(folder), find_shape(folder)
    assert found.shape.n_weights == model.n_weights
    assert found.stored_bytes == sum(tensor.n_bytes for tensor in model.tensors.values())
    (note,) = found.notes
    assert note.startswith(f"The files are quantized ({config_of(case)['quant_method']})")


def test_a_stored_format_is_held_and_has_no_further_error(tmp_path):
    model = open_model(folder_of(tmp_path / "stored", "gptq/4-first"))
    assert model.holds(NAME, "INT4_G16")
    restored = get_format("INT4_G16").dequantize(model.packed(NAME))
    np.testing.assert_array_equal(restored, model.weights(NAME))
    assert model.packed("blk.1.attn_k.weight") is None


@pytest.mark.parametrize("case", ["fp8/block", "compressed-tensors/nvfp4", "bitsandbytes/nf4"])
def test_quantized_to_gguf(tmp_path, case):
    """What is written are its restored weights, rounded once more."""
    model = open_model(folder_of(tmp_path / "stored", case))
    made = open_model(quantize(model, "Q8_0", tmp_path / "made.gguf"))
    expected = get_format("Q8_0").round_trip(model.weights(NAME))
    np.testing.assert_array_equal(made.weights(NAME), expected)


def test_floats_beside_what_is_quantized_stay_what_they_are(tmp_path):
    """And scales for keys and values at work, which are no weights, are not in the way."""
    folder = folder_of(tmp_path / "stored", "fp8/tensor")
    config = json.loads((folder / "config.json").read_text())
    arrays = {name: ("F32", array) for name, array in tensors(config).items()}
    del arrays[f"{MODULE}.weight"]
    arrays |= {file_name(MODULE, part): array for part, array in arrays_of("fp8/tensor").items()}
    arrays["model.layers.0.self_attn.k_scale"] = ("F32", np.ones(1, np.float32))
    write_arrays(folder / "model.safetensors", arrays)
    model = open_model(folder)
    assert {info.stored_as for info in model.tensors.values()} == {
        "F32",
        "FP8_E4M3_TENSOR",
    }


@pytest.mark.parametrize("case", ["fp8/tensor", "modelopt/nvfp4"])
def test_without_a_quantization_config(tmp_path, case):
    """FP8, and ModelOpt's NVFP4, whose config is often in a file of its own."""
    folder = folder_of(tmp_path / "stored", case)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    np.testing.assert_array_equal(open_model(folder).weights(NAME), restored_of(case)[0])


def test_scales_of_nothing_are_refused(tmp_path):
    folder = folder_of(tmp_path / "stored", "fp8/tensor")
    config = json.loads((folder / "config.json").read_text())
    arrays = {name: ("F32", array) for name, array in tensors(config).items()}
    del arrays[f"{MODULE}.weight"]
    arrays[f"{MODULE}.weight_scale_inv"] = ("F32", np.ones((), np.float32))
    write_arrays(folder / "model.safetensors", arrays)
    with pytest.raises(ModelError, match="lacks weight, without which its weight_scale_inv"):
        open_model(folder)
