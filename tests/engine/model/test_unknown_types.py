"""A file with tensors of types that nobody here reads: all the rest is shown."""

import json
import math

import pytest

from quantcore import ModelError, open_model, plan, quantize
from quantcore.cli import main
from quantcore.io.gguf import read_gguf
from quantcore.memory import Setup, estimate, find_shape
from quantcore.recipe.promise import bits_by_cause, promise_of
from tests.support.gguf_models import with_type, write

STRANGE = "blk.1.ffn_down.weight"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write(open_model(), tmp_path_factory.mktemp("strange") / "tale-Q8_0.gguf", "Q8_0")


@pytest.fixture(scope="module")
def strange(sound):
    return with_type(sound, STRANGE, 152)  # ik_llama.cpp's IQ5_KS


def test_bytes_by_offsets_are_those_of_the_type_but_for_padding(sound, strange):
    before, after = read_gguf(sound), read_gguf(strange)
    assert after.tensors[STRANGE].type == "IQ5_KS"
    for name, tensor in before.tensors.items():
        assert 0 <= after.tensors[name].n_bytes - tensor.n_bytes < 32


def test_memory_counts_it(sound, strange):
    found, twin = find_shape(strange), find_shape(sound)
    taken, known = (
        estimate(each.shape, Setup(runtime="none"), each.stored) for each in (found, twin)
    )
    assert 0 <= taken.weights_bytes - known.weights_bytes < 32
    (term,) = (term for term in taken.terms if "IQ5_KS" in term.name)
    assert "the lab does not know IQ5_KS" in term.formula


def test_what_its_name_promises_is_held_against_it(strange):
    promise = promise_of(read_gguf(strange))
    (unlike,) = (tensor for tensor in promise.tensors if tensor.differs)
    assert (unlike.name, unlike.type) == (STRANGE, "IQ5_KS")
    assert sum(bits_by_cause(promise).values()) == pytest.approx(promise.bits_per_weight)


def test_only_what_needs_its_values_refuses(strange, tmp_path, capsys):
    model = open_model(strange)
    assert model.unreadable == {STRANGE: "IQ5_KS"}
    assert len(plan(model, "Q4_K_M").tensors) == len(model.tensors)
    sentence = rf"stores '{STRANGE}' as IQ5_KS, whose values the lab cannot read"
    with pytest.raises(ModelError, match=sentence):
        model.weights(STRANGE)
    with pytest.raises(ModelError, match=sentence):
        quantize(model, "Q4_0", tmp_path / "made.gguf")
    assert not list(tmp_path.iterdir())
    assert main(["error", str(strange), "--type", "Q4_0 pure", "--json"]) == 0
    out, err = capsys.readouterr()
    measured = {row["name"] for row in json.loads(out)["tensors"]}
    assert measured == set(model.quantizable) - {STRANGE}
    assert f"{STRANGE} is not measured: the lab cannot read IQ5_KS." in err


@pytest.mark.parametrize("number, name, block", [(41, "Q1_0", 128), (42, "Q2_0", 64)])
def test_types_that_only_ggml_reads_are_counted_by_their_blocks(sound, number, name, block):
    path = with_type(sound, STRANGE, number, f"{name}.gguf")
    tensor = read_gguf(path).tensors[STRANGE]
    assert tensor.type == name
    assert tensor.n_bytes == math.prod(tensor.shape) // block * 18  # ggml-common.h's blocks
    sentence = rf"stores '{STRANGE}' as {name}, whose values the lab cannot read"
    with pytest.raises(ModelError, match=sentence):
        open_model(path).weights(STRANGE)
