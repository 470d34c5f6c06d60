"""Files that change while they are open: what was read stays, what is read then gets a sentence."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from quantcore import ModelError
from quantcore.io.gguf import read_gguf
from quantcore.io.safetensors import read_header
from tests.support.gguf_bytes import gguf_bytes

ROWS, COLS = 40, 4096
VALUES = np.arange(ROWS * COLS, dtype="<f4").reshape(ROWS, COLS)


def _gguf(path):
    path.write_bytes(gguf_bytes({}, {"w": ([COLS, ROWS], 0, VALUES.tobytes())}))
    return read_gguf(path).tensors["w"]


def _safetensors(path):
    save_file({"w": VALUES}, path)
    return read_header(path)["w"]


def _cut(path):
    os.truncate(path, 1000)


def _overwrite(path):
    """Put zeros in its place as `cp` does, then let its date be what it was."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(status.st_size))
    while path.stat().st_ctime_ns == status.st_ctime_ns:  # clocks of file systems are coarse
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace(path):
    """Put a file of the same size and date in its place, as downloads do."""
    status = path.stat()
    beside = path.with_name("beside")
    beside.write_bytes(bytes(status.st_size))
    os.utime(beside, ns=(status.st_atime_ns, status.st_mtime_ns))
    beside.replace(path)


def _pipe(path):
    """Put a pipe in its place: whoever opens it waits for ever."""
    path.unlink()
    os.mkfifo(path)


CHANGES = [_cut, _overwrite, _replace, os.unlink, *([_pipe] if hasattr(os, "mkfifo") else [])]


@pytest.mark.parametrize("store", [_gguf, _safetensors])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_file_that_changes_while_it_is_open(tmp_path, store, change):
    """Mapped, what was read would turn to zeros, or end the process where the file is cut short."""
    path = tmp_path / "model"
    tensor = store(path)
    before, some = tensor.read(), tensor.read(slice(3, 5))
    change(path)
    np.testing.assert_array_equal(before, VALUES)
    np.testing.assert_array_equal(some, VALUES[3:5])
    for rows in (slice(None), slice(0, 1), slice(ROWS - 1, ROWS)):
        with pytest.raises(ModelError, match=r"^model (has changed since|is missing|in .+ is not)"):
            tensor.read(rows)


def test_packed_bytes_are_memory_of_our_own(tmp_path):
    tensor = _gguf(tmp_path / "model")
    packed, some = tensor.packed(), tensor.packed(slice(7, 9))
    _overwrite(tmp_path / "model")
    assert packed.tobytes() == VALUES.tobytes() and some.tobytes() == VALUES[7:9].tobytes()


def test_a_file_that_changes_while_its_header_is_read(tmp_path, monkeypatch):
    path = tmp_path / "model"
    _gguf(path)
    header = read_gguf.__globals__["read_header"]

    def interrupted(*arguments):
        _cut(path)
        return header(*arguments)

    monkeypatch.setitem(read_gguf.__globals__, "read_header", interrupted)
    with pytest.raises(ModelError, match="model has changed since it was opened"):
        read_gguf(path)
