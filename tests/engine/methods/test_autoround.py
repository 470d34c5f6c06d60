"""AutoRound: its rounding beside auto-round's, its slopes beside differences, and what it gains."""

import numpy as np
import pytest

from quantcore import open_model
from quantcore.formats import get_format
from quantcore.methods.autoround import AutoRound
from quantcore.methods.inputs.input_sums import InputSums
from quantcore.methods.method import LayerRun
from quantcore.methods.training.layer_slopes import LayerSlopes
from quantcore.methods.training.tuned_rounding import Tuned, TunedRounding
from quantcore.model.llama import Llama
from quantcore.pool import threads
from quantcore.progress import result_of
from tests.support.places import GOLDEN
from tests.support.toy_model import write_folder

with np.load(GOLDEN / "methods_scaling.npz") as _file:
    GIVEN = {name[10:]: _file[name] for name in _file.files if name.startswith("autoround/")}
RNG = np.random.default_rng(6)
WEIGHTS = RNG.normal(size=(32, 256)).astype(np.float32) * np.float32(0.05)
# Eight directions in which most of the inputs lie, and something of all others.
ROWS = RNG.normal(size=(500, 8)) @ RNG.normal(size=(8, 256)) + RNG.normal(size=(500, 256)) / 4
ROWS = ROWS.astype(np.float32)
TOKENS = np.random.default_rng(7).integers(3, 250, (4, 64))
TYPES = [
    *("INT4_G32", "INT2_G64_ASYM", "INT3_ROW", "INT4_ROW_ASYM", "INT4_TENSOR"),
    *("Q4_0", "Q2_K", "NF4"),
]


def inputs_of(rows):
    sums = InputSums(len(rows), ("second_moment",), 0)
    sums.add(rows)
    return sums.result("here")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


@pytest.fixture(scope="module")
def run(toy):
    """Take the second layer, whose states are not those of the original."""
    llama = Llama(toy.config, {name: toy.weights(name) for name in toy.tensors})
    states = next(llama.hidden_by_layer(TOKENS))
    noise = np.random.default_rng(8).normal(size=states.shape).astype(np.float32)
    drifted = states + np.float32(0.02) * noise
    return LayerRun(llama=llama, layer=1, states=drifted, original_states=states)


def matrices(run):
    return LayerSlopes(run, 64).weights


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("kind", ["sym", "asym"])
def test_rounding_and_slopes_are_those_of_auto_round(kind, bits):
    """Its symmetric rounding is our full range. PyTorch keeps the slope by a scale in float16."""
    fmt = get_format(f"INT{bits}_G32{'' if kind == 'sym' else '_ASYM'}")
    rounding = TunedRounding(GIVEN["weights"], fmt, full_range=True)
    shifts, low, high = (GIVEN[name] for name in ("shifts", "low", "high"))
    tuned = Tuned(shifts=shifts.reshape(-1, 32), low=low[:, None], high=high[:, None])
    rounded, name = rounding.rounded(tuned), f"{kind}/{bits}"
    np.testing.assert_allclose(
        rounding.weights_of(rounded), GIVEN[f"{name}/restored"], rtol=1e-6, atol=0
    )
    packed = rounding.stored(tuned, rounded)
    np.testing.assert_array_equal(packed.scales.astype(np.float32), GIVEN[f"{name}/scale"])
    zero = 2 ** (bits - 1) if kind == "sym" else GIVEN[f"{name}/zero"]
    np.testing.assert_array_equal(packed.zero_points, zero + np.zeros_like(packed.scales))
    np.testing.assert_array_equal(rounding.format.dequantize(packed), rounding.weights_of(rounded))
    slopes = rounding.slopes(tuned, rounded, GIVEN["slope"])
    for what in ("shifts", "low", "high"):
        expected = GIVEN[f"{name}/by_{what}"]
        ours = getattr(slopes, what).reshape(expected.shape)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", TYPES)
def test_without_iterations_it_is_rounding(name, run):
    fmt, method = get_format(name), AutoRound(n_iterations=0)
    chosen = method.choose(WEIGHTS, fmt, inputs_of(ROWS))
    np.testing.assert_array_equal(chosen.restored, fmt.round_trip(WEIGHTS))
    assert chosen.format is fmt and chosen.stored_bytes == fmt.stored_bytes(WEIGHTS.shape)
    small = {n: w for n, w in matrices(run).items() if w.shape[1] % fmt.block_length(64) == 0}
    for each, found in result_of(method.choose_layer(run, dict.fromkeys(small, fmt))).items():
        np.testing.assert_array_equal(found.restored, fmt.round_trip(small[each]))


