"""Importance matrices: measured as llama.cpp does, read and written as it does, used as it does."""

import hashlib
import json
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from quantcore import ModelError, measure_imatrix, open_model, plan, read_imatrix, write_imatrix
from quantcore.cli import main
from quantcore.evaluate.importance import imatrix_steps
from quantcore.evaluate.text import calibration_text
from quantcore.io.gguf import read_gguf
from quantcore.io.imatrix import Imatrix
from quantcore.model.shipped import shipped_folder
from quantcore.recipe.contents import layer_of
from quantcore.recipe.quantize import quantize, quantize_steps
from tests.support.gguf_bytes import gguf_bytes
from tests.support.places import GOLDEN
from tests.support.toy_model import CONFIG, write_folder

RECORDED = json.loads((GOLDEN / "llama_quantize_shipped.json").read_text(encoding="utf-8"))
N_CHARACTERS = 15_000  # as tests/peers/make_imatrix.py
TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 8


@pytest.fixture(scope="module")
def theirs():
    return read_imatrix(GOLDEN / "imatrix_llama_cpp.gguf")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


def test_measured_as_llama_cpp_does(theirs):
    ours = measure_imatrix(open_model(), calibration_text()[:N_CHARACTERS], dataset="text.txt")
    assert (ours.datasets, ours.chunk_count, ours.chunk_size) == (("text.txt",), 6, 512)
    assert (theirs.datasets, theirs.chunk_count, theirs.chunk_size) == (("text.txt",), 6, 512)
    assert set(ours.sums) == set(theirs.sums)
    for name, counts in theirs.counts.items():
        np.testing.assert_array_equal(ours.counts[name], counts)
        np.testing.assert_allclose(ours.sums[name], theirs.sums[name], rtol=5e-5, err_msg=name)


def test_written_as_llama_cpp_does(theirs, tmp_path):
    write_imatrix(tmp_path / "again.gguf", theirs)
    original = (GOLDEN / "imatrix_llama_cpp.gguf").read_bytes()
    assert (tmp_path / "again.gguf").read_bytes() == original


def test_the_old_format_says_the_same(theirs):
    old = read_imatrix(GOLDEN / "imatrix_llama_cpp.dat")
    assert (old.datasets, old.chunk_count, old.chunk_size) == (("text.txt",), 6, 0)
    assert set(old.sums) == set(theirs.sums)
    for name in theirs.sums:
        np.testing.assert_allclose(old.importance(name), theirs.importance(name), rtol=1e-6)


@pytest.mark.parametrize(
    ("file_type", "way"), [(name, way) for name, ways in RECORDED.items() for way in ways]
)
def test_files_have_the_bytes_of_llama_quantize(file_type, way, theirs, tmp_path):
    model, imatrix = open_model(), theirs if way == "imatrix" else None
    planned = plan(model, file_type, imatrix=imatrix is not None)
    path = tmp_path / "out.gguf"
    if imatrix is not None:
        imatrix = Imatrix(**{**vars(imatrix), "source": "imatrix.gguf"})
    quantize(model, planned, path, imatrix)
    assert described(path) == RECORDED[file_type][way]


def described(path):
    """As in tests/peers/make_imatrix.py, which runs without the tests' own modules."""
    file, layers = read_gguf(path), {}
    for name in sorted(file.tensors):
        digest = layers.setdefault(str(layer_of(name)), hashlib.sha256())
        digest.update(f"{name} {file.tensors[name].type} ".encode())
        digest.update(file.tensors[name].packed().tobytes())
    said = ("general.file_type", "general.quantization_version")
    metadata = {k: v for k, v in file.metadata.items() if k in said or k.startswith("quantize.")}
    return {"metadata": metadata, "layers": {k: d.hexdigest()[:16] for k, d in layers.items()}}


