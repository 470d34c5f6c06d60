"""Random models mean the same in a folder and in a GGUF file; `make peers` asks the others, too."""

import numpy as np
import pytest

from quantcore import ModelError, open_model, plan
from quantcore.evaluate.quantized import llama_of
from quantcore.recipe.quantize import quantize
from tests.support.random_models import DECOMPOSED, TEXT, write_random

N_MODELS = 20
REFUSALS = (
    "has hidden_act", "has rope scaling 'yarn'", "has rope scaling 'dynamic'", "KV heads do not",
    "has a sliding_window", "holds model-00001-of-00002.safetensors and no", "llama.cpp refuses",
    "which llama.cpp does not load",
)  # fmt: skip


def differing(folder, seed):
    """Hold a folder against its file; True if the lab runs it, an error where they differ."""
    made = write_random(folder / str(seed), seed)
    path = folder / f"{seed}.gguf"
    try:
        model = open_model(made.folder)
        quantize(model, plan(model, "F32"), path)
    except ModelError as problem:
        assert any(known in str(problem) for known in REFUSALS), f"{problem} {made}"
        return False
    file = open_model(path)
    assert file.fingerprint == model.fingerprint, str(made)
    assert file.tokenizer.adds_bos == model.tokenizer.adds_bos
    tokens = model.tokenizer.encode(DECOMPOSED + TEXT)
    np.testing.assert_array_equal(file.tokenizer.encode(DECOMPOSED + TEXT), tokens, str(made))
    # llama3's scaling is divisors in the file, rounded to float32 once more.
    logits = [llama_of(each).logits(tokens[:32]) for each in (model, file)]
    bound = 2**-18 * np.abs(logits[0]).max()
    np.testing.assert_allclose(*logits, rtol=0, atol=bound, err_msg=str(made))
    return True


def test_folder_and_file(tmp_path):
    compared = [differing(tmp_path, seed) for seed in range(N_MODELS)]
    assert sum(compared) >= N_MODELS // 2


def test_a_difference_would_be_found(tmp_path, monkeypatch):
    monkeypatch.setattr("quantcore.recipe.quantize.turned_heads", lambda *_: 0)
    with pytest.raises(AssertionError):
        for seed in range(N_MODELS):
            differing(tmp_path, seed)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, again = (write_random(tmp_path / name, 5).folder for name in ("first", "again"))
    for file in first.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()
