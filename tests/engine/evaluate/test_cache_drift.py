"""What keeping keys and values in fewer bits costs, and the noise floor."""

import numpy as np
import pytest

from quantcore import measure_drift, open_model
from quantcore.evaluate.cache_drift import measure_cache, measure_cache_steps
from quantcore.evaluate.disturbed import disturbed_steps
from quantcore.evaluate.noise_floor import (
    BF16_SIZE,
    floor_of_chunks,
    measure_noise_floor,
    noisy,
)
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.text import cut
from quantcore.formats import FORMATS
from quantcore.model.cache_types import CacheTypes
from quantcore.progress import result_of
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded but the miller. " * 14


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Heads of 64."""
    sizes = {"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1}
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy", CONFIG | sizes))


def test_it_is_the_drift_of_the_original_weights(toy):
    """Measured in another way: `measure_drift` scores every target, and this only what counts."""
    caches = [CacheTypes("Q4_0", "F16"), CacheTypes("F16", "turbo2"), CacheTypes("F32", "F32")]
    rows = measure_cache(toy, caches, TEXT, (64, 128))
    assert [(row.context, row.keys, row.values) for row in rows] == [
        (context, cache.keys, cache.values) for context in (64, 128) for cache in caches
    ]
    assert [row.bytes_per_token for row in rows[:3]] == [2 * (36 + 128), 2 * (128 + 18), 2 * 512]
    for row, cache in zip(rows[:3], caches, strict=True):
        drift = measure_drift(toy, "F32", TEXT, 64, cache_types=cache)
        for name in ("mean_kl_divergence", "mean_kl_divergence_error", "perplexity_ratio",
                     "perplexity_ratio_error", "same_top_token", "tokens_scored"):  # fmt: skip
            wanted = pytest.approx(getattr(drift, name), rel=1e-4, abs=1e-9)
            assert getattr(row, name) == wanted
    assert rows[0].mean_kl_divergence > 1e-4
    assert rows[2].mean_kl_divergence == 0


def test_fewer_bits_cost_more(toy):
    names = ("F16", "Q8_0", "Q5_0", "Q4_0", "TURBO3", "TURBO2", "TURBO1")
    rows = measure_cache(toy, [CacheTypes(name, name) for name in names], TEXT, (128,))
    costs = [row.mean_kl_divergence for row in rows]
    assert costs == sorted(costs)
    assert 0 < costs[0] < 1e-3 * costs[-1]
    sizes = [row.bytes_per_token for row in rows]
    assert sizes == sorted(sizes, reverse=True)


def test_what_does_not_suit_is_refused_before_any_work(toy):
    same = [CacheTypes("q8_0", "F16"), CacheTypes("Q8_0", "f16")]
    with pytest.raises(ValueError, match="the same"):
        measure_cache_steps(toy, same, TEXT)
    with pytest.raises(ValueError, match="4 to 128"):
        measure_cache_steps(toy, same[:1], TEXT, (64, 512))


def test_steps_grow_and_can_be_left(toy):
    steps = measure_cache_steps(toy, [CacheTypes()], TEXT, (64, 128))
    shares = [next(steps).share for _ in range(5)]
    assert 0 < shares[0] < shares[-1] < 0.5
    shares += [step.share for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_without_noise_there_is_no_floor(toy):
    chunks = cut(toy, TEXT, 64)
    floor = result_of(floor_of_chunks(llama_of(toy), chunks, relative_size=0.0))
    assert floor.mean_kl_divergence < 1e-7  # two ways through a layer, in float32
    assert floor.same_top_token == 1


def test_noise_is_relative_and_comes_after_each_layer(toy):
    llama, tokens = llama_of(toy), cut(toy, TEXT, 128).inputs[:2]
    first, _, normed = noisy(llama, BF16_SIZE, 0)(tokens)
    plain = next(llama.hidden_by_layer(tokens))
    off = first / plain - 1
    assert off.std() == pytest.approx(BF16_SIZE, rel=0.02)
    assert abs(off.mean()) < 5 * BF16_SIZE / np.sqrt(off.size)
    again = [*noisy(llama, BF16_SIZE, 0)(tokens)]
    np.testing.assert_array_equal(again[-1], normed)
    other = [*noisy(llama, BF16_SIZE, 1)(tokens)]
    assert np.abs(other[-1] - normed).max() > 1e-3


def test_the_floor_grows_as_the_square_of_the_noise(toy):
    """As any divergence does of a small change; and another seed has the same floor."""
    chunks, llama = cut(toy, TEXT, 128), llama_of(toy)
    small, large, other = (
        result_of(floor_of_chunks(llama, chunks, seed, size)).mean_kl_divergence
        for size, seed in ((BF16_SIZE, 0), (2 * BF16_SIZE, 0), (BF16_SIZE, 7))
    )
    assert large / small == pytest.approx(4, rel=0.1)
    assert other / small == pytest.approx(1, rel=0.3)
    assert small == measure_noise_floor(toy, TEXT, 128).mean_kl_divergence


def test_the_noise_is_of_the_size_of_bf16(toy):
    """Rounding to BF16 is off by 0.85 of it: half a step, evenly spread, of numbers of any size."""
    numbers = np.exp2(np.random.default_rng(0).uniform(-3, 3, (1, 50_000))).astype(np.float32)
    off = FORMATS["BF16"].round_trip(numbers) / numbers - 1
    wanted = 2**-8 / np.sqrt(3) * np.sqrt(3 / 8 / np.log(2))
    assert np.sqrt(np.square(off).mean()) == pytest.approx(wanted, rel=0.01)
    assert wanted / BF16_SIZE == pytest.approx(0.85, abs=0.005)
    llama, chunks = llama_of(toy), cut(toy, TEXT, 128)

    def in_bf16(tokens):
        """Round states after each layer, as a model that runs in BF16 does at least."""
        stop = llama.begin(tokens)
        while stop.layer < llama.config.n_layers:
            stop = llama.step(stop)
            if stop.place == 0:
                stop.states[:] = FORMATS["BF16"].round_trip(stop.states)
        *_, last = llama.hidden_after(stop)
        yield last

    (rounded,) = result_of(disturbed_steps(llama, {"bf16": in_bf16}, chunks)).values()
    floor = measure_noise_floor(toy, TEXT, 128).mean_kl_divergence
    assert rounded.kl.mean() / floor == pytest.approx(0.85**2, rel=0.25)
