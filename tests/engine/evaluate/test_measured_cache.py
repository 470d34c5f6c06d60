"""What was measured of the shipped model's cache and noise: some of it is measured again."""

import pytest

from quantcore import ModelError, open_model
from quantcore.evaluate import measured_cache
from quantcore.evaluate.cache_drift import measure_cache
from quantcore.evaluate.measured_cache import CONTEXTS, shipped_caches
from quantcore.evaluate.noise_floor import measure_noise_floor
from quantcore.evaluate.text import evaluation_text
from quantcore.model.cache_types import FLOATS, TURBO, CacheTypes

START = 9_000  # characters


@pytest.fixture(scope="module")
def results():
    return measured_cache.load()


@pytest.fixture(scope="module")
def costs(results):
    """Divergence by keys, values, rotation and context."""
    return {
        (row.keys, row.values, row.rotation, row.context): row.mean_kl_divergence
        for row in results.caches
    }


def test_it_is_of_the_model_and_text_that_ship(results):
    assert not results.stale, "run python -m quantcore measure --caches"
    wanted = [(c.keys, c.values, c.rotation, n) for n in CONTEXTS for c in shipped_caches()]
    assert [(r.keys, r.values, r.rotation, r.context) for r in results.caches] == wanted
    assert max(CONTEXTS) == open_model().config.context_length


def test_caches_come_out_again_on_the_start_of_the_text(results):
    caches = [CacheTypes("Q4_0", "Q4_0"), CacheTypes("F16", "TURBO2"), CacheTypes("Q8_0", "F16")]
    stored = {(r.keys, r.values, r.rotation, r.context): r for r in results.caches}
    for again in measure_cache(open_model(), caches, evaluation_text()[:START], [512]):
        row = stored[again.keys, again.values, again.rotation, again.context]
        assert again.bytes_per_token == row.bytes_per_token
        for name in ("mean_kl_divergence", "perplexity_ratio"):
            near = pytest.approx(getattr(row, name), abs=4 * getattr(again, f"{name}_error"))
            assert getattr(again, name) == near


def test_the_floor_comes_out_again_on_the_start_of_the_text(results):
    again = measure_noise_floor(open_model(), evaluation_text()[:START])
    assert again.mean_kl_divergence == pytest.approx(
        results.floor.mean_kl_divergence, abs=4 * again.mean_kl_divergence_error
    )
    assert sum(each.tokens for each in results.floor.by_sureness) == results.floor.tokens_scored


def test_eight_bits_are_below_the_noise_floor_and_four_are_not(results, costs):
    floor = results.floor.mean_kl_divergence
    for context in CONTEXTS:
        assert costs["F16", "F16", True, context] < floor / 50
        assert costs["Q8_0", "Q8_0", True, context] < floor
        for name in ("Q4_0", "IQ4_NL", "TURBO4"):
            assert costs[name, name, True, context] > 20 * floor


def test_values_cost_more_than_keys(costs):
    """In this model, of which no key has an outlier channel that would make keys the worse."""
    for context in CONTEXTS:
        for name in ("Q8_0", "Q5_1", "Q4_0", "IQ4_NL", "TURBO4", "TURBO3"):
            assert costs["F16", name, True, context] > 2 * costs[name, "F16", True, context]


def test_more_bits_cost_less_at_every_context(costs):
    for context in CONTEXTS:
        for names in (("Q8_0", "Q5_0", "Q4_0"), ("TURBO4", "TURBO3", "TURBO2", "TURBO1")):
            for kind in range(3):
                by_bits = [
                    costs[*[(n, "F16"), ("F16", n), (n, n)][kind], True, context] for n in names
                ]
                assert by_bits == sorted(by_bits)


def test_nothing_measured_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(measured_cache, "shipped_folder", lambda name: tmp_path)
    with pytest.raises(ModelError, match=r"python -m quantcore measure --caches"):
        measured_cache.load()


def test_every_type_is_among_them():
    kept = {c.keys for c in shipped_caches()} | {c.values for c in shipped_caches()}
    assert {"Q8_0", "Q4_0", "IQ4_NL", *TURBO} <= kept
    unrotated = {c.keys for c in shipped_caches() if not c.rotation}
    assert not unrotated & {*FLOATS[:1], *TURBO}
