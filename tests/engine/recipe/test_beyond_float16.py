"""Weights that a type stores only as an infinity: no file, no figure, one sentence."""

import numpy as np
import pytest

from quantcore import FORMATS, open_model
from quantcore.cli import main
from quantcore.evaluate.quantized import restored_tensors
from quantcore.evaluate.weight_error import tensor_error
from quantcore.recipe.quantize import quantize
from tests.support.edge_cases import edge_rows
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

SIZES = CONFIG | {"hidden_size": 256, "intermediate_size": 256, "num_attention_heads": 8}
NAME, HUGGING_FACE = "blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"
# Of a block with one large weight; its scale is the weight over 1, 8, 127, ...
BEYOND = {"F16": 1e5, "Q4_0": 1e6, "Q8_0": 1e7, "IQ4_NL": 1e7, "Q4_K": 1e8, "Q6_K": 1e9}


@pytest.fixture
def model(tmp_path):
    def with_weight(value):
        folder = write_folder(tmp_path / "large", SIZES)
        arrays = tensors(SIZES)
        arrays[HUGGING_FACE][5, 40] = value
        write_safetensors(folder / "model.safetensors", arrays)
        return open_model(folder)

    return with_weight


@pytest.mark.parametrize("type", BEYOND)
def test_nothing_is_written_and_nothing_said_of_it(model, type, tmp_path, capsys):
    large = model(BEYOND[type])
    with pytest.raises(ValueError, match=rf"{type} of {NAME} cannot hold .* \(row 5, column 40\)"):
        quantize(large, f"{type} pure", tmp_path / "out.gguf")
    assert not list(tmp_path.glob("*.gguf*"))
    with pytest.raises(ValueError, match=rf"{type} of {NAME} cannot hold"):
        list(restored_tensors(large, f"{type} pure"))
    with pytest.raises(ValueError, match=f"{type} cannot hold"):
        tensor_error(large.weights(NAME), FORMATS[type])
    assert main(["error", str(large.path), "--type", type, "--pure", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "beyond 65,504" in said.err.splitlines()[-1]
    assert f"{type} of {NAME} cannot hold" in said.err


@pytest.mark.parametrize("type", BEYOND)
def test_what_fits_is_written(model, type, tmp_path):
    assert quantize(model(6e4), f"{type} pure", tmp_path / "out.gguf").exists()
    read = open_model(tmp_path / "out.gguf").weights(NAME)
    assert np.isfinite(read).all()


def test_ordinary_weights_need_no_second_look():
    """What `quantize` takes for granted: up to 1,024 nothing is stored as an infinity."""
    rng = np.random.default_rng(0)
    rows = np.stack([row for row in edge_rows().values() if np.abs(row).max() <= 1024])
    importance = rng.uniform(1e-6, 1e6, rows.shape[1]).astype(np.float32)
    for fmt in FORMATS.values():
        assert np.isfinite(fmt.round_trip(rows, importance=importance)).all(), fmt.name


def test_the_row_is_the_models_where_files_hold_another_order(tmp_path):
    folder, arrays = write_folder(tmp_path / "large", SIZES), tensors(SIZES)
    arrays["model.layers.1.self_attn.q_proj.weight"][1, 40] = 1e6
    write_safetensors(folder / "model.safetensors", arrays)
    with pytest.raises(ValueError, match=r"blk.1.attn_q.weight cannot .* \(row 1, column 40\)"):
        quantize(open_model(folder), "Q4_0 pure", tmp_path / "out.gguf")
