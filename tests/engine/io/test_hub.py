"""Models on the Hub, through huggingface_hub's own client, against a Hub on the loopback."""

import json
import os
import re
import subprocess
import sys

import pytest
from huggingface_hub import HfApi, constants

from quantcore.io import hub
from quantcore.io.gguf import read_gguf
from quantcore.io.hub_model import open_on_hub, read_hub_config, read_hub_gguf, read_hub_tensors
from quantcore.io.safetensors import read_header
from quantcore.memory import find_by_name, find_shape
from tests.engine.io.test_gguf_parts import SHARES
from tests.support.gguf_bytes import gguf_bytes, small_file
from tests.support.mock_hub import SHARDS, refused
from tests.support.patience import PATIENCE_S
from tests.support.places import ROOT
from tests.support.toy_model import CONFIG, tensors, write_folder


def test_the_token_is_sent_for_its_owner_alone(mock, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    find_by_name("me/shards")
    stranger = open_on_hub("me/gguf", as_owner=False)
    read_hub_gguf(stranger, min(stranger.gguf_files))
    assert len(mock.headers) > 4
    assert not any("authorization" in sent for sent in mock.headers)
    mock.headers.clear()
    find_by_name("me/whole", as_owner=True)
    assert {sent.get("authorization") for sent in mock.headers} == {"Bearer hf_secret"}


@pytest.mark.parametrize("model_id", ["me/whole", "me/shards"])
def test_the_headers_are_those_that_the_client_itself_finds(mock, model_id, tmp_path, monkeypatch):
    model = open_on_hub(model_id)
    read = read_hub_tensors(model)
    assert read_hub_config(model) == CONFIG
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    theirs = HfApi(token=False).get_safetensors_metadata(model_id).files_metadata.values()
    described = {name: info for file in theirs for name, info in file.tensors.items()}
    assert {name: (info.dtype, tuple(info.shape)) for name, info in described.items()} == {
        name: (tensor.dtype, tensor.shape) for name, tensor in read.items()
    }
    assert read.keys() == tensors().keys()


def test_a_file_on_disk_has_the_same_header(mock, models, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(models["me/whole"]["model.safetensors"])
    there = {
        name: (t.dtype, t.shape, t.start_byte, t.n_bytes)
        for name, t in read_hub_tensors(open_on_hub("me/whole")).items()
    }
    here = {
        name: (t.dtype, t.shape, t.start_byte, t.n_bytes) for name, t in read_header(path).items()
    }
    assert there == here


def test_of_a_gguf_file_only_its_beginning_is_read(mock, tmp_path):
    model = open_on_hub("me/gguf")
    assert model.gguf_files == {"small-Q8_0.gguf": 512, "big.gguf": 2**25 + 128}
    mock.bytes_served = 0
    assert read_hub_gguf(model, "big.gguf").tensors["m"].n_bytes == 2**25
    assert mock.bytes_served == hub.FIRST_BYTES
    (tmp_path / "small.gguf").write_bytes(small_file())
    here, there = read_gguf(tmp_path / "small.gguf"), read_hub_gguf(model, "small-Q8_0.gguf")
    assert (there.metadata.keys(), there.header_bytes) == (here.metadata.keys(), here.header_bytes)
    assert {n: (t.type, t.shape) for n, t in there.tensors.items()} == {
        n: (t.type, t.shape) for n, t in here.tensors.items()
    }


def test_a_long_header_is_read_by_ranges_that_double(mock, models):
    words = [f"word {i}" for i in range(30_000)]
    stored = gguf_bytes({"general.architecture": "llama", "tokenizer.words": words}, {})
    models["me/gguf"]["long.gguf"] = stored + bytes(10**6)
    model = open_on_hub("me/gguf")
    mock.requests.clear()
    assert read_hub_gguf(model, "long.gguf").metadata["tokenizer.words"] == words
    first = hub.FIRST_BYTES
    ends = [first, 3 * first, 7 * first, 15 * first]
    wanted = [f"bytes={a}-{b - 1}" for a, b in zip([0, *ends], ends, strict=False)]
    assert [ranged for _, ranged in mock.requests] == wanted
    assert ends[-2] < len(stored) < ends[-1]


def test_a_gguf_file_in_parts_is_read_from_all_of_them(mock, models):
    model = open_on_hub("me/parts")
    (first,) = model.gguf_files
    assert model.gguf_files[first] == sum(map(len, models["me/parts"].values()))
    file = read_hub_gguf(model, first)
    assert file.tensors.keys() == {name for share in SHARES for name in share}
    del models["me/parts"]["deep/m-00002-of-00003.gguf"]
    refused(lambda: read_hub_gguf(open_on_hub("me/parts"), first), "00002-of-00003.gguf is missing")


def test_a_model_on_the_hub_has_the_sizes_of_its_folder(mock, tmp_path):
    here = find_shape(write_folder(tmp_path / "whole"))
    for model_id in ("me/whole", "me/shards"):
        there = find_shape(model_id)
        assert (there.shape.tensors, there.shape.caches) == (here.shape.tensors, here.shape.caches)
        assert (there.stored_bytes, there.notes) == (here.stored_bytes // 2, ())  # BF16
        assert there.shape.source == f"the headers of {model_id} on the Hub"


def test_a_gguf_file_on_the_hub_is_chosen_by_its_tag(mock, models):
    own = {"block_count": 1, "embedding_length": 64, "attention.head_count": 4}
    metadata = {"general.architecture": "llama"} | {f"llama.{key}": n for key, n in own.items()}
    for type_name, number, row_bytes in [("Q8_0", 8, 68), ("Q4_0", 2, 36)]:
        stored = {"token_embd.weight": ([64, 10], number, bytes(10 * row_bytes))}
        models["me/gguf"][f"tiny-{type_name}.gguf"] = gguf_bytes(metadata, stored)
        for place in (f"me/gguf:{type_name.lower()}", f"me/gguf:tiny-{type_name}.gguf"):
            if type_name == "Q4_0" or "tiny" in place:
                tiny = find_shape(place)
                assert tiny.stored_bytes == 10 * row_bytes
                assert tiny.stored_types == {"token_embd.weight": type_name}
                assert f"tiny-{type_name}.gguf of me/gguf on the Hub" in tiny.shape.source
    del models["me/gguf"]["big.gguf"], models["me/gguf"]["small-Q8_0.gguf"]
    (note,) = find_shape("me/gguf").notes
    assert note.startswith(
        "me/gguf has 2 GGUF files, of which this is tiny-Q8_0.gguf; name another"
    )
    refused(
        lambda: find_shape("me/gguf:Q2_K"),
        "no GGUF file 'Q2_K'; there are: tiny-Q4_0.gguf, tiny-Q8",
    )
    refused(lambda: find_shape("me/whole:Q2_K"), "there are: none")


def test_an_architecture_that_the_lab_does_not_know(mock, models):
    models["me/whole"]["config.json"] = json.dumps(CONFIG | {"model_type": "odd"}).encode()
    shape = find_shape("me/whole").shape
    assert "does not know the architecture 'odd'" in shape.estimated
    assert shape.n_weights == sum(array.size for array in tensors().values())


def test_a_known_model_asks_nobody(mock):
    assert find_shape("meta-llama/Llama-3.1-8B").shape.n_weights == 8_030_261_248
    assert mock.requests == []


def test_nothing_is_written_and_nothing_else_is_asked_or_told(mock, tmp_path):
    """In a fresh process: no cache in the home, one request for the list and one for each file."""
    code = (
        "from quantcore.io.hub_model import *; model = open_on_hub('me/shards');"
        "print(len(read_hub_tensors(model)), len(read_hub_config(model)))"
    )
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": mock.url,
             "HF_HUB_OFFLINE": "", "HF_HUB_DISABLE_TELEMETRY": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["20", "10"], "")
    assert not (home / "hf").exists()
    assert not any("hugging" in path.name for path in home.rglob("*"))
    assert sorted(path.rpartition("/")[2] for path, _ in mock.requests) == sorted(
        ["shards?blobs=true", "config.json", *SHARDS]
    )
    agents = {headers["user-agent"] for headers in mock.headers}
    assert all(re.fullmatch(r"quantlab/[^;]+; hf_hub/[^;]+; python/[^;]+", a) for a in agents)
