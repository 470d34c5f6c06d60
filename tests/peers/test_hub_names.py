"""Names and shapes of tensors in model folders, against transformers' own models: make peers."""

from pathlib import Path

import pytest

from quantcore.io.safetensors import SafetensorsTensor
from quantcore.memory.lookup.tensors_shape import find_in_tensors
from quantcore.shape import preset, preset_config, preset_ids

pytestmark = pytest.mark.peers
UNREADABLE = {  # transformers refuses these, which lack what says nothing about sizes
    "microsoft/Phi-4-mini-instruct",
    "tiiuae/falcon-7b",
    "moonshotai/Kimi-K2-Instruct",
}


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")


def headers_of(raw):
    """Read the tensors that transformers makes of a config, without memory for them."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    with torch.device("meta"):
        config = transformers.AutoConfig.for_model(**raw)
        model = transformers.AutoModelForCausalLM.from_config(config)
    return {
        name: SafetensorsTensor(Path("model.safetensors"), "BF16", tuple(t.shape), 0, 2 * t.numel())
        for name, t in model.state_dict().items()
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_id", [one for one in preset_ids() if one not in UNREADABLE])
def test_every_weight_finds_its_place(model_id):
    raw, expected = preset_config(model_id), preset(model_id)
    if raw["model_type"].startswith("deepseek"):
        raw |= {"q_lora_rank": raw.get("q_lora_rank")}  # transformers' default is another one
    headers = headers_of(raw)
    model = find_in_tensors(raw, headers, expected.name, expected.source)
    assert model.shape.tensors == expected.tensors
    assert not model.shape.estimated
    tied = expected.tied_embedding
    assert [note for note in model.notes if "quantized" not in note] == (
        [f"The files repeat the tied output: {_embedding(expected):,} weights, not counted."]
        if tied
        else []
    )
    unknown = find_in_tensors(raw | {"model_type": "odd"}, headers, "odd", "s").shape
    assert unknown.estimated
    if not tied or "tie_word_embeddings" in raw:
        assert unknown.n_weights == expected.n_weights
    kept = [(cache.key_values, cache.value_values) for cache in expected.caches]
    assert [(cache.key_values, cache.value_values) for cache in unknown.caches] == kept


def _embedding(shape):
    return shape.vocabulary_size * shape.hidden_size
