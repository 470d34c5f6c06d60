"""Quantized folders in the tools that they are for, and in llama.cpp once repacked: make peers."""

import json

import numpy as np
import pytest

from quantcore import open_model, quantize
from quantcore.evaluate.quantized import llama_of
from tests.engine.layouts.test_quantized_folders import CONFIG, MODULE, NAME, folder_of
from tests.engine.recipe.test_repack import CASES, planned
from tests.support.toy_model import tensors, write_folder, write_safetensors

pytestmark = pytest.mark.peers
TOKENS = (np.arange(100) % 250).astype(np.int32)


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")


@pytest.mark.parametrize("case", [case for case in CASES if "experts" not in case])
def test_llama_cpp_runs_what_is_repacked(tmp_path, case):
    """Both round activations to eight bits, of which some fall the other way: 2 % of the spread.

    Random exponents, as of the other case, make a model of no use to anybody.
    """
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    model = open_model(folder_of(tmp_path / "stored", case))
    path = quantize(model, planned(model, CASES[case]), tmp_path / "made.gguf")
    ours = llama_of(open_model(path), None, "Q8").logits(TOKENS)
    with llama_cpp.opened(path, CONFIG["vocab_size"], context=128, exact=True) as peer:
        theirs = peer.logits(TOKENS)
    off = np.sqrt(np.mean((ours - theirs) ** 2)) / np.std(ours)
    without = write_folder(tmp_path / "without")
    arrays = tensors(CONFIG) | {f"{MODULE}.weight": 0 * model.weights(NAME)}
    write_safetensors(without / "model.safetensors", arrays)
    lost = llama_of(open_model(without), "Q8_0").logits(TOKENS)
    harm = np.sqrt(np.mean((ours - lost) ** 2)) / np.std(ours)
    assert off < 0.04 < 20 * 0.04 < harm


def test_transformers_opens_fp8_with_the_same_logits(tmp_path):
    """Its blocks divide every matrix here, and it is told to decode them at once."""
    transformers, torch = (pytest.importorskip(name) for name in ("transformers", "torch"))
    folder = tmp_path / "stored"
    model = open_model(folder_of(folder, "fp8/block"))
    config = json.loads((folder / "config.json").read_text())
    others = [f"model.layers.{layer}" for layer in range(1, CONFIG["num_hidden_layers"])]
    unquantized = [f"model.layers.0.mlp.{part}_proj" for part in ("gate", "up", "down")]
    unquantized += [f"model.layers.0.self_attn.{part}_proj" for part in "qvo"]
    config["quantization_config"]["modules_to_not_convert"] = [*others, *unquantized, "lm_head"]
    config["architectures"] = ["LlamaForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config))
    how = transformers.FineGrainedFP8Config(
        dequantize=True,
        weight_block_size=(16, 32),
        modules_to_not_convert=config["quantization_config"]["modules_to_not_convert"],
    )
    peer = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=how
    )
    found = dict(peer.named_parameters())[f"{MODULE}.weight"].detach().float().numpy()
    np.testing.assert_array_equal(found, model.weights(NAME))
    with torch.no_grad():
        expected = peer(torch.from_numpy(TOKENS.astype(np.int64))[None]).logits[0].numpy()
    ours = llama_of(model, "F32").logits(TOKENS)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * np.std(ours))