def test_inputs_of_the_first_layer(toy):
    """Embedding and norm by hand; queries, keys and values share their input."""
    matrix = measure_imatrix(toy, TEXT, 64)
    tokens = toy.tokenizer.encode(TEXT)
    tokens = np.concatenate([[toy.tokenizer.bos_id], tokens])
    chunks = tokens[: len(tokens) // 64 * 64].reshape(-1, 64).copy()
    chunks[:, 0] = toy.tokenizer.bos_id
    rows = toy.weights("token_embd.weight")[chunks.ravel()].astype(np.float64)
    rows /= np.sqrt((rows**2).mean(axis=1, keepdims=True) + CONFIG["rms_norm_eps"])
    expected = ((rows * toy.weights("blk.0.attn_norm.weight")) ** 2).mean(axis=0)
    for role in ("attn_q", "attn_k", "attn_v"):
        np.testing.assert_allclose(matrix.importance(f"blk.0.{role}.weight"), expected, rtol=1e-5)
    assert matrix.importance("blk.1.ffn_down.weight").shape == (CONFIG["intermediate_size"],)
    assert matrix.importance("token_embd.weight") is None


def test_the_output_has_an_entry_on_demand(tmp_path, toy):
    config = CONFIG | {"tie_word_embeddings": False}
    folder = write_folder(tmp_path / "untied", config)
    from tests.support.toy_model import tensors, write_safetensors

    arrays = tensors(config)
    arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"] * 2
    write_safetensors(folder / "model.safetensors", arrays)
    model = open_model(folder)
    assert "output.weight" not in measure_imatrix(model, TEXT, 64).sums
    matrix = measure_imatrix(model, TEXT, 64, process_output=True)
    assert matrix.counts["output.weight"] == matrix.counts["blk.0.attn_q.weight"]
    # A tied output is the embedding, which has no entry in llama.cpp's files either.
    assert "output.weight" not in measure_imatrix(toy, TEXT, 64, process_output=True).sums


def test_progress_and_leaving_early(toy):
    steps = imatrix_steps(toy, TEXT, 64)
    shares = [step.share for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    steps = imatrix_steps(toy, TEXT, 64)
    next(steps)
    steps.close()


def test_inputs_that_overflow_are_refused(tmp_path):
    from tests.support.toy_model import tensors, write_safetensors

    folder, arrays = write_folder(tmp_path / "loud"), tensors()
    arrays["model.layers.0.self_attn.v_proj.weight"] *= 1e25
    write_safetensors(folder / "model.safetensors", arrays)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"inputs that are not finite"):
        measure_imatrix(open_model(folder), TEXT, 64)


def test_an_expert_without_tokens_counts_as_one():
    matrix = Imatrix(sums={"e": np.float32([[2, 4], [0, 0]])}, counts={"e": np.float32([2, 0])})
    np.testing.assert_array_equal(matrix.importance("e"), [1, 2, 1, 1])
    assert matrix.importance("other") is None


def simple(**changes):
    """Bytes of a GGUF importance matrix of one entry; `changes` replace parts of it."""
    about = {
        "general.type": "imatrix",
        "imatrix.datasets": ["a.txt"],
        "imatrix.chunk_count": 1,
        "imatrix.chunk_size": 4,
    }
    tensors = {
        "m.in_sum2": ([4], 0, np.float32([1, 2, 3, 4]).tobytes()),
        "m.counts": ([1], 0, np.float32([4]).tobytes()),
    }
    for key, change in changes.items():
        part = about if key.startswith("imatrix_") else tensors
        key = key.replace("_", ".", 1)
        if change is None:
            del part[key]
        else:
            part[key] = change
    return gguf_bytes(about, tensors)


def old(*entries, n=None, tail=b""):
    """Bytes of a .dat; an entry is name, calls, number of values, values."""
    body = struct.pack("<i", len(entries) if n is None else n)
    for name, calls, count, values in entries:
        body += struct.pack("<i", len(name)) + name + struct.pack("<ii", calls, count) + values
    return body + tail


ONE = (b"m", 1, 1, np.float32([1]).tobytes())


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (simple(imatrix_datasets=None), "lacks imatrix.datasets"),
        (simple(imatrix_chunk_count=None), "lacks imatrix.chunk_count"),
        (simple(imatrix_chunk_count="one"), "makes no sense"),
        (simple(imatrix_datasets="a.txt"), "makes no sense"),
        (simple(m_counts=None), "sums but no counts for 'm'"),
        (simple(m_in_sum2=None), "counts but no sums for 'm'"),
        (simple(m_in_sum2=None, m_counts=None), "holds no importance"),
        (simple(m_in_sum2=([4], 1, bytes(8))), "another type than F32"),
        (simple(m_counts=([3], 0, np.float32([1, 1, 1]).tobytes())), "do not fit"),
        (simple(m_in_sum2=([1], 0, np.float32([np.nan]).tobytes())), "not finite"),
        (simple(m_in_sum2=([1], 0, np.float32([-1]).tobytes())), "negative"),
        (simple(m_counts=([1], 0, np.float32([np.inf]).tobytes())), "not finite"),
        (simple()[:-100], "ends"),
        (b"", "ends too early"),
        (b"once upon a time there was a fox", "neither a GGUF file nor"),
        (old(n=0), "neither"),
        (old(ONE, n=2**31 - 1), "neither"),
        (old(ONE, n=-1), "neither"),
        (old((b"m", 1, -5, b"")), "neither"),
        (old((b"m", 1, -5, bytes(8))), "entry 'm' that makes no sense"),
        (old((b"m", 1, 2**31 - 1, bytes(8))), "ends too early"),
        (old(ONE, ONE), "entry 'm' that makes no sense"),
        (old(ONE, tail=struct.pack("<ii", 1, 2**30)), "a name makes no sense"),
        (old(ONE, tail=b"ab"), "ends too early"),
        (old((b"m", 1, 1, np.float32([np.inf]).tobytes())), "not finite"),
        (struct.pack("<ii", 1, 2**31 - 1) + bytes(20), "a name makes no sense"),
    ],
)
def test_a_broken_file_gets_one_sentence(content, pattern, tmp_path):
    path = tmp_path / "imatrix.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=pattern) as caught:
        read_imatrix(path)
    assert "\n" not in str(caught.value)


