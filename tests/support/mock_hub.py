"""A Hugging Face Hub on the loopback that answers huggingface_hub's client from dictionaries."""

import hashlib
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from quantcore import ModelError

REVISION = "a" * 40
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@dataclass
class MockHub:
    """What it serves: files by model, and models that it refuses or treats oddly."""

    models: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)  # by model
    delay_s: float = 0.0
    piece_bytes: int = 2**16  # of an answer, sent at once
    pause_s: float = 0.0  # after each
    ignores_ranges: bool = False
    url: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path, range
    headers: list[dict[str, str]] = field(default_factory=list)
    bytes_served: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: MockHub

    def log_message(self, *words):
        """Say nothing."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub, wanted = self.hub, self.headers.get("range")
        hub.requests.append((self.path, wanted))
        hub.headers.append({key.lower(): value for key, value in self.headers.items()})
        time.sleep(hub.delay_s)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/?]+)(/revision/\w+)?(?:\?.*)?", self.path):
            if match[2] not in (None, "/revision/main", f"/revision/{REVISION}"):
                return self._refuse(404, "RevisionNotFound", "Invalid rev id")
            return self._list(match[1])
        if match := re.fullmatch(rf"/api/models/([^/]+/[^/]+)/tree/{REVISION}\?.*", self.path):
            return self._tree(hub.models[match[1]])
        match = re.fullmatch(rf"/([^/]+/[^/]+)/resolve/(?:{REVISION}|main)/(.+)", self.path)
        if not match or match[1] not in hub.models:
            return self._refuse(401, "RepoNotFound", "Invalid username or password.")
        if match[1] in hub.gated:
            return self._refuse(403, "GatedRepo", "Access to this model is restricted.")
        stored = hub.models[match[1]].get(match[2])
        if stored is None:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        return self._file(stored, wanted)

    def _list(self, model_id):
        if model_id in self.hub.answers:
            return self._send(*self.hub.answers[model_id])
        if model_id not in self.hub.models:
            return self._refuse(401, "RepoNotFound", "Invalid username or password.")
        files = self.hub.models[model_id]
        listed = [{"rfilename": name, "size": len(stored)} for name, stored in files.items()]
        answer = {"id": model_id, "sha": REVISION, "siblings": listed, "private": False}
        return self._send(200, {}, json.dumps(answer).encode())

    def _tree(self, files):
        entries = [
            {"type": "file", "path": name, "size": len(stored), "oid": _digest(stored)[:40],
             "lfs": {"oid": _digest(stored), "size": len(stored), "pointerSize": 134}}
            for name, stored in files.items()
        ]  # fmt: skip
        self._send(200, {}, json.dumps(entries).encode())

    def _refuse(self, status, code, message):
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self._send(status, headers, json.dumps({"error": message}).encode())

    def _file(self, stored, wanted):
        headers = {
            "ETag": f'"{_digest(stored)}"',
            "X-Repo-Commit": REVISION,
            "Accept-Ranges": "bytes",
        }
        if not wanted or self.hub.ignores_ranges:
            return self._send(200, headers, stored)
        first, last = (int(end) for end in wanted.removeprefix("bytes=").split("-"))
        part = stored[first : last + 1]
        headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(stored)}"
        return self._send(206, headers, part)

    def _send(self, status, headers, body):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            try:
                for start in range(0, len(body), self.hub.piece_bytes):
                    piece = body[start : start + self.hub.piece_bytes]
                    self.hub.bytes_served += len(piece)
                    self.wfile.write(piece)
                    time.sleep(self.hub.pause_s)
            except OSError:
                self.close_connection = True  # the client has heard enough


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing of clients that went away."""


def _digest(stored):
    return hashlib.sha256(stored).hexdigest()


@contextmanager
def served(models, **how):
    """Serve models on a free port of the loopback."""
    hub = MockHub(models, **how)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
