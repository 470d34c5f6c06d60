"""Four-bit floats of a folder become GGUF's without loss: the bytes are the converter's."""

import numpy as np
import pytest

from quantcore import ModelError, open_model, plan, quantize
from quantcore.io.gguf_parts import read_parts
from quantcore.model.gguf_source import in_halves, in_neighbours
from quantcore.recipe.overrides import Override
from quantcore.recipe.quantize import preview, quantized_again
from tests.engine.layouts.test_quantized_folders import MODULE, NAME, folder_of
from tests.support.stored import KEPT, arrays_of, file_name, write_arrays
from tests.support.toy_model import CONFIG, tensors

CASES = {
    "mxfp4/experts": "MXFP4",
    "compressed-tensors/mxfp4": "MXFP4",
    "compressed-tensors/nvfp4": "NVFP4",
    "modelopt/nvfp4": "NVFP4",
}
KEYS = 2  # heads of keys, whose rows a GGUF file holds in another order
SCALE = "blk.0.attn_k.scale"


def planned(model, type):
    return plan(model, "Q8_0", overrides=[Override("blk.0.attn_k", type)])


def made_of(folder, case):
    model = open_model(folder_of(folder / "stored", case))
    return model, quantize(model, planned(model, CASES[case]), folder / "made.gguf")


@pytest.mark.parametrize("case", CASES)
def test_bytes_are_those_of_the_converter(tmp_path, case):
    model, path = made_of(tmp_path, case)
    file = read_parts(path)
    packed = file.tensors[NAME].packed()
    np.testing.assert_array_equal(packed, in_neighbours(KEPT[f"{case}/gguf"], KEYS))
    restored = in_halves(file.tensors[NAME].read(), KEYS)
    np.testing.assert_array_equal(restored, KEPT[f"{case}/gguf_restored"])
    expected = planned(model, CASES[case])
    assert NAME not in quantized_again(model, expected)
    assert NAME in quantized_again(model, planned(model, "Q4_0"))
    assert list(preview(model, expected).tensors) == list(file.tensors)


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case] == "MXFP4"])
def test_mxfp4_is_restored_to_the_same_bits(tmp_path, case):
    model, path = made_of(tmp_path, case)
    np.testing.assert_array_equal(open_model(path).weights(NAME), model.weights(NAME))
    assert SCALE not in read_parts(path).tensors


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case] == "NVFP4"])
def test_the_scale_of_the_tensor_lies_beside_it(tmp_path, case):
    """Codes and scales are the same; of three factors the product is rounded in another order."""
    model, path = made_of(tmp_path, case)
    scale = read_parts(path).tensors[SCALE].read()
    part = "weight_scale_2" if "modelopt" in case else "weight_global_scale"
    (stored,) = arrays_of(case)[part][1].reshape(1)
    assert scale == (stored if "modelopt" in case else np.float32(1) / stored)
    again = open_model(path)
    np.testing.assert_array_max_ulp(again.weights(NAME), model.weights(NAME), 2)
    blocks = KEPT[f"{case}/gguf_restored"]
    np.testing.assert_array_equal(again.weights(NAME), blocks * scale)
    some = slice(16, 32)  # a head
    np.testing.assert_array_equal(again.weights(NAME, some), blocks[some] * scale)


def test_a_copy_keeps_the_scale_and_another_type_has_it_in_its_weights(tmp_path):
    _, path = made_of(tmp_path, "modelopt/nvfp4")
    model = open_model(path)
    copy = open_model(quantize(model, planned(model, "NVFP4"), tmp_path / "copy.gguf"))
    np.testing.assert_array_equal(copy.weights(NAME), model.weights(NAME))
    wide = quantize(model, planned(model, "F32"), tmp_path / "wide.gguf")
    assert SCALE not in read_parts(wide).tensors
    np.testing.assert_array_equal(open_model(wide).weights(NAME), model.weights(NAME))
    assert model.packed(NAME) is None  # blocks alone are not the weights


@pytest.mark.parametrize(("part", "value"), [("weight_scale", 0x7F), ("weight_scale", 0x9A)])
def test_scales_that_are_no_number_or_negative(tmp_path, part, value):
    """The first are refused; the sign of others, which UE4M3 has not, goes into the codes."""
    case = "modelopt/nvfp4"
    folder = folder_of(tmp_path / "stored", case)
    arrays = {name: ("F32", array) for name, array in tensors(CONFIG).items()}
    del arrays[f"{MODULE}.weight"]
    for name, (dtype, array) in arrays_of(case).items():
        changed = array.copy()
        if name == part:
            changed.reshape(-1)[0] = value
        arrays[file_name(MODULE, name)] = (dtype, changed)
    write_arrays(folder / "model.safetensors", arrays)
    model = open_model(folder)
    if value == 0x7F:
        with pytest.raises(ModelError, match="not a number"):
            quantize(model, planned(model, "NVFP4"), tmp_path / "made.gguf")
        assert not (tmp_path / "made.gguf").exists()
        return
    made = open_model(quantize(model, planned(model, "NVFP4"), tmp_path / "made.gguf"))
    np.testing.assert_array_max_ulp(made.weights(NAME), model.weights(NAME), 2)
