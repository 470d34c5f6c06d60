"""A method on every matrix of a model, each seeing what those before it have become."""

import numpy as np
import pytest

from quantcore.evaluate.text import calibration_text, cut
from quantcore.formats import get_format
from quantcore.methods import METHODS
from quantcore.methods.gptq import Gptq
from quantcore.methods.inputs.calibration import calibrate
from quantcore.methods.method import LayerMethod
from quantcore.methods.rtn import RoundToNearest
from quantcore.methods.whole_model import choose_all, choose_all_steps
from quantcore.model.llama import Llama, Stop
from quantcore.model.source import open_model
from quantcore.progress import Progress
from tests.support import toy_model

FORMAT = get_format("INT3_G32")


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "output"])
def toy(request, tmp_path_factory):
    config = toy_model.CONFIG | {"tie_word_embeddings": request.param}
    return open_model(toy_model.write_folder(tmp_path_factory.mktemp("toy") / "model", config))


@pytest.fixture(scope="module")
def tokens(toy):
    return cut(toy, calibration_text()[:1500], 64).inputs


def formats_of(model, *left_out):
    return {name: FORMAT for name in model.quantizable if name not in left_out}


@pytest.mark.parametrize("inputs", ["quantized", "original"])
def test_a_matrix_sees_what_those_before_it_have_become(toy, tokens, inputs):
    """Every matrix on its own, by `calibrate` with the others in place, gives the same."""
    found = choose_all(toy, Gptq(), formats_of(toy), tokens, inputs=inputs)
    assert list(found) == toy.quantizable
    weights = {name: toy.weights(name) for name in toy.tensors}
    order = ["token_embd.weight", *(name for name in toy.quantizable if "blk" in name)]
    order += ["output.weight"] if "output.weight" in toy.tensors else []
    together = {"attn_k": "attn_q", "attn_v": "attn_q", "ffn_up": "ffn_gate"}
    for name in order:
        restored = found[name].restored
        if name == "token_embd.weight":
            np.testing.assert_array_equal(restored, FORMAT.round_trip(toy.weights(name)))
            assert found[name].note.startswith("Rounded to nearest. token_embd.weight is looked up")
        else:
            before = dict(weights)
            for role, first in together.items():  # chosen before any of the same input is replaced
                if role in name:
                    sibling = name.replace(role, first)
                    before[sibling] = toy.weights(sibling)
            llama = Llama(toy.config, before if inputs == "quantized" else
                          {each: toy.weights(each) for each in toy.tensors})  # fmt: skip
            given = calibrate(toy, tokens, [name], ("second_moment",), quantized=llama)[name]
            alone = Gptq().choose(toy.weights(name), FORMAT, given).restored
            assert np.mean(alone != restored) < 1e-3, name  # a tie that the last bit tips over
        weights[name] = restored


def test_what_a_method_cannot_take_is_rounded_and_told_of(toy, tokens):
    formats = formats_of(toy) | {"blk.0.attn_q.weight": get_format("BF16")}
    found = choose_all(toy, Gptq(), formats, tokens)
    chosen = found["blk.0.attn_q.weight"]
    assert chosen.note.startswith("Rounded to nearest. BF16 has no scales")
    np.testing.assert_array_equal(
        chosen.restored, get_format("BF16").round_trip(toy.weights("blk.0.attn_q.weight"))
    )


class HalvesLayers(RoundToNearest):
    """Looks at the layer as it is given, and halves its weights."""

    def choose_layer(self, run, formats):
        """Keep the states after the layer, of both models."""
        for layer, states in ((run.layer, run.states), (run.layer, run.original_states)):
            self.seen.append(run.llama.step(Stop(layer, 0, states)).states)
        yield Progress(0.5, "half way")
        inputs = None
        chosen = {
            name: self.choose(dict(self.weights)[name] / 2, fmt, inputs)
            for name, fmt in formats.items()
        }
        yield Progress(1.0, "done", chosen)


def test_a_method_of_layers_gets_states_of_both_models(toy, tokens):
    method = HalvesLayers()
    object.__setattr__(method, "seen", [])
    object.__setattr__(method, "weights", [(name, toy.weights(name)) for name in toy.quantizable])
    assert isinstance(method, LayerMethod)
    formats = {name: fmt for name, fmt in formats_of(toy).items() if "blk" in name}
    found = choose_all(toy, method, formats, tokens)
    first, original, second, second_original = method.seen
    np.testing.assert_array_equal(first, original)
    weights = {name: toy.weights(name) for name in toy.tensors}
    through = Llama(toy.config, weights)
    quantized = through.replaced({n: c.restored for n, c in found.items() if ".0." in n})
    for seen, llama in ((second, quantized), (second_original, through)):
        states = np.concatenate([next(iter(llama.hidden_by_layer(c[None]))) for c in tokens])
        np.testing.assert_allclose(seen, states, atol=1e-5)
    assert np.abs(second - second_original).max() > 0.1


@pytest.mark.parametrize("toy", [False], ids=["output"], indirect=True)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_a_whole_model(name, toy, tokens):
    formats = dict.fromkeys(toy.quantizable, get_format("INT4_G32_ASYM"))
    steps = list(choose_all_steps(toy, METHODS[name], formats, tokens))
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[-1] == 1
    assert list(steps[-1].known) == toy.quantizable
    for tensor, chosen in steps[-1].known.items():
        original = toy.weights(tensor)
        assert chosen.restored.shape == original.shape
        assert 0 < np.abs(chosen.restored - original).mean() < 0.5 * np.abs(original).mean()


def test_what_does_not_suit_is_said(toy, tokens):
    bad = formats_of(toy) | {"blk.1.ffn_up.weight": get_format("INT4_G48")}
    with pytest.raises(ValueError, match=r"blk\.1\.ffn_up\.weight: .*48"):
        choose_all_steps(toy, Gptq(), bad, tokens)
    with pytest.raises(
        ValueError, match=r"blk\.0\.attn_q\.weight: These weights are not on a grid"
    ):
        choose_all(toy, METHODS["own_grid"], formats_of(toy), tokens)
    with pytest.raises(ValueError, match="chunks of tokens"):
        choose_all_steps(toy, Gptq(), formats_of(toy), tokens[:0])
