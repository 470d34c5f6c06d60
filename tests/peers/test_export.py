"""Checkpoints of packed integers, opened by the packages that they are for: make peers."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from quantcore import export, get_format, open_model
from quantcore.methods import get_method
from quantcore.methods.fold import deployed
from quantcore.methods.whole_model import choose_all
from quantcore.model.llama import Llama
from tests.support.checkpoints import arrays_of, modules_of, read_back
from tests.support.toy_model import CONFIG, write_folder

pytestmark = pytest.mark.peers
HEADS = CONFIG | {
    "architectures": ["LlamaForCausalLM"],
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}
LOGITS = 1e-4  # of their spread


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Weights in float16: what a loader keeps in it loses nothing."""
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy", HEADS, dtype="F16"))


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(3).integers(0, 256, (2, 48)).astype(np.int32)


def chosen_by(model, by, type, tokens):
    names = [n for n in model.quantizable if model.tensors[n].layer is not None]
    return choose_all(model, get_method(by), dict.fromkeys(names, get_format(type)), tokens)


def weights_of(model):
    return {name: model.weights(name) for name in model.tensors}


def logits(peer, tokens):
    import torch

    with torch.no_grad():
        return peer(torch.from_numpy(tokens.astype(np.int64))[None]).logits[0].numpy()


def assert_close(found, expected):
    spread = float(np.std(expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=LOGITS * spread)


@pytest.mark.parametrize(
    ("type", "by"),
    [("INT4_G32", "rtn"), ("INT8_ROW", "rtn"), ("INT4_G32", "gptq"), ("INT4_G64", "awq")],
)
def test_transformers_opens_compressed_tensors(toy, tokens, tmp_path, type, by):
    transformers, torch = (pytest.importorskip(name) for name in ("transformers", "torch"))
    pytest.importorskip("compressed_tensors")
    folder = export(toy, "compressed-tensors", type, tmp_path / "out", tokens, by=by)
    peer = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    made = deployed(toy.config, weights_of(toy), chosen_by(toy, by, type, tokens))
    assert_close(logits(peer, tokens[0]), made.logits(tokens[0]))
    original = Llama(toy.config, weights_of(toy)).logits(tokens[0])
    assert np.abs(original - made.logits(tokens[0])).max() > 10 * LOGITS * np.std(original)


def test_transformers_opens_zero_points_of_compressed_tensors(toy, tokens, tmp_path):
    """Only when it dequantizes at once; it then rounds weights to float16, as the scales are."""
    transformers, torch = (pytest.importorskip(name) for name in ("transformers", "torch"))
    pytest.importorskip("compressed_tensors")
    folder = export(toy, "compressed-tensors", "INT4_G32_ASYM", tmp_path / "out", tokens)
    how = transformers.CompressedTensorsConfig(dequantize=True)
    with pytest.warns(UserWarning, match="already has a `quantization_config`"):
        peer = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, quantization_config=how
        )
    chosen = chosen_by(toy, "rtn", "INT4_G32_ASYM", tokens)
    halves = {n: each.restored.astype(np.float16).astype(np.float32) for n, each in chosen.items()}
    made = Llama(toy.config, weights_of(toy) | halves)
    assert_close(logits(peer, tokens[0]), made.logits(tokens[0]))


@pytest.mark.parametrize("type", ["INT4_ROW_ASYM", "INT8_G32_ASYM"])
def test_compressed_tensors_unpacks_what_was_packed(toy, tokens, tmp_path, type):
    """Its own decompressor, with scales in float32: not a bit is lost."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("compressed_tensors")
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationConfig

    folder = export(toy, "compressed-tensors", type, tmp_path / "out", tokens)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    read = QuantizationConfig.model_validate(config["quantization_config"])
    (scheme,) = read.config_groups.values()
    stored, back = load_file(folder / "model.safetensors"), read_back(folder)
    module = "model.layers.1.mlp.down_proj"
    assert module in modules_of(stored)
    state = {key: torch.from_numpy(array) for key, array in arrays_of(stored, module).items()}
    state["weight_scale"] = state["weight_scale"].float()
    found = PackedQuantizationCompressor.decompress(state, scheme)["weight"].numpy()
    np.testing.assert_array_equal(found, back["blk.1.ffn_down.weight"])
    expected = get_format(type).round_trip(toy.weights("blk.1.ffn_down.weight"))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore")  # of auto-round, about its other kernels
@pytest.mark.parametrize("by", ["rtn", "gptq"])
def test_transformers_opens_gptq_with_kernels_for_cpus(toy, tokens, tmp_path, by):
    """GPTQModel's need a GPU; auto-round brings others, and computes in float16 unless told."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("auto_round")
    folder = export(toy, "gptq", "INT4_G32", tmp_path / "out", tokens, by=by)
    how = transformers.AutoRoundConfig()
    peer = transformers.AutoModelForCausalLM.from_pretrained(folder, quantization_config=how)
    chosen = chosen_by(toy, by, "INT4_G32", tokens)
    made = deployed(toy.config, weights_of(toy), chosen)
    import torch

    torch.nn.Module.float(peer)  # transformers would not
    assert_close(logits(peer, tokens[0]), made.logits(tokens[0]))
