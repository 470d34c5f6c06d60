"""Writing a file that does not come to its end: nothing is left behind, and one sentence said."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from quantcore import ModelError, open_model, plan
from quantcore.cli import main
from quantcore.recipe.quantize import quantize, quantize_steps
from tests.support.patience import PATIENCE_S
from tests.support.toy_model import CONFIG, write_folder

COMMAND = [sys.executable, "-m", "quantcore", "quantize", "--type", "Q3_K_M", "--output"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(keys_are_heard, tmp_path, number):
    command = [*COMMAND, str(tmp_path / "model.gguf")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.iterdir()) and running.poll() is None:
        time.sleep(0.001)
    os.kill(running.pid, number)
    out, err = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, out) == (130, "")
    assert err.endswith("Stopped.\n")
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    """A limit on the size of files stands for the disk: the system refuses alike."""
    done = subprocess.run(
        [*COMMAND, str(tmp_path / "model.gguf")],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert done.returncode == 2
    assert done.stderr.endswith("bytes, and there is not so much room.\n")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_meanwhile_leaves_nothing_behind(tmp_path, monkeypatch):
    """Where a file system cannot reserve room, writing itself fails."""

    def cannot(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    model, path = open_model(), tmp_path / "model.gguf"
    steps = quantize_steps(model, plan(model, "F16"), path)
    next(steps)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(ModelError, match="there is not so much room"):
            list(steps)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_no_permission(tmp_path, monkeypatch, capsys):
    ordinary = Path.open

    def refuse(self, *arguments, **options):
        if self.suffix == ".part":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return ordinary(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)  # root may write everywhere
    path = tmp_path / "model.gguf"
    assert main(["quantize", "--type", "Q8_0", "--output", str(path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path} does not allow writing.\n"
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_stays(tmp_path, capsys):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"precious")
    for command in ("quantize", "imatrix"):
        options = ["--type", "Q8_0"] if command == "quantize" else []
        assert main([command, *options, "--output", str(path)]) == 2
        assert "exists already; choose another name" in capsys.readouterr().err
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_memory_is_that_of_the_packed_tensor(tmp_path):
    """A tensor of 8 million weights takes 32 MB as floats and 4.5 MB as Q4_0."""
    config = CONFIG | {"intermediate_size": 131_072}
    model = open_model(write_folder(tmp_path / "wide", config, dtype="BF16"))
    n_packed = 64 * 131_072 // 32 * 18
    tracemalloc.start()
    quantize(model, plan(model, "Q4_0", pure=True), tmp_path / "model.gguf")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_packed < peak < 4 * 64 * 131_072
    restored = open_model(tmp_path / "model.gguf").weights("blk.1.ffn_down.weight")
    assert np.abs(restored - model.weights("blk.1.ffn_down.weight")).max() < 0.2
