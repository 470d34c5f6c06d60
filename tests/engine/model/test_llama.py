"""The forward pass: logits equal transformers', and the laws that any decoder obeys."""

import json

import numpy as np
import pytest

from quantcore import Llama, open_model
from quantcore.evaluate.quantized import llama_of
from quantcore.model.config import LlamaConfig, RopeScaling, read_config
from quantcore.model.llama import KeyValueCache
from quantcore.model.names import expected_shapes, to_hugging_face
from quantcore.model.rope import frequencies
from quantcore.model.sampling import continue_all, continue_greedily
from quantcore.pool import threads
from tests.support.places import GOLDEN
from tests.support.toy_model import write_folder

CASES = ["llama", "llama_linear", "qwen2", "qwen3"]


def recorded(case):
    """Load a recorded small model: (llama, tokens, logits of transformers)."""
    with np.load(GOLDEN / f"logits_{case}.npz") as golden:
        config = read_config(json.loads(str(golden["config"])))
        weights = {
            name: golden[to_hugging_face(name)].astype(np.float32)
            for name in expected_shapes(config)
        }
        return Llama(config, weights), golden["tokens"], golden["logits"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return llama_of(open_model(write_folder(tmp_path_factory.mktemp("models") / "toy")))


@pytest.mark.parametrize("case", CASES)
def test_logits_equal_those_of_transformers(case):
    llama, tokens, wanted = recorded(case)
    np.testing.assert_allclose(llama.logits(tokens), wanted, rtol=0, atol=1e-4)


def test_logits_of_the_shipped_model_equal_those_of_transformers():
    with np.load(GOLDEN / "logits_shipped.npz") as golden:
        logits = llama_of(open_model()).logits(golden["tokens"])[7::8]
        np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_a_cache_changes_nothing(case):
    llama, tokens, _ = recorded(case)
    cache = KeyValueCache(llama.config, 1, len(tokens))
    parts = [llama.hidden(part[None], cache)[0] for part in np.split(tokens, [20, 21, 22, 50])]
    logits = llama.output(np.concatenate(parts))
    np.testing.assert_allclose(logits, llama.logits(tokens), rtol=0, atol=2e-5)


def test_the_future_is_not_seen(toy):
    tokens = np.arange(100) % 256
    changed = tokens.copy()
    changed[60:] = 7
    before, after = toy.logits(tokens), toy.logits(changed)
    np.testing.assert_allclose(before[:60], after[:60], rtol=0, atol=1e-5)
    assert np.abs(before[60:] - after[60:]).max() > 0.1


def test_texts_in_a_batch_do_not_see_each_other(toy):
    rows = np.random.default_rng(0).integers(0, 256, (3, 90))
    together = toy.hidden(rows)
    for row, states in zip(rows, together, strict=True):
        np.testing.assert_allclose(toy.hidden(row[None])[0], states, rtol=0, atol=1e-5)


def test_threads_change_nothing(toy):
    rows = np.random.default_rng(1).integers(0, 256, (2, 128))
    with threads(1):
        alone = toy.hidden(rows)
    np.testing.assert_allclose(toy.hidden(rows), alone, rtol=0, atol=1e-5)


def test_both_rotary_conventions_agree(toy):
    """GGUF files keep queries and keys with the halves of each head interleaved."""
    config = toy.config
    weights = {
        n: np.random.default_rng(5).normal(0, 0.2, s) for n, s in expected_shapes(config).items()
    }
    turned = dict(weights)
    for name in weights:
        if "attn_q." in name or "attn_k." in name:
            heads = weights[name].reshape(-1, 2, config.head_size // 2, config.hidden_size)
            turned[name] = heads.swapaxes(1, 2).reshape(weights[name].shape)
    fields = {f: getattr(config, f) for f in LlamaConfig.__slots__}
    other = Llama(LlamaConfig(**fields | {"rope_interleaved": True}), turned)
    tokens = np.arange(50)
    np.testing.assert_allclose(
        other.logits(tokens), Llama(config, weights).logits(tokens), rtol=0, atol=1e-4
    )


def test_linear_scaling_slows_every_pair(toy):
    fields = {f: getattr(toy.config, f) for f in LlamaConfig.__slots__}
    scaled = LlamaConfig(**fields | {"rope_scaling": RopeScaling(kind="linear", factor=4.0)})
    np.testing.assert_array_equal(frequencies(scaled) * 4, frequencies(toy.config))


@pytest.mark.parametrize("tokens", [[], [1.5], [-1], [260], [[1, 2]], [1] * 129])
def test_tokens_that_do_not_fit_are_refused(toy, tokens):
    with pytest.raises(ValueError, match=r"[Tt]okens"):
        toy.logits(np.array(tokens))


def test_a_continuation_says_the_most_probable(toy):
    prompt = np.array([5, 6, 7], np.int32)
    steps = list(continue_greedily(toy, prompt, 12))
    tokens = prompt
    for step in steps:
        logits = toy.logits(tokens)[-1].astype(np.float64)
        chances = np.exp(logits - logits.max())
        chances /= chances.sum()
        assert step.token == chances.argmax()
        assert step.probability == pytest.approx(chances.max(), abs=1e-5)
        assert [chance for _, chance in step.runners_up] == sorted(
            (chance for _, chance in step.runners_up), reverse=True
        )
        tokens = np.append(tokens, step.token)
    assert len(steps) == 12


def test_a_continuation_ends_at_the_context_or_the_stop(toy):
    assert len(list(continue_greedily(toy, np.arange(120), 50))) == 8
    first = next(continue_greedily(toy, np.arange(5), 1)).token
    assert len(list(continue_greedily(toy, np.arange(5), 50, stop=first))) == 1
    with pytest.raises(ValueError, match="prompt"):
        next(continue_greedily(toy, np.arange(128), 1))


def test_prompts_of_several_lengths_go_on_as_if_alone(toy):
    rng = np.random.default_rng(3)
    prompts = [rng.integers(0, 256, n).astype(np.int32) for n in (3, 40, 17, 1)]
    together = continue_all(toy, prompts, 6)
    for prompt, continuation in zip(prompts, together, strict=True):
        assert continuation == [step.token for step in continue_greedily(toy, prompt, 6)]


def test_a_continuation_does_not_begin_with_what_is_barred(toy):
    prompt = np.int32([0, 5, 9])
    (usual,) = continue_all(toy, [prompt], 2)
    barred = np.zeros((1, toy.config.vocabulary_size), bool)
    barred[0, usual[0]] = True
    (other,) = continue_all(toy, [prompt], 2, barred_first=barred)
    second_best = np.argsort(toy.logits(prompt)[-1])[-2]
    after_it = toy.logits(np.append(prompt, second_best))[-1].argmax()
    assert other == [second_best, after_it]
