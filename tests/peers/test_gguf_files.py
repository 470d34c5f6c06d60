"""Files that the lab writes, read by others: make peers, with requirements-peers.txt."""

import json

import numpy as np
import pytest

from quantcore import measure_perplexity, open_model, plan
from quantcore.cli import main
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.evaluate.whole_by_method import stored_by_steps
from quantcore.model.gguf_source import in_neighbours, turned_heads
from quantcore.progress import result_of
from quantcore.recipe.quantize import quantize
from tests.support.places import GOLDEN

pytestmark = pytest.mark.peers
N_CHARACTERS = 12_000


@pytest.fixture(scope="module", autouse=True)
def only_when_asked(request):
    if "peers" not in request.config.option.markexpr:
        pytest.skip("make peers runs these")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the shipped model once in each type that is asked for."""
    folder, model = tmp_path_factory.mktemp("gguf"), open_model()

    def write(file_type):
        path = folder / f"{file_type}.gguf"
        if not path.exists():
            quantize(model, plan(model, file_type), path)
        return path

    return write


@pytest.mark.parametrize(
    ("file_type", "rel"),
    # llama.cpp quantizes activations too where weights are quantized, so the rest only comes near
    [("F32", 1e-6), ("F16", 2e-4), ("BF16", 5e-4), ("Q8_0", 1e-3), ("Q4_K_M", 5e-3),
     ("Q3_K_L", 1e-2), ("Q2_K", 2e-2), ("IQ4_XS", 5e-3), ("Q5_1", 5e-3)],
)  # fmt: skip
def test_llama_cpp_runs_the_file(written, file_type, rel):
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    model = open_model(written(file_type))
    chunks = cut(model, evaluation_text()[:N_CHARACTERS], 512)
    with llama_cpp.opened(model.path, model.config.vocabulary_size, exact=True) as peer:
        perplexity, _ = peer.perplexity(chunks.inputs)
    measured = measure_perplexity(model, text=evaluation_text()[:N_CHARACTERS])
    assert measured.perplexity == pytest.approx(perplexity, rel=rel)


@pytest.mark.parametrize("file_type", ["Q4_K_M", "Q2_K", "IQ4_NL", "TQ1_0"])
def test_gguf_reads_every_tensor(written, file_type):
    gguf = pytest.importorskip("gguf")
    model = open_model(written(file_type))
    tensors = gguf.GGUFReader(model.path).tensors
    assert {tensor.name for tensor in tensors} == set(model.tensors)
    for tensor in tensors:
        restored = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        heads = turned_heads(tensor.name, model.config)
        own = in_neighbours(model.weights(tensor.name), heads)
        np.testing.assert_array_equal(own, restored.reshape(own.shape), err_msg=tensor.name)


@pytest.fixture(scope="module")
def by_awq(tmp_path_factory):
    """Write the shipped model by AWQ, its scales in norms and in rows of matrices."""
    path = tmp_path_factory.mktemp("gguf") / "awq.gguf"
    assert main(["quantize", "--type", "Q4_K pure", "--by", "awq", "--output", str(path)]) == 0
    return path


def test_llama_cpp_runs_what_awq_scaled(by_awq):
    """Exactly what was measured without a file, but for the inputs that llama.cpp rounds."""
    llama_cpp = pytest.importorskip("tests.peers.llama_cpp")
    original, text = open_model(), evaluation_text()[:N_CHARACTERS]
    chunks = cut(original, text, 512)
    with llama_cpp.opened(by_awq, original.config.vocabulary_size, exact=True) as peer:
        perplexity, _ = peer.perplexity(chunks.inputs)
    stored = result_of(stored_by_steps(original, "Q4_K pure", "awq"))
    for measured in (
        measure_perplexity(original, stored, text),
        measure_perplexity(open_model(by_awq), text=text),
    ):
        assert measured.perplexity == pytest.approx(perplexity, rel=5e-3)
    unscaled = measure_perplexity(original, "Q4_K pure", text).perplexity
    assert unscaled != pytest.approx(perplexity, rel=1e-4)


def test_gguf_reads_what_awq_scaled(by_awq):
    gguf = pytest.importorskip("gguf")
    model = open_model(by_awq)
    for tensor in gguf.GGUFReader(by_awq).tensors:
        restored = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        own = in_neighbours(model.weights(tensor.name), turned_heads(tensor.name, model.config))
        np.testing.assert_array_equal(own, restored.reshape(own.shape), err_msg=tensor.name)


@pytest.mark.parametrize("file_type", ["Q4_K_M", "Q3_K_S", "Q5_K_S", "IQ4_XS"])
def test_tensors_have_the_bytes_of_ggml(written, file_type):
    ggml = pytest.importorskip("benchmarks.ggml")
    if ggml.library() is None:
        pytest.skip("pywhispercpp is not here")
    from quantcore.io.gguf import read_gguf

    original = open_model()
    for name, tensor in read_gguf(written(file_type)).tensors.items():
        if len(tensor.shape) > 1:
            heads = turned_heads(name, original.config)
            weights = np.ascontiguousarray(in_neighbours(original.weights(name), heads))
            expected = ggml.quantize(tensor.type, weights)
            np.testing.assert_array_equal(tensor.packed(), expected, err_msg=name)


def test_transformers_reads_the_file(written):
    transformers, torch = (pytest.importorskip(name) for name in ("transformers", "torch"))
    from quantcore.evaluate.quantized import llama_of

    path = written("Q4_K_M")
    model = open_model(path)
    peer = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    tokens = cut(model, evaluation_text()[:N_CHARACTERS], 512).inputs[0]
    with torch.no_grad():
        wanted = peer(torch.from_numpy(tokens.astype(np.int64))[None]).logits[0].numpy()
    np.testing.assert_allclose(llama_of(model).logits(tokens), wanted, rtol=0, atol=2e-4)


def test_parts_that_gguf_cuts_are_read_as_one(tmp_path):
    import gguf

    from quantcore.io.gguf_parts import read_parts

    rng = np.random.default_rng(0)
    arrays = {f"t{i}": rng.normal(size=(i + 1, 32)).astype(np.float32) for i in range(10)}
    writer = gguf.GGUFWriter(None, "llama", split_max_tensors=4)
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file(tmp_path / "m.gguf")
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(tmp_path.iterdir())
    assert [part.name for part in parts] == [f"m-{i:05d}-of-00003.gguf" for i in (1, 2, 3)]
    for part in parts:
        tensors = read_parts(part).tensors
        assert list(tensors) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(tensors[name].read(), array)


def test_the_golden_tokens_are_llama_cpps(tmp_path):
    make_cuts = pytest.importorskip("tests.peers.make_cuts")
    golden = json.loads((GOLDEN / "cuts.json").read_text("utf-8"))
    assert make_cuts.TEXTS == tuple(golden["texts"])
    for name, expected in golden["by_name"].items():
        make_cuts.write(tmp_path / f"{name}.gguf", name, golden["tokens"], golden["merges"])
        tokens = make_cuts.tokens_of(tmp_path / f"{name}.gguf")
        assert tokens == (expected["adds_bos"], expected["tokens"]), name