@pytest.mark.parametrize("name", TYPES)
def test_the_output_of_a_matrix_is_nearer(name):
    fmt = get_format(name)
    chosen = AutoRound(n_iterations=60).choose(WEIGHTS, fmt, inputs_of(ROWS))
    missed, plain = (
        np.square(ROWS @ (restored - WEIGHTS).T).mean()
        for restored in (chosen.restored, fmt.round_trip(WEIGHTS))
    )
    assert missed < 0.9 * plain
    np.testing.assert_array_equal(fmt.dequantize(chosen.packed), chosen.restored)


def test_the_full_range_has_one_more_code():
    fmt, inputs = get_format("INT2_G32"), inputs_of(ROWS)
    lab, full = (
        AutoRound(n_iterations=20, full_range=full).choose(WEIGHTS, fmt, inputs)
        for full in (False, True)
    )
    assert full.format.name == "INT2_G32_ASYM" and (full.packed.zero_points == 2).all()
    np.testing.assert_array_equal(full.format.dequantize(full.packed), full.restored)
    assert len(np.unique(lab.packed.codes)) == 3 and len(np.unique(full.packed.codes)) == 4


def test_slopes_of_a_layer_are_those_of_differences(run):
    layer, chunks = LayerSlopes(run, 48), np.array([0, 2])
    restored = {n: get_format("INT4_G32").round_trip(w) for n, w in layer.weights.items()}
    loss, slopes = layer.slopes(restored, chunks)
    assert slopes.keys() == layer.weights.keys()
    assert loss == pytest.approx(layer.missed(restored)[chunks].mean(), rel=1e-4)
    for name, slope in slopes.items():
        step = 1e-3 / np.abs(slope).max() * slope
        up, down = (
            layer.missed(restored | {name: restored[name] + sign * step})[chunks].mean()
            for sign in (1, -1)
        )
        # `slopes` are half of those of a sum over chunks, `missed` is a mean.
        expected = 2 * 2 * float((slope * step).sum(dtype=np.float64)) / len(chunks)
        assert up - down == pytest.approx(expected, rel=0.02), name


def test_a_layer_is_nearer_to_the_original_and_threads_change_nothing(run):
    layer, fmt = LayerSlopes(run, 64), get_format("INT3_G32")
    formats = dict.fromkeys(layer.weights, fmt)
    found = []
    for n_threads in (1, 2):
        with threads(n_threads):
            method = AutoRound(n_iterations=30, chunk_tokens=64)
            found.append(result_of(method.choose_layer(run, formats)))
    plain = layer.missed({name: fmt.round_trip(each) for name, each in layer.weights.items()})
    trained = layer.missed({name: each.restored for name, each in found[0].items()})
    assert trained.mean() < 0.7 * plain.mean()
    for name, each in found[0].items():
        np.testing.assert_array_equal(each.packed.codes, found[1][name].packed.codes)


def test_a_layer_makes_up_for_what_came_before(run):
    """Its inputs are those of the quantized model, and its aim is the original's states."""
    layer = LayerSlopes(run, 64)
    assert layer.missed(layer.weights).min() > 0
    same = LayerRun(
        llama=run.llama, layer=1, states=run.original_states, original_states=run.original_states
    )
    assert not LayerSlopes(same, 64).missed(layer.weights).any()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("IQ2_XXS", "no code of its own for each weight that AutoRound could train"),
        ("TQ2_0", "no code of its own for each weight that AutoRound could train"),
        ("BF16", "BF16 has no scales"),
        ("INT4_G64_HQQ", "INT4_G64_HQQ has no code of its own for each weight"),
    ],
)
def test_what_it_cannot_train_is_refused(name, problem):
    for work in (
        lambda fmt: AutoRound().check((4, 256), fmt),
        lambda fmt: AutoRound().choose(WEIGHTS, fmt, inputs_of(ROWS)),
    ):
        with pytest.raises(ValueError, match=problem):
            work(get_format(name))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="multiple of 96"):
        AutoRound().choose(WEIGHTS, get_format("INT4_G96"), inputs_of(ROWS))
    broken = WEIGHTS.copy()
    broken[2, 5] = np.nan
    with pytest.raises(ValueError, match=r"cannot store nan \(row 2, column 5\)"):
        AutoRound().choose(broken, get_format("INT4_G32"), inputs_of(ROWS))
    sums = InputSums(len(ROWS), (), 0)
    sums.add(ROWS)
    with pytest.raises(ValueError, match="needs the second moment"):
        AutoRound().choose(WEIGHTS, get_format("INT4_G32"), sums.result("here"))


def test_groups_of_zeros_stay():
    weights = WEIGHTS.copy()
    weights[3, 32:64] = 0
    for name in ("INT4_G32", "INT4_G32_ASYM"):
        chosen = AutoRound(n_iterations=5).choose(weights, get_format(name), inputs_of(ROWS))
        assert not chosen.restored[3, 32:64].any() and np.isfinite(chosen.restored).all()
