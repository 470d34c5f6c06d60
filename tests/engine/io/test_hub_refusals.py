"""What goes wrong with the Hub is one sentence: models that lack something, odd answers, no Hub."""

import errno
import os
import time

import pytest
from huggingface_hub import constants

from quantcore import ModelError
from quantcore.io import hub, hub_model
from quantcore.io.hub_model import open_on_hub, read_hub_config, read_hub_gguf, read_hub_tensors
from tests.support.mock_hub import refused, use


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
    refused(lambda: open_on_hub(name), "not a name on the Hub")
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


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "not enough room for .*me.*toy"), (errno.EROFS, "not allow")],
)
def test_a_full_disk_is_not_the_hubs_silence(monkeypatch, number, says):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(hub, "snapshot_download", fail)
    monkeypatch.setattr(hub, "_refuse_slow_names", lambda model_id: None)
    with pytest.raises(ModelError, match=says):
        hub.download("me/toy")
