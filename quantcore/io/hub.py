"""The Hugging Face Hub: lists of files, small files, the beginnings of large ones, whole models.

Addresses, log-in and errors are huggingface_hub's; this is the only file that touches it. Its own
`get_safetensors_metadata` stores the index of sharded models in the user's cache, and believes
whatever length a server claims; here every answer is bounded in bytes and in time, and nothing is
written, but for `download`. What a model's files say is read by `quantcore.io.hub_model`.
"""

import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, hf_hub_url, set_client_factory, snapshot_download
from huggingface_hub.errors import (
    DeviceCodeError,
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    OIDCError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status
from huggingface_hub.utils._http import default_client_factory

from quantcore.io import ModelError
from quantcore.io.writing import OF_THE_DISK, why_not_written

# The client would tell the Hub what else is installed, after asking it what to look for.
constants.HF_HUB_DISABLE_TELEMETRY = True
# Large files come by HTTP, too: how fast they come is watched there, and Xet's own client waits.
constants.HF_HUB_DISABLE_XET = True

TIMEOUT_S = 5.0  # without a byte from the server
LONGEST_S = 30.0  # for one answer
PACE_S = 60.0  # in which a download brings at least so many bytes:
SLOWEST_BYTES = 2**16
FIRST_BYTES = 2**16  # fetched of a file at first, twice as many each time after
MODEL_FILES = ("config.json", "tokenizer*", "*.safetensors", "*.safetensors.index.json")
_ERROR_HEADERS = ("X-Error-Code", "X-Error-Message")
_INSTEAD = "a preset, a folder, a GGUF file or a pasted config.json needs no network"
_PROBLEMS = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, DeviceCodeError, OIDCError)
_UNREACHABLE = "The Hugging Face Hub cannot be reached to ask for {}"
_REFUSALS = (  # classes before those that they belong to
    (OfflineModeIsEnabled, f"HF_HUB_OFFLINE is set, so the Hub is not asked for {{}}; {_INSTEAD}."),
    (
        GatedRepoError,
        "{} is gated: accept its terms on its page and log in with `hf auth login`, or paste its "
        "config.json.",
    ),
    (DisabledRepoError, "The Hub has closed {}; paste its config.json instead."),
    (
        RepositoryNotFoundError,
        "The Hugging Face Hub has no model {}, or it is private, and no such folder is here: check "
        "the spelling, or log in with `hf auth login`.",
    ),
    (
        RevisionNotFoundError,
        "{} has no such revision on the Hub: name a branch, tag or commit.",
    ),
    (RemoteEntryNotFoundError, "A file of {} is listed but not there; try again."),
    (
        httpx2.TimeoutException,
        f"The Hugging Face Hub did not answer within {{seconds:g}} seconds about {{}}; {_INSTEAD}.",
    ),
    (httpx2.TransportError, f"{_UNREACHABLE}; {_INSTEAD}."),
)


def list_files(model_id: str, n_bytes: int, as_owner: bool = True) -> bytes:
    """Return the Hub's JSON about a model, its files among it, at most so many bytes."""
    url = f"{constants.ENDPOINT}/api/models/{model_id}?blobs=true"
    if not constants.HF_HUB_OFFLINE and not urllib.request.getproxies():
        _refuse_slow_names(model_id)
    return _get(model_id, url, n_bytes, as_owner=as_owner)[0]


def read_small(
    model_id: str, revision: str, name: str, n_bytes: int, *, as_owner: bool = True
) -> bytes:
    """Return a whole file of at most so many bytes."""
    return _get(model_id, _address(model_id, revision, name), n_bytes, as_owner=as_owner)[0]


def download(model_id: str, revision: str | None = None) -> Path:
    """Bring a model's folder into huggingface_hub's cache, whatever is there already kept.

    The folder has the name of the commit. What was cut off goes on where it stopped. A file that
    hardly moves is given up, so that a download takes time in proportion to its size at most.
    """
    with _said_clearly(model_id):
        if not constants.HF_HUB_OFFLINE and not urllib.request.getproxies():
            _refuse_slow_names(model_id)
        folder = snapshot_download(
            model_id, revision=revision, allow_patterns=list(MODEL_FILES), etag_timeout=TIMEOUT_S
        )
    return Path(folder)


class _Paced(httpx2.SyncByteStream):
    """The body of an answer, given up where it trickles: a byte now and then is no silence."""

    def __init__(self, stream: httpx2.SyncByteStream, what: str) -> None:
        self._stream, self._what = stream, what

    def __iter__(self) -> Iterator[bytes]:
        since, n_bytes = time.monotonic(), 0
        for piece in self._stream:
            n_bytes += len(piece)
            if time.monotonic() - since > PACE_S:
                if n_bytes < SLOWEST_BYTES:
                    raise ModelError(f"The Hub is too slow to send {self._what}; try again later.")
                since, n_bytes = time.monotonic(), 0
            yield piece

    def close(self) -> None:
        self._stream.close()


def _pace(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.SyncByteStream):
        response.stream = _Paced(response.stream, response.url.path.rpartition("/")[2][:100])


def _client() -> httpx2.Client:
    client = default_client_factory()
    client.event_hooks = {**client.event_hooks, "response": [_pace]}
    return client


set_client_factory(_client)


