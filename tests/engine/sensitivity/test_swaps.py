"""Swaps: where effects do not add up, measuring whole mixes finds what the sum cannot."""

import itertools

import numpy as np
import pytest

from quantcore import open_model
from quantcore.progress import result_of
from quantcore.recipe.allocate import Option, allocate
from quantcore.recipe.of_types import padded_bytes
from quantcore.sensitivity.budget import Budget, Budgeted
from quantcore.sensitivity.exchanges import Exchanges
from quantcore.sensitivity.measure import Settings, chunks_of, sensitivity_steps
from quantcore.sensitivity.mixes import Mix, mix_steps
from quantcore.sensitivity.swaps import is_near, search, swap_steps, swapped_plan
from tests.support import toy_model
from tests.support.toy_model import CONFIG, write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded at all. " * 20
TYPES = ("Q4_0", "Q8_0")


class MadeUp:
    """Five tensors whose errors add up, but for two that make each other worse."""

    def __init__(self, seed, noise=0.0):
        rng = np.random.default_rng(seed)
        self.errors = {
            f"t{i}": {bits: scale * 4.0**-bits for bits in (2, 3, 4)}
            for i, scale in enumerate(rng.uniform(0.5, 2, 5))
        }
        self.together = rng.uniform(20, 60)  # of t0 and t1
        self.noise = noise * rng.normal(size=(8, 128))
        self.options = {
            name: [Option(str(bits), 32 * bits, error) for bits, error in each.items()]
            for name, each in self.errors.items()
        }
        self.measured = 0

    def divergence(self, chosen):
        """Of a mix; every token has the same."""
        costs = {name: option.cost for name, option in chosen.items()}
        return sum(costs.values()) + self.together * costs["t0"] * costs["t1"]

    def hold(self, chosen):
        """Take a mix as the one at hand."""
        self.chosen = dict(chosen)

    def whole(self):
        """Measure it."""
        return self._by_token(self.chosen)

    def swapped(self, swaps):
        """Measure it with swaps, in another order than they were asked."""
        for swap in reversed(swaps):
            yield swap, self._by_token(self.chosen | {step.group: step.after for step in swap})

    def _by_token(self, chosen):
        self.measured += 1
        return np.full((8, 128), self.divergence(chosen)) + self.measured * self.noise

    def search(self, budget, measurements):
        """Start at the best sum."""
        start = allocate(self.options, budget)
        mix = Exchanges(
            self.options, dict(start.chosen), budget - start.bytes,
            lambda step: step.after.cost - step.before.cost,
        )  # fmt: skip
        *_, last = search(mix, self, measurements)
        return self.divergence(start.chosen), last.result

    def best(self, budget):
        """Try every mix."""
        mixes = (dict(zip(self.options, c, strict=True)) for c in
                 itertools.product(*self.options.values()))  # fmt: skip
        fitting = (mix for mix in mixes if sum(each.bytes for each in mix.values()) <= budget)
        return min(self.divergence(mix) for mix in fitting)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("budget", [32 * 14, 32 * 16])
def test_brute_force_on_five_tensors_finds_nothing_better(seed, budget):
    made_up = MadeUp(seed)
    before, result = made_up.search(budget, 200)
    best = made_up.best(budget)
    assert result.before.value == pytest.approx(before)
    assert result.after.value == pytest.approx(made_up.divergence(result.chosen))
    assert sum(option.bytes for option in result.chosen.values()) <= budget
    assert result.after.value == pytest.approx(best, rel=1e-9)
    assert before > best * 1.01 or result.chosen == allocate(made_up.options, budget).chosen


def test_it_stops_after_so_many_measurements():
    for most in (1, 2, 9, 30):
        made_up = MadeUp(1)
        _, result = made_up.search(32 * 14, most)
        assert result.measurements == made_up.measured <= most
        assert len(result.history) == result.measurements - 1


