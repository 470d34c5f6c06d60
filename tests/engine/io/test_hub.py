"""Models on the Hub, through huggingface_hub's own client, against a Hub on the loopback."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
from huggingface_hub import HfApi, close_session, constants

from quantcore import ModelError
from quantcore.io import hub, hub_model
from quantcore.io.gguf import read_gguf
from quantcore.io.hub_model import (
    open_on_hub,
    read_hub_config,
    read_hub_gguf,
    read_hub_tensors,
)
from quantcore.io.safetensors import read_header
from quantcore.memory import find_shape
from tests.engine.io.test_gguf_parts import SHARES, write_parts
from tests.support.gguf_bytes import gguf_bytes, small_file
from tests.support.mock_hub import served
from tests.support.patience import PATIENCE_S
from tests.support.places import ROOT
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def files_of(path, arrays_by_file):
    """Write safetensors files and read their bytes."""
    for name, arrays in arrays_by_file.items():
        write_safetensors(path / name, arrays, "BF16")
    return {name: (path / name).read_bytes() for name in arrays_by_file}


@pytest.fixture
def models(tmp_path):
    arrays, config = tensors(), {"config.json": json.dumps(CONFIG).encode()}
    names = sorted(arrays)
    halves = [{name: arrays[name] for name in part} for part in (names[:7], names[7:])]
    shards = files_of(tmp_path, dict(zip(SHARDS, halves, strict=True)))
    weight_map = {name: shard for shard, half in zip(SHARDS, halves, strict=True) for name in half}
    index = {"model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode()}
    write_parts(tmp_path, {"general.architecture": "llama"}, SHARES)
    parts = {f"deep/{path.name}": path.read_bytes() for path in tmp_path.glob("*.gguf")}
    padded = gguf_bytes({"general.architecture": "llama"}, {"m": ([2**23], 0, bytes(2**25))})
    return {
        "me/whole": config | files_of(tmp_path, {"model.safetensors": arrays}),
        "me/shards": config | shards | index,
        "me/half": config | {SHARDS[1]: shards[SHARDS[1]]},
        "me/gguf": {"small-Q8_0.gguf": small_file(), "mmproj-F16.gguf": b"", "big.gguf": padded},
        "me/parts": parts,
        "me/pickled": config | {"pytorch_model.bin": b"x"},
        "me/nothing": {"README.md": b"x"},
    }


@pytest.fixture
def mock(models, monkeypatch, tmp_path):
    with served(models, gated={"me/gated"}) as hub:
        use(monkeypatch, hub.url)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
            monkeypatch.delenv(name, raising=False)
        close_session()
        yield hub
        close_session()


def use(monkeypatch, url):
    """Point huggingface_hub at another Hub, as HF_ENDPOINT does before it is imported."""
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def refused(work, pattern):
    """Read the one sentence, which comes soon, even on a busy machine."""
    start = time.perf_counter()
    with pytest.raises(ModelError, match=pattern) as caught:
        work()
    assert time.perf_counter() - start < 10
    sentence = str(caught.value)
    assert len(sentence) < 300 and "\n" not in sentence and "http:" not in sentence
    return sentence


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


@pytest.mark.parametrize(
    "model_id, read, pattern",
    [
        (
            "me/absent",
            read_hub_config,
            "no model me/absent, or it is private, and no such folder is here: check",
        ),
        ("me/gated", read_hub_config, "me/gated is gated: accept its terms"),
        ("me/gated", read_hub_tensors, "me/gated is gated: accept its terms"),
        ("me/pickled", read_hub_tensors, r"no safetensors, only pickled weights \(.bin\)"),
        ("me/gguf", read_hub_tensors, "no safetensors but GGUF files; name one, as in me/gguf:big"),
        ("me/nothing", read_hub_tensors, "no safetensors; paste its config.json"),
        ("me/nothing", read_hub_config, "has no config.json"),
        ("me/half", read_hub_tensors, "has 1 of the 2 files"),
        ("me/whole", lambda model: read_hub_gguf(model, "x.gguf"), "has no file 'x.gguf'"),
    ],
)
def test_what_a_model_lacks_is_said(mock, models, model_id, read, pattern):
    models["me/gated"] = models["me/whole"]
    refused(lambda: read(open_on_hub(model_id)), pattern)


@pytest.mark.parametrize(
    "name", ["x", "a/b/c", "../up", "a/..", "a b/c", "me/" + "x" * 200, "a/\0"]
)
def test_names_that_no_model_has_ask_nobody(mock, name):
    refused(lambda: open_on_hub(name), "no model’s name on the Hub")
    assert mock.requests == []


@pytest.mark.parametrize(
    "status, headers, body, pattern",
    [
        (200, {}, b"<html>", "not valid JSON"),
        (200, {}, b"[]", "should hold a JSON object"),
        (200, {}, b"{}", "names no revision"),
        (200, {}, b'{"sha": "../../x", "siblings": []}', "names no revision"),
        (200, {}, b'{"sha": "%s"}' % (b"a" * 40), "lists no files"),
        (200, {}, b'{"sha": "%s", "siblings": [1]}' % (b"a" * 40), "without name and size"),
        (200, {}, b'{"a": ' * 2000 + b"1" + b"}" * 2000, "nested too deeply"),
        (200, {}, b" " * (hub_model.MAX_LIST_BYTES + 1), "is longer than 8,388,608 bytes"),
        (200, {"Content-Length": "5"}, b"{", "cannot be reached|did not answer"),
        (500, {}, b"", "HTTP status 500"),
        (500, {}, b"[]", "HTTP status 500"),
        (404, {}, b"{" * 10**7, "HTTP status 404"),
        (302, {}, b"", "not valid JSON"),
        (429, {}, b"", "too many questions"),
        (403, {}, b"", "does not let you read"),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, b"", "has closed"),
        (302, {"Location": "http://[bad"}, b"", "cannot be reached"),
    ],
)
def test_an_odd_answer_gets_a_sentence(mock, monkeypatch, status, headers, body, pattern):
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.3)
    mock.answers["me/odd"] = (status, headers, body)
    refused(lambda: open_on_hub("me/odd"), pattern)


def test_a_config_that_is_none(mock, models):
    for text, pattern in [(b"\xff", "not valid JSON"), (b"{" * 2**21, "longer than 1,048,576")]:
        models["me/whole"]["config.json"] = text
        refused(lambda: read_hub_config(open_on_hub("me/whole")), pattern)


@pytest.mark.parametrize("length", [2**40, 2**63, 9 * 2**20])
def test_a_header_that_claims_to_be_huge_is_not_fetched(mock, models, length):
    models["me/whole"]["model.safetensors"] = length.to_bytes(8, "little") + bytes(10 * 2**20)
    model = open_on_hub("me/whole")
    mock.bytes_served = 0
    refused(lambda: read_hub_tensors(model), "claims a header|too long")
    assert mock.bytes_served <= hub.FIRST_BYTES


def test_a_hub_that_sends_more_than_was_asked_for(mock):
    model = open_on_hub("me/gguf")
    mock.ignores_ranges = True
    refused(lambda: read_hub_gguf(model, "big.gguf"), "sends another part or all")
    assert mock.bytes_served < 2**24


def test_a_file_that_is_shorter_than_listed(mock, models):
    model = open_on_hub("me/whole")
    models["me/whole"]["model.safetensors"] = models["me/whole"]["model.safetensors"][:100]
    refused(lambda: read_hub_tensors(model), "of a file are missing")


def test_a_hub_that_hangs(mock, monkeypatch):
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.2)
    mock.delay_s = 20
    refused(lambda: open_on_hub("me/whole"), "did not answer within 0.2 seconds about me/whole")


def test_a_hub_that_trickles(mock, monkeypatch):
    monkeypatch.setattr(hub, "LONGEST_S", 0.0)
    refused(lambda: open_on_hub("me/whole"), "too slow")


@pytest.mark.parametrize("url", ["nonsense", "http://[", "http://" + "a" * 300])
def test_an_address_that_is_none(mock, monkeypatch, url):
    use(monkeypatch, url)
    refused(lambda: open_on_hub("me/whole"), "cannot be reached")


def test_no_hub_at_all(mock, monkeypatch):
    use(monkeypatch, "http://127.0.0.1:9")
    refused(
        lambda: open_on_hub("me/whole"), "cannot be reached to ask for me/whole; a preset, a folder"
    )


def test_names_that_are_looked_up_for_ages(mock, monkeypatch):
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.2)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: time.sleep(20))
    monkeypatch.setattr("urllib.request.getproxies", dict)
    refused(lambda: open_on_hub("me/whole"), "cannot be reached")
    assert mock.requests == []


def test_offline_mode_asks_nobody(mock, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(lambda: open_on_hub("me/whole"), "HF_HUB_OFFLINE is set, so the Hub is not asked")
    assert mock.requests == []


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