def test_cut_anywhere(tmp_path):
    path = tmp_path / "cut.dat"
    whole = old(ONE, (b"second", 3, 2, bytes(8)), tail=struct.pack("<ii", 7, 1) + b"t")
    path.write_bytes(whole)
    assert read_imatrix(path).chunk_count == 7
    end = len(whole) - 9  # without its tail it is whole too
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length in (end, end + 4):
            assert set(read_imatrix(path).sums) == {"m", "second"}
        else:
            with pytest.raises(ModelError):
                read_imatrix(path)


def test_the_matrix_of_another_model_is_refused(toy, theirs, tmp_path):
    with pytest.raises(ModelError, match=r"of another model: blk.0.attn_k.weight has rows of 64"):
        next(quantize_steps(toy, plan(toy, "Q8_0"), tmp_path / "x.gguf", theirs))
    assert not list(tmp_path.iterdir())


def test_a_missing_entry_matters_where_the_type_demands_one(theirs, tmp_path):
    model = open_model()
    some = {k: v for k, v in theirs.sums.items() if k != "blk.3.attn_q.weight"}
    partial = Imatrix(sums=some, counts=theirs.counts)
    with pytest.raises(ModelError, match=r"blk.3.attn_q.weight would get Q2_K, which makes garb"):
        next(
            quantize_steps(model, plan(model, "Q2_K_S", imatrix=True), tmp_path / "x.gguf", partial)
        )
    with pytest.raises(ModelError, match="give one with --imatrix"):
        next(quantize_steps(model, plan(model, "Q2_K_S"), tmp_path / "x.gguf"))
    assert not list(tmp_path.iterdir())
    steps = quantize_steps(model, plan(model, "Q4_K_M", imatrix=True), tmp_path / "x.gguf", partial)
    next(steps)  # goes without: nothing demands it
    steps.close()


def test_the_commands(toy, tmp_path, capsys):
    text, output = tmp_path / "river.txt", tmp_path / "i.gguf"
    text.write_text(TEXT, encoding="utf-8")
    options = [str(toy.path), "--text", str(text), "--context", "64", "--output", str(output)]
    assert main(["imatrix", *options, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {
        "model": "toy", "text": "river.txt", "context": 64, "chunks": 7, "entries": 14,
        "output": str(output), "bytes": output.stat().st_size,
    }  # fmt: skip
    assert read_imatrix(output).datasets == ("river.txt",)
    assert main(["imatrix", *options]) == 2
    assert "exists already" in capsys.readouterr().err
    model = str(tmp_path / "m.gguf")
    command = ["quantize", str(toy.path), "--type", "q4_0", "--imatrix", str(output)]
    assert main([*command, "--output", model]) == 0
    assert read_gguf(Path(model)).metadata["quantize.imatrix.dataset"] == "river.txt"
    assert main(["imatrix", "--text", str(text), "--output", str(tmp_path / "j.gguf")]) == 2
    assert "needs at least 1,024" in capsys.readouterr().err


def test_a_type_that_needs_a_matrix_takes_the_models_own(tmp_path, capsys, theirs):
    """As every other command: `quantize` alone wanted it named."""
    command = ["quantize", "--type", "Q2_K_S", "--output"]
    assert main([*command, str(tmp_path / "own.gguf")]) == 0
    assert "matrix that comes with the model" in capsys.readouterr().err
    named = ["--imatrix", str(shipped_folder() / "imatrix.gguf")]
    assert main([*command, str(tmp_path / "named.gguf"), *named]) == 0
    assert "comes with the model" not in capsys.readouterr().err
    verb = quantize(open_model(), "Q2_K_S", tmp_path / "verb.gguf")
    own = (tmp_path / "own.gguf").read_bytes()
    assert own == (tmp_path / "named.gguf").read_bytes() == verb.read_bytes()
    plain = quantize(open_model(), "Q4_K_M", tmp_path / "plain.gguf")
    assert "quantize.imatrix.file" not in read_gguf(plain).metadata


def test_a_large_dat_is_read_only_as_far_as_it_makes_sense(tmp_path):
    """Two gigabytes that take no room on the disk, with a second entry that makes no sense."""
    path = tmp_path / "large.dat"
    entry = struct.pack("<i1sii4f", 1, b"a", 1, 4, 1, 2, 3, 4)
    path.write_bytes(struct.pack("<i", 2) + entry + struct.pack("<i", -1))
    os.truncate(path, 2**31 - 1)
    tracemalloc.start()
    with pytest.raises(ModelError, match="a name makes no sense"):
        read_imatrix(path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