class RangeFile:
    """A file on the Hub of `n_bytes` that is read from its start, by ranges that double."""

    def __init__(
        self, model_id: str, revision: str, name: str, n_bytes: int, *, as_owner: bool = True
    ) -> None:
        self.n_bytes, self._fetched, self._as_owner = n_bytes, 0, as_owner
        self._model_id, self._url = model_id, _address(model_id, revision, name)
        self._waiting, self._at, self._step = b"", 0, FIRST_BYTES

    def read(self, n_bytes: int) -> bytes:
        """Return the next bytes, fewer at the end of the file."""
        end = self._at + n_bytes
        if end > len(self._waiting):
            self._fetch(end - len(self._waiting))
            end = n_bytes
        data, self._at = self._waiting[self._at : end], end
        return data

    def _fetch(self, missing: int) -> None:
        start = self._fetched
        n_bytes = min(max(missing, self._step), self.n_bytes - start)
        new = b""
        if n_bytes:
            new, size = _get(self._model_id, self._url, n_bytes, start, self._as_owner)
            if size != self.n_bytes or len(new) != n_bytes:
                raise senseless(self._model_id, f"bytes {start:,} and on of a file are missing")
        self._waiting, self._at = self._waiting[self._at :] + new, 0
        self._fetched, self._step = start + n_bytes, 2 * self._step


def senseless(model_id: str, why: str) -> ModelError:
    """Make the error for an answer that no Hub should give."""
    return ModelError(f"The Hub’s answer about {model_id} makes no sense: {why}.")


def _refuse_slow_names(model_id: str) -> None:
    """Give up early where looking up the Hub's address takes long: no client has a limit for it.

    Without a network that is half a minute on some machines. Behind a proxy it is the proxy's work.
    """

    def look_up() -> None:
        with suppress(OSError, ValueError):  # said when it is asked
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    if thread.is_alive():
        raise ModelError(f"{_UNREACHABLE.format(model_id)}; {_INSTEAD}.")


def _address(model_id: str, revision: str, name: str) -> str:
    return hf_hub_url(model_id, name, revision=revision, endpoint=constants.ENDPOINT)


def _get(
    model_id: str, url: str, n_bytes: int, start: int | None = None, as_owner: bool = True
) -> tuple[bytes, int]:
    """Read a whole answer of at most so many bytes, or so many of a file from `start` on.

    What is private, or has terms that were accepted, is shown to who owns this machine: its token
    is sent only `as_owner`.

    Returns the bytes, and for part of a file the size of the whole, otherwise 0.
    """
    headers = {"accept-encoding": "identity"}
    if start is not None:
        headers["range"] = f"bytes={start}-{start + n_bytes - 1}"
    with _said_clearly(model_id):
        token = None if as_owner else False  # None: the one that was logged in with
        headers = build_hf_headers(token=token, library_name="quantlab", headers=headers)
        with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response:
            _refuse_errors(response)
            size = 0 if start is None else _whole_size(model_id, response, start)
            return _body(model_id, response, n_bytes), size


def _refuse_errors(response: httpx2.Response) -> None:
    """Raise huggingface_hub's error, from headers alone: a body may be endless, or anything."""
    said = {key: response.headers[key] for key in _ERROR_HEADERS if key in response.headers}
    hf_raise_for_status(
        httpx2.Response(response.status_code, headers=said, request=response.request)
    )


def _whole_size(model_id: str, response: httpx2.Response, start: int) -> int:
    said = response.headers.get("content-range", "")
    part = re.fullmatch(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19})", said)
    if response.status_code != 206 or not part or int(part[1]) != start:
        raise senseless(model_id, "asked for the beginning of a file, it sends another part or all")
    return int(part[2])


def _body(model_id: str, response: httpx2.Response, n_bytes: int) -> bytes:
    body, deadline = bytearray(), time.monotonic() + LONGEST_S
    for piece in response.iter_raw():
        body += piece
        if len(body) > n_bytes:
            raise senseless(model_id, f"it is longer than {n_bytes:,} bytes")
        if time.monotonic() > deadline:
            raise ModelError(f"The Hub is too slow to read {model_id}; {_INSTEAD}.")
    return bytes(body)


@contextmanager
def _said_clearly(model_id: str) -> Iterator[None]:
    """Turn what huggingface_hub and the network raise into one sentence."""
    try:
        yield
    except ModelError:
        raise
    except _PROBLEMS as problem:
        if isinstance(problem, OSError) and problem.errno in OF_THE_DISK:
            place = Path(constants.HF_HUB_CACHE) / model_id
            raise ModelError(why_not_written(place, problem)) from problem
        for kind, sentence in _REFUSALS:
            if isinstance(problem, kind):
                raise ModelError(sentence.format(model_id, seconds=TIMEOUT_S)) from problem
        raise ModelError(_other_refusal(model_id, problem)) from problem


def _other_refusal(model_id: str, problem: Exception) -> str:
    if not isinstance(problem, HfHubHTTPError):
        return f"{_UNREACHABLE.format(model_id)} ({type(problem).__name__}); {_INSTEAD}."
    status = problem.response.status_code
    if status == 429:
        return f"The Hub has had too many questions from here to answer for {model_id}; wait a bit."
    if status in (401, 403):
        return f"The Hub does not let you read {model_id}: log in with `hf auth login`."
    return f"The Hub answers with HTTP status {status} for {model_id}; try again later."