def test_what_may_be_noise_is_not_kept():
    """Measurements that differ by more than any swap brings."""
    _, result = MadeUp(1, noise=5.0).search(32 * 14, 60)
    assert not any(each.kept for each in result.history)
    assert result.after == result.before


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """One layer whose gate and inner matrix are both blind for what they read.

    What the layer reads lies in one direction; rows of both are orthogonal to it. Rounding either
    alone leaves the product with the other at zero, rounding both does not.
    """
    config = CONFIG | {"num_hidden_layers": 1}
    folder = write_folder(tmp_path_factory.mktemp("models") / "toy", config)
    arrays = toy_model.tensors(config)
    rng = np.random.default_rng(3)
    direction = rng.choice([-1.0, 1.0], 64).astype(np.float32)
    noise = rng.normal(0, 0.02, (config["vocab_size"], 64))
    arrays["model.embed_tokens.weight"] = (direction + noise).astype(np.float32)
    layer = "model.layers.0."
    arrays[f"{layer}self_attn.o_proj.weight"] *= 0.01
    arrays[f"{layer}post_attention_layernorm.weight"][:] = 1
    for name in ("gate_proj", "up_proj"):
        rows = rng.normal(0, 1, (128, 64))
        rows -= np.outer(rows @ direction, direction) / 64
        arrays[f"{layer}mlp.{name}.weight"] = rows.astype(np.float32)
    toy_model.write_safetensors(folder / "model.safetensors", arrays)
    return open_model(folder)


@pytest.fixture(scope="module")
def budget(model):
    settings = Settings(formats=TYPES, groups=["tensor"], text=TEXT, context=64, tokens=640)
    *_, last = sensitivity_steps(model, settings)
    return Budget(model, last.result.results)


@pytest.fixture(scope="module")
def chunks(model, budget):
    return chunks_of(model, budget.measured, TEXT)


@pytest.fixture(scope="module")
def every(model, chunks):
    """Measure all 256 mixes of two types for eight matrices."""
    mixes = [
        Mix(name=" ".join(t), way="hand", types=dict(zip(model.quantizable, t, strict=True)))
        for t in itertools.product(TYPES, repeat=len(model.quantizable))
    ]
    return list(result_of(mix_steps(model, mixes, chunks)).values())


def _of(plan, points):
    types = {tensor.name: tensor.type for tensor in plan.tensors}
    return next(each for each in points if each.types.items() <= types.items())


@pytest.mark.parametrize("budget_bytes", [34976, 36000, 38048])
def test_where_effects_do_not_add_up_swaps_find_the_best_mix(budget, chunks, every, budget_bytes):
    start = budget.within(budget_bytes)
    best = min(each.mean_kl_divergence for each in every if each.bytes <= budget_bytes)
    *_, last = swap_steps(budget, start, chunks, 40)
    result = last.result
    assert result.before.value == pytest.approx(_of(start.plan, every).mean_kl_divergence, rel=1e-5)
    assert not is_near(start.predicted_kl_divergence, result.before)
    assert result.after.value == pytest.approx(best, rel=0.005)
    assert result.after.value < 0.93 * result.before.value

    made = swapped_plan(budget, start, result)
    assert made.padded_bytes <= budget_bytes
    point = _of(made.plan, every)
    assert point.bytes == made.padded_bytes
    assert result.after.value == pytest.approx(point.mean_kl_divergence, rel=1e-4)
    for before, after in zip(start.plan.tensors, made.plan.tensors, strict=True):
        assert ("was swapped in" in after.rule) == (before.type != after.type)


def test_what_fits_nowhere_is_left(budget, chunks):
    """The smallest mix has nothing to give; the largest has nothing to take.

    Both are made by hand: the layer's attention changes the output by less than float32 can tell,
    so which of its types costs less, and with it the end of the front, is up to the last bits.
    """
    for start in (_throughout(budget, type) for type in TYPES):
        *_, last = swap_steps(budget, start, chunks, 40)
        assert last.result.chosen == budget.chosen_in(start.plan)
        assert not last.result.history


def _throughout(budget, type):
    chosen = {
        group: next(option for option in options if option.name == type)
        for group, options in budget.options.items()
    }
    made = budget.plan_of(chosen, "is everywhere")
    size = padded_bytes(made)
    predicted = budget.predicted(made)
    return Budgeted(
        plan=made, budget_bytes=size, padded_bytes=size, predicted_kl_divergence=predicted, gap=0
    )


def test_it_can_be_stopped(budget, chunks):
    steps = swap_steps(budget, budget.within(36000), chunks, 40)
    shares = [step.share for step, _ in zip(steps, range(4), strict=False)]
    assert shares == sorted(shares)
    steps.close()


def test_no_measurement_is_refused(budget, chunks):
    with pytest.raises(ValueError, match="give 1 or more"):
        swap_steps(budget, budget.within(36000), chunks, 0)
