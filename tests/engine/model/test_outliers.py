"""Outlier channels: other weights, the same function, held against the definition in float64."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from quantcore import Llama, ModelError, open_model, quantize
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.text import calibration_text
from quantcore.io.imatrix import read_imatrix
from quantcore.model.config import LlamaConfig
from quantcore.model.names import expected_shapes
from quantcore.model.outliers.changed import Changed, changed
from quantcore.model.outliers.direction import principal_direction
from quantcore.model.outliers.folder import FILE, Recipe, write_recipe
from quantcore.model.outliers.pairs import Pairs
from quantcore.model.outliers.settings import LLAMA_3_8B, PRESETS, Channels, OutlierSettings
from quantcore.model.shipped import SHIPPED, shipped_folder
from tests.support.toy_model import CONFIG, write_folder
from tests.twins.naive_llama import logits

LLAMA = LlamaConfig(
    model_type="llama",
    n_layers=2,
    hidden_size=48,
    feed_forward_size=80,
    n_heads=6,
    n_kv_heads=2,
    head_size=8,
    vocabulary_size=60,
    context_length=32,
    norm_epsilon=1e-5,
)
KINDS = {
    "tied": replace(LLAMA, tied_embedding=True),
    "neighbours": replace(LLAMA, rope_interleaved=True),
    "qwen2": replace(LLAMA, model_type="qwen2", attention_bias=True),
    "qwen3": replace(LLAMA, model_type="qwen3", qk_norm=True, tied_embedding=True),
    "every bias": replace(LLAMA, attention_bias=True, output_bias=True, mlp_bias=True),
}
LOUD = Channels(n=3, size=50.0, spread=1.0)
PLACES = {
    "norms": OutlierSettings(norms=LOUD),
    "values": OutlierSettings(values=LOUD),
    "inner": OutlierSettings(inner=LOUD),
    "keys": OutlierSettings(keys=LOUD),
    "rotated": OutlierSettings(rotated=True),
    "all": replace(OutlierSettings.everywhere(3, 1 / 40, 0.7, seed=5), rotated=True),
}
TOKENS = np.random.default_rng(1).integers(0, 60, 20)


@dataclass
class Array:
    """A tensor in memory, of any float type."""

    values: np.ndarray
    dtype = "F32"
    path = None

    @property
    def shape(self):
        """As of a stored tensor."""
        return self.values.shape

    def read(self, rows=slice(None)):
        """All values or some rows."""
        return self.values[rows].copy()


def made(config, dtype=np.float64):
    rng = np.random.default_rng(7)
    return {
        name: Array(
            (rng.normal(0, 0.2, shape) if len(shape) == 2 else rng.uniform(0.4, 1.6, shape)).astype(
                dtype
            )
        )
        for name, shape in expected_shapes(config).items()
    }


def read(tensors):
    return {name: tensor.read() for name, tensor in tensors.items()}


DIRECTION = np.random.default_rng(3).normal(size=48)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_function_stays_in_float64(kind, place):
    config, before = KINDS[kind], made(KINDS[kind])
    after_config, after = changed(before, config, PLACES[place], DIRECTION)
    expected = logits(config, read(before), TOKENS)
    np.testing.assert_allclose(logits(after_config, read(after), TOKENS), expected, 0, 1e-12)
    assert any((after[name].read() != before[name].read()).any() for name in before)


@pytest.mark.parametrize("kind", KINDS)
def test_powers_of_two_change_no_bit_of_float32(kind):
    """Biases of queries and keys aside, the sums have the same terms in the same order."""
    config, before = KINDS[kind], made(KINDS[kind], np.float32)
    settings = replace(PLACES["all"], rotated=False)
    _, after = changed(before, config, settings)
    assert (after["blk.0.ffn_up.weight"].read() != before["blk.0.ffn_up.weight"].read()).any()
    one, other = (Llama(config, read(each)).logits(TOKENS) for each in (before, after))
    np.testing.assert_array_equal(other, one)


def test_a_rotation_stays_within_float32():
    config, before = KINDS["tied"], made(KINDS["tied"], np.float32)
    after_config, after = changed(before, config, PLACES["all"], DIRECTION)
    one = Llama(config, read(before)).logits(TOKENS)
    other = Llama(after_config, read(after)).logits(TOKENS)
    assert np.abs(other - one).max() < 1e-5 * np.abs(one).max()
    assert {tensor.dtype for tensor in after.values()} == {"F32"}


@pytest.mark.parametrize("kind", KINDS)
def test_any_invertible_map_of_values_cancels_out(kind):
    config, before = KINDS[kind], made(KINDS[kind])
    pairs = Pairs(config)
    pairs.mapped_values(1, np.random.default_rng(2).normal(size=(2, 8, 8)))
    after = {n: Changed(t, tuple(pairs.changes.get(n, ()))) for n, t in before.items()}
    expected = logits(config, read(before), TOKENS)
    np.testing.assert_allclose(logits(config, read(after), TOKENS), expected, 0, 1e-11)
    assert (after["blk.1.attn_v.weight"].read() != before["blk.1.attn_v.weight"].read()).any()


def test_halves_of_a_rotary_pair_cannot_have_factors_of_their_own():
    """What `Pairs.keys` asks for: one factor a pair. With another order of pairs it breaks."""
    config, before = LLAMA, made(LLAMA)
    pairs = Pairs(replace(config, rope_interleaved=True))
    pairs.keys(0, 2.0 ** np.random.default_rng(4).integers(-2, 3, (2, 4)))
    after = {n: Changed(t, tuple(pairs.changes.get(n, ()))) for n, t in before.items()}
    difference = logits(config, read(after), TOKENS) - logits(config, read(before), TOKENS)
    assert np.abs(difference).max() > 1e-3


def test_the_same_channels_stand_out_in_all_layers():
    settings = OutlierSettings(norms=Channels(n=3, size=50.0, spread=0.3))
    _, after = changed(made(LLAMA), LLAMA, settings)
    gains = [
        after[f"blk.{layer}.{norm}.weight"].changes[0].factors
        for layer in range(2)
        for norm in ("attn_norm", "ffn_norm")
    ]
    loudest = {tuple(sorted(np.argsort(row)[-3:])) for row in gains}
    assert len(loudest) == 1
    assert all((np.frexp(row)[0] == 0.5).all() for row in gains)


def test_more_channels_are_added_to_fewer():
    def loud(n):
        settings = OutlierSettings(inner=Channels(n=n, size=64.0))
        changes = changed(made(LLAMA), LLAMA, settings)[1]["blk.1.ffn_up.weight"].changes
        (change,) = (each for each in changes if each.axis == 0)
        return set(np.flatnonzero(change.factors == 64))

    assert [len(loud(n)) for n in (0, 2, 5)] == [0, 2, 5]
    assert loud(2) < loud(5)


@pytest.mark.parametrize("place", ["all", "norms"])
def test_some_rows_are_those_of_the_whole(place):
    _, after = changed(made(LLAMA, np.float32), LLAMA, PLACES[place], DIRECTION)
    for tensor in after.values():
        np.testing.assert_array_equal(tensor.read(slice(2, 5)), tensor.read()[2:5])
        assert not tensor.read().flags.writeable


def test_the_shipped_model_says_the_same_with_outliers_to_the_last_bit():
    plain, model = open_model(), open_model("fable-7m-outliers")
    tokens = plain.tokenizer.encode(calibration_text()[:600])
    np.testing.assert_array_equal(llama_of(model).logits(tokens), llama_of(plain).logits(tokens))
    assert model.name == "fable-7m-outliers"
    assert {tensor.dtype for tensor in model.tensors.values()} == {"BF16"}
    assert model.fingerprint != plain.fingerprint
    assert model.key != plain.key


def test_weights_with_powers_of_two_still_are_bf16():
    model = open_model("fable-7m-outliers")
    for name in ("blk.3.ffn_down.weight", "blk.3.attn_norm.weight", "blk.0.attn_k.weight"):
        assert not (np.ascontiguousarray(model.weights(name)).view(np.uint32) & 0xFFFF).any()


def test_the_shipped_settings_are_the_preset():
    raw = (shipped_folder("fable-7m-outliers") / FILE).read_text(encoding="utf-8")
    write = Recipe(shipped_folder(), LLAMA_3_8B)
    assert PRESETS["like Llama-3-8B"] == LLAMA_3_8B
    model = open_model().with_outliers(write.settings)
    assert model.fingerprint == open_model("fable-7m-outliers").fingerprint
    assert '"base": "fable-7m"' in raw


def test_the_shipped_importance_matrix_is_that_of_the_base_times_squares():
    """It was measured; inputs of columns that are divided by f are f times those before."""
    shipped = read_imatrix(shipped_folder("fable-7m-outliers") / "imatrix.gguf")
    derived = open_model().with_outliers(LLAMA_3_8B).imatrix
    assert shipped.sums.keys() == derived.sums.keys()
    for name, sums in derived.sums.items():
        np.testing.assert_allclose(shipped.sums[name], sums, 1e-4)
    before = open_model().imatrix.sums["blk.2.ffn_down.weight"]
    assert 2.0**-12 in derived.sums["blk.2.ffn_down.weight"] / before


def test_a_rotation_gathers_the_states_on_one_channel():
    model = open_model()
    tokens = model.tokenizer.encode(calibration_text()[:1500])[None, :256]
    llama = llama_of(model)
    direction = principal_direction(llama, tokens)
    assert np.linalg.norm(direction) == pytest.approx(1)
    rotated = model.with_outliers(OutlierSettings(rotated=True), direction)
    assert rotated.imatrix is None  # of inputs that are mixed nothing is known
    other = llama_of(rotated)
    one, two = llama.logits(tokens[0]), other.logits(tokens[0])
    assert np.abs(one - two).max() < 1e-5 * np.abs(one).max()

    def power(each):
        """Mean square by channel of what norms read, as a share of all."""
        *layers, _ = each.hidden_by_layer(tokens)
        rows = np.concatenate([states[0] for states in layers])
        squares = np.square(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        return squares.mean(0)

    before, after = power(llama), power(other)
    assert np.argmax(after) == 0 and after[0] > 0.1 > 8 * before.max()


def test_a_folder_of_ones_own_serves_as_any_model(tmp_path):
    base = write_folder(tmp_path / "tale", CONFIG | {"hidden_size": 256, "intermediate_size": 256})
    write_recipe(tmp_path / "loud", Recipe(base, OutlierSettings.everywhere(2, 16.0)))
    model, plain = open_model(tmp_path / "loud"), open_model(base)
    tokens = plain.tokenizer.encode("The tailor and the dog.")
    np.testing.assert_array_equal(llama_of(model).logits(tokens), llama_of(plain).logits(tokens))
    assert (model.name, model.path) == ("loud", tmp_path / "loud")
    again = open_model(quantize(model, "F32", tmp_path / "loud.gguf"))
    assert again.fingerprint == model.fingerprint
    of_file = again.with_outliers(OutlierSettings(values=LOUD))
    np.testing.assert_array_equal(llama_of(of_file).logits(tokens), llama_of(plain).logits(tokens))
    stamp = model.stamp
    (base / "tokenizer_config.json").touch()
    assert open_model(tmp_path / "loud").stamp != stamp


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "lacks the object 'settings'"),
        ('{"base": "../tale", "settings": {}}', "should name its base"),
        ('{"base": "loud", "settings": {}}', "should name its base"),
        ('{"base": "gone", "settings": {}}', "no model folder and no GGUF file"),
        ('{"base": "fable-7m", "settings": {"norms": 3}}', "holds no settings of outliers"),
        ('{"base": "fable-7m", "settings": {"loud": {}}}', "holds no settings of outliers"),
        ('{"base": "fable-7m", "settings": {"seed": -1}}', "seed must be"),
        ('{"base": "fable-7m", "settings": {"rotated": 1}}', "true or false"),
        ('{"base": "fable-7m", "settings": {"rotated": true}}', "main direction, 256 numbers"),
        ('{"base": "fable-7m", "settings": {"norms": {"n": 257}}}', "257 norms cannot stand out"),
        ('{"base": "fable-7m", "settings": {}, "direction": ["x"]}', "no numbers"),
        ('{"base": "fable-7m", "settings": {}, "direction": [0, 0]}', "that is none"),
        ('{"base": "fable-7m-outliers", "settings": {}}', "has outlier channels itself"),
    ],
)
def test_a_folder_that_is_none_gets_one_sentence(tmp_path, content, says):
    folder = tmp_path / "loud"
    folder.mkdir()
    (folder / FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=says) as caught:
        open_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"n": -1}, {"n": 1.5}, {"size": 0.0}, {"size": float("nan")}, {"spread": -1}, {"spread": 9}],
)
def test_settings_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Channels(**wrong)


def test_a_base_elsewhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be in one folder"):
        write_recipe(tmp_path / "loud", Recipe(tmp_path / "far" / "tale", OutlierSettings()))


def test_every_shipped_model_opens_by_its_name():
    for name in SHIPPED:
        assert open_model(name).name == name
        assert open_model(shipped_folder(name)).fingerprint == open_model(name).fingerprint
